"""The codes that statements get: PTB-XL's 71 SCP codes, its heart axes, and one for an infarct of no named wall.

Source: scp_statements.csv and the column heart_axis of PTB-XL (Wagner et al. 2020, Scientific Data 7:154).
"""

# By diagnostic class, or kind of statement where the table has none.
CLASSES: dict[str, tuple[str, ...]] = {
    "NORM": ("NORM",),
    "MI": (
        "IMI",
        "ASMI",
        "ILMI",
        "AMI",
        "ALMI",
        "INJAS",
        "LMI",
        "INJAL",
        "IPLMI",
        "IPMI",
        "INJIN",
        "INJLA",
        "PMI",
        "INJIL",
    ),
    "STTC": (
        "NDT",
        "NST_",
        "DIG",
        "LNGQT",
        "ISC_",
        "ISCAL",
        "ISCIN",
        "ISCIL",
        "ISCAS",
        "ISCLA",
        "ANEUR",
        "EL",
        "ISCAN",
    ),
    "CD": ("LAFB", "IRBBB", "1AVB", "IVCD", "CRBBB", "CLBBB", "LPFB", "WPW", "ILBBB", "3AVB", "2AVB"),
    "HYP": ("LVH", "LAO/LAE", "RVH", "RAO/RAE", "SEHYP"),
    "form": (
        "ABQRS",
        "PVC",
        "STD_",
        "VCLVH",
        "QWAVE",
        "LOWT",
        "NT_",
        "PAC",
        "LPR",
        "INVT",
        "LVOLT",
        "HVOLT",
        "TAB_",
        "STE_",
        "PRC(S)",
    ),
    "rhythm": ("SR", "AFIB", "STACH", "SARRH", "SBRAD", "PACE", "SVARR", "BIGU", "AFLT", "SVTAC", "PSVT", "TRIGU"),
}
SCP_CODES = frozenset(code for codes in CLASSES.values() for code in codes)

# The column heart_axis: normal, left, extreme left, right, extreme right, borderline left, borderline right, sagittal.
AXES = ("MID", "LAD", "ALAD", "RAD", "ARAD", "AXL", "AXR", "SAG")
INFARCT = "MI"  # the diagnostic class, for an infarct of no named wall: no SCP code says that
CODES = SCP_CODES | {*AXES, INFARCT}

# Walls by their letters, in any order, and what a statement about them is coded as; "" where no wall is named.
_WALLS_OF: dict[str, dict[str, str]] = {
    "MI": {
        "": INFARCT,
        "A": "AMI",
        "S": "ASMI",
        "AS": "ASMI",
        "AL": "ALMI",
        "I": "IMI",
        "IL": "ILMI",
        "IP": "IPMI",
        "ILP": "IPLMI",
        "L": "LMI",
        "P": "PMI",
    },
    "ISC": {
        "": "ISC_",
        "A": "ISCAN",
        "S": "ISCAS",
        "AS": "ISCAS",
        "AL": "ISCAL",
        "I": "ISCIN",
        "IL": "ISCIL",
        "L": "ISCLA",
        "P": "ISC_",
    },
    "INJ": {"S": "INJAS", "AS": "INJAS", "AL": "INJAL", "I": "INJIN", "IL": "INJIL", "L": "INJLA"},
}


def codes_of_walls(family: str, walls: str) -> tuple[str, ...]:
    """Codes of an infarct ("MI"), ischaemia ("ISC") or injury ("INJ") of walls by letter: A S I L P.

    "IL" is one code; walls that have none together have one each, if at all.
    """
    table = _WALLS_OF[family]
    key = "".join(sorted(set(walls), key="AISLP".index)) if walls else ""
    named = {"".join(sorted(letters)): code for letters, code in table.items()}
    if (whole := named.get("".join(sorted(key)))) is not None:
        return (whole,)
    return tuple(table[wall] for wall in key if wall in table)
