"""The table of selective answers, for scores.txt and the page."""

from collections.abc import Mapping
from typing import Any

from cardiolect.model.evaluation.table_rows import interval, row

LABELS = {"all": "all questions", "yes_or_no": "yes-or-no questions"}


def selective_rows(result: Mapping[str, Any]) -> list[str]:
    """Lines with the accuracy of the surest answers; none if no answer has a probability."""
    found = result.get("selective", {})
    if not found:
        return []
    shares = list(next(iter(found.values()))["at"])
    heads = ["answered: 100 %", *(f"surest {float(share):.0%}" for share in shares), "risk area", "random order"]
    lines = [row("accuracy of the surest answers with ECG", heads)]
    for name, each in found.items():
        cells = [each["accuracy"], *(at["accuracy"] for at in each["at"].values()), each["aurc"], each["aurc_random"]]
        lines.append(row(f"{LABELS[name]} ({each['n']})", cells))
        ends = [interval(at["accuracy_ci95"]).strip() or "-" for at in each["at"].values()]
        lines.append(row("  95 %, over patients", ["", *ends]))
        lines.append(row("  confidence of at least", ["", *(at["threshold"] for at in each["at"].values())]))
        lines.append(row("  answered", ["", *(at["coverage"] for at in each["at"].values())]))
    return lines
