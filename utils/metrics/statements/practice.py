"""How PTB-XL's annotators code what reports state: the difference between reading a report and predicting its labels.

Labels do not follow the words everywhere: of 1,165 reports with "p-sinistrocardiale", 9 % are labelled LAO/LAE. Only
the agreement with labels uses this; scores of reports compare what is stated. Found on folds 1-8 of PTB-XL.
"""

import re

from cardiolect.utils.metrics.statements.codes import AXES
from cardiolect.utils.metrics.statements.extraction import read, sentences

# Code -> statements for which fewer than 40 % of the reports have it as a label.
_ANY = r".*"
_NOT_CODED: dict[str, str] = {
    "TAB_": _ANY,
    "LVOLT": _ANY,
    "STE_": _ANY,
    "LNGQT": _ANY,
    "ISCAN": _ANY,
    "ISCLA": _ANY,
    "ISCIL": _ANY,
    "ISCAL": r"st.*|t .*|.*ischaemie.*",
    "ISCIN": r"st.*|t .*|.*ischaemie.*",
    "ISC_": r".*ischa?emi.*",
    "INVT": r"(?!inverted$).*",
    "SVARR": r"beschleunigter.*",
    "TRIGU": r"trigeminus",
    "INJAS": _ANY,
    "LOWT": r"flat|.*flach.*|t wave flattening|t waves are flat",
    "STD_": r"st ?senkung.*|st abs.*|unspez.*|st segment depression|st segments are (?:slightly|minimally) depressed",
    "NST_": r"st & t abnorm.*",
    "LAO/LAE": r"p (?:sinistro|mitral).*",
    "PAC": r"supraventri[kc]ul\w* extrasystol\w*|sves|vorhofextra.*",
    "IVCD": r"unspez.*|intraventrikul.*",
    "LMI": r".*(?:myokardschaden|myokardskada|myocardial (?:damage|injury))|lateraler infarkt.*|hoeg lateral.*",
    "ALMI": r".*(?:myokardschaden|myokardskada|myocardial (?:damage|injury))|anterolateraler infarkt.*",
    "ABQRS": r"avvikande.*",
    "EL": r"hypokal.*",
    "ILBBB": _ANY,
    "INJIN": _ANY,
    "INJLA": _ANY,
}
_UNLIKE = {code: re.compile(pattern) for code, pattern in _NOT_CODED.items()}
# Codes stated together -> the label that comes with them in most reports which state all of them.
_ALSO: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"VCLVH"}), "LVH"),
    (frozenset({"NT_"}), "NDT"),
    (frozenset({"ALAD", "IVCD"}), "LAFB"),
    (frozenset({"ALMI", "IMI"}), "ILMI"),
    (frozenset({"LVH", "MID"}), "ISC_"),
    (frozenset({"LVOLT", "NORM"}), "LVOLT"),
)
# Code -> codes that are seldom labelled with it, although the report states both.
_NOT_WITH: dict[str, frozenset[str]] = {
    "CLBBB": frozenset({"LVH", "ISC_"}),  # the machine reads it as possible hypertrophy
    "LOWT": frozenset({"INVT"}),  # "low or flat and inverted" is labelled once
    "ALMI": frozenset({"IMI"}),
    "ALAD": frozenset({"IVCD"}),
}
_ISCHAEMIA = "ISC_"  # the label of hypertrophy with ST-T changes, also if no ischaemia is stated
_CHANGED = frozenset({"STD_", "INVT", "ISC_", "ISCAL", "ISCIL", "ISCAN"})
# A report that states nothing else is labelled normal.
_SMALL_CHANGES = ("PAC", "LAO/LAE", "LVOLT", "INVT", "LOWT", "QWAVE")
_MINOR = frozenset({"SR", "SARRH", "STACH", "SBRAD", *_SMALL_CHANGES, *AXES}) - {"ALAD", "ARAD"}
# With these, "otherwise normal" is not labelled normal.
_NEVER_NORMAL = frozenset({"LVH", "LAFB", "CLBBB", "CRBBB", "NDT", "AFIB", "PACE"})
_UNREAD = re.compile(r"trace only requested")


def labelled(report: str) -> set[str]:
    """The codes by which PTB-XL's annotators would label a report, as far as its words tell."""
    seen = sentences(report)
    pieces = [piece for sentence in seen for piece in read(sentence).pieces]
    stated = {code for piece in pieces for code, status in piece.codes if status in ("present", "possible")}
    codes = {
        code
        for piece in pieces
        for code, status in piece.codes
        if status in ("present", "possible") and not (code in _UNLIKE and _UNLIKE[code].fullmatch(piece.text))
    }
    never_normal = codes & _NEVER_NORMAL
    codes |= {label for together, label in _ALSO if together <= stated}
    if "LVH" in codes and stated & _CHANGED:
        codes.add(_ISCHAEMIA)
    codes -= {other for code in stated for other in _NOT_WITH.get(code, ())}
    if never_normal:
        codes.discard("NORM")
    elif stated and stated <= _MINOR and not any(_UNREAD.search(sentence) for sentence in seen):
        codes.add("NORM")
    return codes
