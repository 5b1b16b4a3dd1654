"""What a prompt says of a similar recording: the statements of its report, or the report itself."""

from cardiolect.data_provider.ecgqa.scp_statements import NAMES
from cardiolect.data_provider.texts.english_phrases import PHRASES
from cardiolect.ecg_tokenizer.retrieval.index import Content
from cardiolect.utils.metrics.statements import extract

CUT = " ..."


def neighbour_text(report: str, content: Content) -> str:
    """One line; "" if the report states nothing that is known. findings: in English, in the order of the report."""
    if content == "report":
        return " ".join(report.split())
    stated = [(code, status) for code, status in extract(report).items() if status != "absent"]
    phrases = [
        f"{'possible ' if status == 'possible' else ''}{PHRASES.get(code) or NAMES.get(code, code)}"
        for code, status in stated
    ]
    return ", ".join(dict.fromkeys(phrases))


def shortened(text: str, words: int) -> str:
    """The first so many words, and `CUT` if there are more."""
    parts = text.split(" ")
    return text if len(parts) <= words else " ".join(parts[:words]) + CUT
