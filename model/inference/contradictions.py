"""Where a report and the answers to single questions differ.

A report is generated word by word, and answers are ranked and calibrated; one model can deny in one what it states in
the other.
"""

from collections.abc import Collection, Mapping

from cardiolect.data_provider.ecgqa.scp_statements import NAMES
from cardiolect.data_provider.ecgqa.templates import TEMPLATES
from cardiolect.data_provider.texts.wording_table import EXTRA_BEATS
from cardiolect.model.inference.chat import ECG, ECGChat, Judgement
from cardiolect.utils.answers import YES
from cardiolect.utils.metrics.statements import extract

_BEATS = {code: kind for kind, code in EXTRA_BEATS}  # by these names, `ask` asks about extra beats
_SAME = (  # statements of which one in a report agrees with an answer about another
    {"SR", "STACH", "SBRAD", "SARRH"},
    {"LVH", "VCLVH"},
    {"NDT", "NT_", "LOWT", "TAB_", "INVT"},
    {"NST_", "STD_", "ISC_", "ISCAL", "ISCAN", "ISCAS", "ISCIL", "ISCIN", "ISCLA"},
    {"PVC", "BIGU", "TRIGU"},
    {"ASMI", "AMI", "ALMI"},
    {"IMI", "ILMI", "IPMI", "IPLMI"},
    {"CRBBB", "IRBBB"},
    {"LAO/LAE", "RAO/RAE"},
)
_VAGUE = frozenset({"ABQRS"})  # any bundle branch block is an abnormal QRS, but labels seldom say so


def contradictions(chat: ECGChat, ecg: ECG, report: str, trained: Collection[str], patient: str = "") -> list[str]:
    """Findings of which a report says the opposite of the answer: one line each.

    trained: the questions of the checkpoint. Only sure answers of a calibrated checkpoint count; the others are left
    out, and so are findings of the same kind as one that the report states.
    """
    questions = {code: TEMPLATES[1].text(name) for code, name in NAMES.items() if code not in _VAGUE}
    beats = {code: TEMPLATES[36].text(kind) for code, kind in _BEATS.items()}
    questions |= {code: question for code, question in beats.items() if question in trained}
    known = {code: question for code, question in questions.items() if question in trained}
    judged = chat.judge_all(ecg, list(known.values()), patient)
    return differences(report, dict(zip(known, judged, strict=True)))


def differences(report: str, judged: Mapping[str, Judgement]) -> list[str]:
    """`contradictions` of a report and the answers about codes of PTB-XL."""
    statuses = extract(report)
    stated = {code for code, status in statuses.items() if status != "absent"}
    lines = []
    for code, (answer, probability, sure, _) in judged.items():
        kind = {code}.union(*(same for same in _SAME if code in same))
        percent = f"{100 * min(probability, 0.99):.0f} %"
        if not sure:
            continue
        if answer == YES and not kind & stated:
            lines.append(f"not in the report, but asked about it the answer is yes ({percent}): {NAMES[code]}")
        elif answer != YES and code in stated and statuses[code] == "present":
            lines.append(f"in the report, but asked about it the answer is no ({percent}): {NAMES[code]}")
    return lines
