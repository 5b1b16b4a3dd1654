"""PTB-XL's 71 SCP-ECG statement codes by class, for reading labels and scoring reports.

Source: scp_statements.csv of PTB-XL (Wagner et al. 2020, Scientific Data 7:154).
"""

from typing import Literal

# The five diagnostic superclasses; form and rhythm are kinds of statement without a diagnostic class.
_TABLE = {
    "NORM": "NORM",
    "MI": "IMI ASMI ILMI AMI ALMI INJAS LMI INJAL IPLMI IPMI INJIN INJLA PMI INJIL",
    "STTC": "NDT NST_ DIG LNGQT ISC_ ISCAL ISCIN ISCIL ISCAS ISCLA ANEUR EL ISCAN",
    "CD": "LAFB IRBBB 1AVB IVCD CRBBB CLBBB LPFB WPW ILBBB 3AVB 2AVB",
    "HYP": "LVH LAO/LAE RVH RAO/RAE SEHYP",
    "form": "ABQRS PVC STD_ VCLVH QWAVE LOWT NT_ PAC LPR INVT LVOLT HVOLT TAB_ STE_ PRC(S)",
    "rhythm": "SR AFIB STACH SARRH SBRAD PACE SVARR BIGU AFLT SVTAC PSVT TRIGU",
}
CLASSES: dict[str, tuple[str, ...]] = {name: tuple(codes.split()) for name, codes in _TABLE.items()}
SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
SUPERCLASS_OF = {code: name for name in SUPERCLASSES for code in CLASSES[name]}
SCP_CODES = frozenset(code for codes in CLASSES.values() for code in codes)
DIAGNOSTIC = frozenset(SUPERCLASS_OF)
# A statement may be of two kinds: these describe the ST-T segment's form and name its cause.
FORM = frozenset(CLASSES["form"]) | {"NDT", "NST_", "DIG", "LNGQT"}
RHYTHM = frozenset(CLASSES["rhythm"])

# Its 23 diagnostic subclasses.
_SUBCLASSES = {
    "NORM": "NORM",
    "AMI": "AMI ASMI ALMI INJAS INJAL",
    "IMI": "IMI ILMI IPLMI IPMI INJIN INJIL",
    "LMI": "LMI INJLA",
    "PMI": "PMI",
    "STTC": "NDT DIG LNGQT ANEUR EL",
    "NST_": "NST_",
    "ISC_": "ISC_",
    "ISCA": "ISCAL ISCAS ISCLA ISCAN",
    "ISCI": "ISCIN ISCIL",
    "LAFB/LPFB": "LAFB LPFB",
    "IRBBB": "IRBBB",
    "CRBBB": "CRBBB",
    "ILBBB": "ILBBB",
    "CLBBB": "CLBBB",
    "IVCD": "IVCD",
    "_AVB": "1AVB 2AVB 3AVB",
    "WPW": "WPW",
    "LVH": "LVH",
    "RVH": "RVH",
    "SEHYP": "SEHYP",
    "LAO/LAE": "LAO/LAE",
    "RAO/RAE": "RAO/RAE",
}
SUBCLASS_OF = {code: name for name, codes in _SUBCLASSES.items() for code in codes.split()}

LabelTask = Literal["superclass", "subclass", "diagnostic", "form", "rhythm", "all"]  # of PTB-XL's benchmark
LABEL_TASKS: dict[str, dict[str, str]] = {  # code -> class
    "superclass": SUPERCLASS_OF,
    "subclass": SUBCLASS_OF,
    "diagnostic": {code: code for code in DIAGNOSTIC},
    "form": {code: code for code in FORM},
    "rhythm": {code: code for code in RHYTHM},
    "all": {code: code for code in SCP_CODES},
}
