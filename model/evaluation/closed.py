"""Confusion and calibration for closed questions, whose possible answers are known beforehand; selective answers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cardiolect.model.evaluation.conditions import WITH_ECG
from cardiolect.model.evaluation.samples import Sample
from cardiolect.utils.metrics import NO, YES, calibration, confusion
from cardiolect.utils.metrics.normalised_match import answer_set
from cardiolect.utils.metrics.selective import selective
from cardiolect.utils.metrics.verify import yes_or_no

CLOSED = ("verify", "choose")  # the ends of their question types


def is_closed(sample: Sample) -> bool:
    """Whether a question is a yes-or-no question or names its options; comparisons of two ECGs may be closed too."""
    return sample.question_type.endswith(CLOSED)


def closed_scores(
    samples: Sequence[Sample],
    matches: Mapping[str, np.ndarray],
    verify: Mapping[str, Mapping[str, Any]],
    prevalence: Mapping[str, float],
) -> dict[str, Any]:
    """``confusion`` with the ECG per question type and template, and ``calibration`` per condition.

    Empty without closed questions. matches: condition -> whether each answer is right. The confidence of an answer is
    the probability of its text and end, or, if it was ranked, its probability among the candidates; texts that were cut
    off have none. Labels are answers in lower case, joined by "+" if there are several.

    ``calibration_at_prevalence``: the same for the yes-or-no questions of ``verify`` that count in its means and whose
    ``prevalence`` is known (question -> share), each sample weighted so that yes is as common as in the data set;
    ``calibration_of_same``: of the same samples without weights.
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
    weights = _weights(samples, verify, prevalence)
    for condition in samples[0].probabilities:
        known = [i for i in closed if condition in samples[i].probabilities and condition not in samples[i].cut_off]
        weighted = [i for i in known if i in weights]
        for key, rows, weigh in (
            ("calibration", known, None),
            ("calibration_of_same", weighted, None),
            ("calibration_at_prevalence", weighted, [weights[i] for i in weighted]),
        ):
            if rows:
                sure = [samples[i].probabilities[condition] for i in rows]
                right = [bool(matches[condition][i]) for i in rows]
                found.setdefault(key, {})[condition] = calibration(sure, right, weights=weigh)
    return found


def selective_scores(
    samples: Sequence[Sample], right: np.ndarray, n_resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """``selective``: accuracy of the surest answers with the ECG, of ``all`` questions and of ``yes_or_no`` ones.

    right: whether each answer is right. Confidence is that of `closed_scores`; texts that were cut off have none. Empty
    without any.
    """
    known = [i for i, s in enumerate(samples) if WITH_ECG in s.probabilities and WITH_ECG not in s.cut_off]
    parts = {"all": known, "yes_or_no": [i for i in known if samples[i].question_type.endswith("verify")]}
    found = {
        name: selective(
            [samples[i].probabilities[WITH_ECG] for i in rows],
            [bool(right[i]) for i in rows],
            [samples[i].patients for i in rows],
            n_resamples,
            seed,
        )
        for name, rows in parts.items()
        if rows
    }
    return {"selective": found} if found else {}


def _weights(
    samples: Sequence[Sample], verify: Mapping[str, Mapping[str, Any]], prevalence: Mapping[str, float]
) -> dict[int, float]:
    """Index of a sample -> its weight: how much more common its answer is in the data set than in the evaluation."""
    found = {}
    for i, sample in enumerate(samples):
        row, share = verify.get(sample.question, {}), prevalence.get(sample.question, 0.0)
        truth = yes_or_no(sample.answers)
        if truth is not None and row.get("in_mean") and 0 < share < 1:
            n = row[YES] + row[NO]
            found[i] = share * n / row[YES] if truth == YES else (1 - share) * n / row[NO]
    return found


def _label(answers: str | Sequence[str]) -> str:
    return " + ".join(sorted(answer_set(answers))) or "(nothing)"


def _order(group: tuple[str, Sequence[int]]) -> tuple[bool, int, str]:
    """Sorts question types before templates, and templates by number."""
    number = group[0].removeprefix("template ")
    return (True, int(number), "") if number.isdecimal() else (False, 0, number)
