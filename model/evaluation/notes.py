"""Sentences that say how to read figures; tables, page and card print them beside the figures."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from cardiolect.model.evaluation.conditions import CONDITIONS, WITH_ECG
from cardiolect.model.evaluation.prevalence import MOST_OPEN, ranges
from cardiolect.model.evaluation.table_rows import interval, points
from cardiolect.model.evaluation.verdict import score_name
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
    found = result.get("prevalence")
    lows_and_highs = {question: ends for question, ends in ranges(found).items() if question in rows}
    if not lows_and_highs:
        return (
            f"{text} How common the findings are in the data set is not known here, because DATA_ROOT has no label "
            "table (ptbxl_database.csv) that answers the questions; calibration and predictive values at its "
            "prevalence are missing."
        )
    known = [100 * row["prevalence"] for row in rows.values() if "prevalence" in row]
    simulated = found.get("simulated", 0)
    design = f", {simulated} of them simulated, whose findings are as common as the simulator makes them by design"
    text += f" In the data set ({found['recordings']} recordings in its label table{design if simulated else ''}) "
    if known:
        text += (
            f"yes is right in {_median(known)} of the recordings that the labels answer, and at most "
            f"{100 * MOST_OPEN:.0f} % of all are open: if all of them were yes it would be up to "
            f"{max(100 * ends[1] for question, ends in lows_and_highs.items() if 'prevalence' in rows[question]):.1f} %"
        )
    if wide := [ends for question, ends in lows_and_highs.items() if "prevalence" not in rows[question]]:
        low, high, unknown = (
            [100 * share for share in each] for each in zip(*((*e, e[1] - e[0]) for e in wide), strict=True)
        )
        text += (
            f"{'; for' if known else 'for'} {len(wide)} {'other ' if known else ''}questions the prevalence is not "
            f"known, and predictive values at it are missing: the labels leave {_median(unknown)} open, so that it "
            f"lies between {median(low):.1f} and {median(high):.1f} % (medians)"
        )
    if missing := len(rows) - len(lows_and_highs):
        text += f"; for {missing} questions the table does not tell"
    return f"{text}."


def _median(percent: Sequence[float]) -> str:
    if len(percent) == 1:
        return f"{percent[0]:.1f} %"
    return f"{median(percent):.1f} % (median of {len(percent)} questions; {min(percent):.1f} to {max(percent):.1f} %)"


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


def retrieval_lines(result: Mapping[str, Any]) -> list[str]:
    """How similar recordings were found, and what they, and the ECG beyond them, add to the score; [] without them."""
    if not (found := result.get("data", {}).get("retrieval")):
        return []
    number = found["neighbours"]
    lines = [
        f"prompts have the {found['content']} of {number} similar training recording{'s' * (number > 1)} of other "
        f"patients, by {found['by']} among {found['indexed']}"
    ]
    if found["distance"]:
        low, median, high = found["distance"]
        lines[0] += f"; distance of the nearest {median:.2f} (median; {low:.2f} to {high:.2f})"
    if found["without"] or found["fewer"]:
        lines[0] += f"; {found['without']} of {found['recordings']} recordings have none, {found['fewer']} have fewer"
    if "gap" in result:
        lines.append("the signal-use gap includes what these texts say: floors have no texts that this ECG has found")
    for key, what in (("neighbours_add", "similar recordings"), ("ecg_adds", "the ECG beyond these texts")):
        for added in result.get(key, ()):
            line = (
                f"{what}: {points(added['value'])} points{interval(added['ci95'])} of {score_name(added['of'])} "
                f"compared with {CONDITIONS[added['over']].meaning}"
            )
            if lacking := added["samples"] - added["with_neighbours"]:
                line += f", over {added['samples']} samples, {lacking} of them without similar recordings"
            lines.append(line)
    return lines
