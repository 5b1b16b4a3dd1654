"""Sentences that say how to read figures; tables, page and card print them beside the figures."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from cardiolect.model.evaluation.conditions import WITH_ECG
from cardiolect.utils.metrics.verify import FEWEST_OF_EACH

ABOVE_BY_CHANCE = 0.025  # of 95 % intervals, if there is nothing to find
GUESSING = 0.5  # balanced accuracy


def rule_of_means(result: Mapping[str, Any]) -> str:
    """Which yes-or-no questions count in the means, and how many do not; "" without such questions."""
    if not result.get("verify", {}).get(WITH_ECG):
        return ""
    means, other = result["verify_means"][WITH_ECG], result["verify_left_out"]
    text = (
        f"Means are over {means['counted']} of {means['counted'] + means['left_out']} yes-or-no questions, those with "
        f"at least {FEWEST_OF_EACH} patients with yes and {FEWEST_OF_EACH} with no; {means['left_out']} are left out."
    )
    if other["one_answer"]:
        text += f" {other['one_answer']} more have only yes, or only no, as right answers, and no figures."
    if other["other_answers"]:
        text += f" {other['other_answers']} samples with another right answer than yes or no are left out, too."
    return text


def mix_of_answers(result: Mapping[str, Any]) -> str:
    """How common yes is among these questions and in the data set; "" without yes-or-no questions."""
    rows = result.get("verify", {}).get(WITH_ECG)
    if not rows:
        return ""
    yes, no = (sum(row[key] for row in rows.values()) for key in ("yes", "no"))
    text = (
        f"Yes is the right answer in {100 * yes / (yes + no):.0f} % of these samples. Derived and simulated questions "
        "have 50 % by design (cardiolect derive --unbalanced asks every recording instead): exact match, calibration "
        "and predictive values hold for this mix only."
    )
    known = [100 * row["prevalence"] for row in rows.values() if "prevalence" in row]
    if not known:
        return (
            f"{text} How common the findings are in the data set is not known here, because DATA_ROOT has no label "
            "table (ptbxl_database.csv) that answers the questions; calibration and predictive values at its "
            "prevalence are missing."
        )
    text += (
        f" In the data set ({result['prevalence']['recordings']} recordings in its label table) yes is right in "
        f"{median(known):.1f} % (median of {len(known)} questions; {min(known):.1f} to {max(known):.1f} %)"
    )
    if missing := len(rows) - len(known):
        text += f"; for {missing} questions the table does not tell"
    return f"{text}."


def by_chance(lows: Iterable[float | None], bound: float = 0.0, what: str = "groups") -> str:
    """How many of many intervals lie above ``bound``, and how many would by chance; "" without intervals.

    lows: the lower ends of the intervals, None for those without one.
    """
    known = [low for low in lows if low is not None]
    if not known:
        return ""
    above = sum(low > bound for low in known)
    limit = "zero" if not bound else f"{100 * bound:.0f}"
    return (
        f"Of {len(known)} {what} with an interval, expect up to {100 * ABOVE_BY_CHANCE:.1f} % "
        f"({ABOVE_BY_CHANCE * len(known):.1f}) above {limit} by chance; {above} {'is' if above == 1 else 'are'}."
    )


def chance_of_groups(groups: Mapping[str, Mapping[str, Any]]) -> str:
    """`by_chance` of the gaps of groups of one kind."""
    return by_chance(cell["gap_ci95"][0] for cell in groups.values() if "gap_ci95" in cell)


def chance_of_questions(result: Mapping[str, Any]) -> str:
    """`by_chance` of the balanced accuracies of yes-or-no questions, for which guessing gives 50 %."""
    rows: Sequence[Mapping[str, Any]] = list(result.get("verify", {}).get(WITH_ECG, {}).values())
    lows = [row["balanced_accuracy_ci95"][0] for row in rows]
    return by_chance(lows, GUESSING, "questions")
