"""What a prompt says of a similar recording: the findings of its report, or the report itself."""

from cardiolect.data_provider.texts.describe.statements import read_statement
from cardiolect.ecg_tokenizer.retrieval.index import Content

CUT = " ..."


def neighbour_text(report: str, content: Content) -> str:
    """One line; "" if the report states nothing that is known.

    findings: in English, in the order of the report, also those that have no SCP code; without what is denied or past,
    and without a normal ECG unless it is stated outright ("otherwise normal" is not).
    """
    if content == "report":
        return " ".join(report.split())
    found = [each for each in read_statement(report).findings if each.described]
    names = [f"{'possible ' if each.status == 'possible' else ''}{each.name}" for each in found]
    return ", ".join(dict.fromkeys(names))


def shortened(text: str, words: int) -> str:
    """The first so many words, and `CUT` if there are more."""
    parts = text.split(" ")
    return text if len(parts) <= words else " ".join(parts[:words]) + CUT
