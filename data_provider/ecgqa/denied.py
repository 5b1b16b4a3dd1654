"""How far recordings that a question's "no" comes from are healthier than all recordings without its code.

What labels leave open takes recordings from those denied. If it takes the sick, the denied are the healthy, and a model
may answer by how normal an ECG looks: specificity among them is flattered.
"""

from collections.abc import Iterable, Iterator

from cardiolect.data_provider.ecgqa.labels import Row, has_code, scp_codes
from cardiolect.data_provider.ecgqa.scp_statements import DIAGNOSES, FORMS, RHYTHMS

NOTED = 5.0  # percentage points of difference from which a code is marked


def denied_table(rows: Iterable[Row]) -> Iterator[str]:
    """Markdown: answers by code, and the share of normal ECGs (NORM) among those denied and all without the code."""
    rows = list(rows)
    yield "| code | yes | no | left open | NORM among denied | among all without | more than 5 points apart |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for code in (*DIAGNOSES, *RHYTHMS, *FORMS):
        states = [has_code(row, code) for row in rows]
        denied = _share_normal(row for row, state in zip(rows, states, strict=True) if state is False)
        without = _share_normal(row for row in rows if code not in scp_codes(row))
        apart = f"{denied - without:+.0f}" if abs(denied - without) > NOTED else ""
        counts = " | ".join(str(states.count(state)) for state in (True, False, None))
        yield f"| {code} | {counts} | {denied:.0f} % | {without:.0f} % | {apart} |"


def _share_normal(rows: Iterable[Row]) -> float:
    """Percentage of recordings with the code NORM; NaN of none."""
    normal = ["NORM" in scp_codes(row) for row in rows]
    return 100 * sum(normal) / len(normal) if normal else float("nan")
