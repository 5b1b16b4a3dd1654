"""The codes of report statements: PTB-XL's SCP codes, its heart axes, and one for an infarct of an unnamed wall.

Source: scp_statements.csv and the column heart_axis of PTB-XL (Wagner et al. 2020, Scientific Data 7:154).
"""

from cardiolect.utils.scp_codes import SCP_CODES

# The column heart_axis: normal, left, extreme left, right, extreme right, borderline left, borderline right, sagittal.
AXES = ("MID", "LAD", "ALAD", "RAD", "ARAD", "AXL", "AXR", "SAG")
INFARCT = "MI"  # the diagnostic class, used for an infarct of an unnamed wall, which has no SCP code
CODES = SCP_CODES | {*AXES, INFARCT}

# Family -> letters of the walls, in any order ("" if none is named) -> code.
_WALLS_OF: dict[str, dict[str, str]] = {
    "MI": {
        "": INFARCT,
        "A": "ASMI",  # what PTB-XL's annotators call an anterior infarct, in 97 % of reports and AMI in 1 %
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
    "INJ": {"A": "INJAS", "S": "INJAS", "AS": "INJAS", "AL": "INJAL", "I": "INJIN", "IL": "INJIL", "L": "INJLA"},
}


def codes_of_walls(family: str, walls: str) -> tuple[str, ...]:
    """Codes of an infarct ("MI"), ischaemia ("ISC") or injury ("INJ") of the walls with these letters: A S I L P.

    Walls with a common code, such as "IL", get that one; others get one each, if it exists.
    """
    table = _WALLS_OF[family]
    key = "".join(sorted(set(walls), key="AISLP".index)) if walls else ""
    named = {"".join(sorted(letters)): code for letters, code in table.items()}
    if (whole := named.get("".join(sorted(key)))) is not None:
        return (whole,)
    return tuple(table[wall] for wall in key if wall in table)
