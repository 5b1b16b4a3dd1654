"""Confusion and calibration for closed questions, whose possible answers are known beforehand."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cardiolect.model.evaluation.conditions import WITH_ECG
from cardiolect.model.evaluation.samples import Sample
from cardiolect.utils.metrics import calibration, confusion
from cardiolect.utils.metrics.normalised_match import answer_set

CLOSED = ("verify", "choose")  # the ends of their question types


def is_closed(sample: Sample) -> bool:
    """Whether a question is a yes-or-no question or names its options; comparisons of two ECGs may be closed too."""
    return sample.question_type.endswith(CLOSED)


def closed_scores(samples: Sequence[Sample], matches: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """``confusion`` with the ECG per question type and template, and ``calibration`` per condition.

    Empty without closed questions. matches: condition -> whether each answer is right. The confidence of an answer is
    the probability of its text and end, or, if it was ranked, its probability among the candidates; texts that were cut
    off have none. Labels are answers in lower case, joined by "+" if there are several.
    """
    closed = [i for i, sample in enumerate(samples) if is_closed(sample)]
    if not closed:
        return {}
    members: dict[str, list[int]] = defaultdict(list)
    for i in closed:
        members[samples[i].question_type].append(i)
        if samples[i].template_id is not None:
            members[f"template {samples[i].template_id}"].append(i)
    found: dict[str, Any] = {
        "confusion": {
            group: confusion(
                [_label(samples[i].answers) for i in rows], [_label(samples[i].predictions[WITH_ECG]) for i in rows]
            )
            for group, rows in sorted(members.items(), key=_order)
        }
    }
    for condition in samples[0].probabilities:
        known = [i for i in closed if condition in samples[i].probabilities and condition not in samples[i].cut_off]
        if not known:
            continue
        sure = [samples[i].probabilities[condition] for i in known]
        found.setdefault("calibration", {})[condition] = calibration(sure, [bool(matches[condition][i]) for i in known])
    return found


def _label(answers: str | Sequence[str]) -> str:
    return " + ".join(sorted(answer_set(answers))) or "(nothing)"


def _order(group: tuple[str, Sequence[int]]) -> tuple[bool, int, str]:
    """Sorts question types before templates, and templates by number."""
    number = group[0].removeprefix("template ")
    return (True, int(number), "") if number.isdecimal() else (False, 0, number)
