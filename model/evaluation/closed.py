"""Questions whose possible answers are known beforehand: which answer is taken for which, and how sure the model is."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cardiolect.model.evaluation.conditions import WITH_ECG
from cardiolect.model.evaluation.samples import Sample
from cardiolect.utils.metrics import calibration, confusion
from cardiolect.utils.metrics.normalised_match import answer_set

CLOSED = ("verify", "choose")  # how their question types end


def is_closed(sample: Sample) -> bool:
    """Yes-or-no questions and those that name the options; comparisons of two ECGs included."""
    return sample.question_type.endswith(CLOSED)


def closed_scores(samples: Sequence[Sample], matches: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """``confusion`` per question type and template with the ECG, and ``calibration`` per condition; {} without any.

    matches: condition -> whether each sample is answered rightly. A confidence is the probability that the model gave
    to the very text of its answer, its end included; of a ranked answer, to it among the candidates. Texts that were
    cut off have none. Answers are shown in lower case, several of them joined by "+".
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
                [_shown(samples[i].answers) for i in rows], [_shown(samples[i].predictions[WITH_ECG]) for i in rows]
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


def _shown(answers: str | Sequence[str]) -> str:
    return " + ".join(sorted(answer_set(answers))) or "(nothing)"


def _order(group: tuple[str, Sequence[int]]) -> tuple[bool, int, str]:
    """Question types, then templates by number."""
    number = group[0].removeprefix("template ")
    return (True, int(number), "") if number.isdecimal() else (False, 0, number)
