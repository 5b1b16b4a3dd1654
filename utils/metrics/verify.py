"""Sensitivity and specificity of answers to yes-or-no questions."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.normalised_match import answer_set

YES, NO = "yes", "no"


def verify_scores(
    questions: Sequence[str],
    answers: Sequence[Sequence[str]],
    predictions: Sequence[str],
    margins: Sequence[float | None] | None = None,
) -> dict[str, dict[str, Any]]:
    """``{question: figures}`` for every question whose gold answers include both yes and no.

    Figures: ``yes`` and ``no``, the numbers of gold answers; ``sensitivity``, the share of gold yes answered yes, and
    ``specificity``, the share of gold no answered no, with 95 % intervals; ``balanced_accuracy``, their mean, 0.5 by
    guessing. Any other answer counts as wrong; case, spaces and full stops do not matter. ``auroc`` of ``margins`` (how
    much more likely yes is than no; if one is None, the question has no auroc) needs no threshold: if it is high and
    balanced accuracy is not, the model ranks well but says yes too often or too rarely.
    """
    if not len(questions) == len(answers) == len(predictions) == len(margins if margins is not None else questions):
        raise UserError(f"{len(predictions)} predictions for {len(questions)} questions and {len(answers)} answers")
    grouped: dict[str, dict[str, list[tuple[set[str], float | None]]]] = defaultdict(lambda: {YES: [], NO: []})
    for k, (question, truth, predicted) in enumerate(zip(questions, answers, predictions, strict=True)):
        if tuple(truth) in ((YES,), (NO,)):
            grouped[question][truth[0]].append((answer_set(predicted), margins and margins[k]))
    found = {}
    for question, by_truth in sorted(grouped.items()):
        if not by_truth[YES] or not by_truth[NO]:
            continue
        hits = {truth: sum(predicted == {truth} for predicted, _ in rows) for truth, rows in by_truth.items()}
        rates = {truth: hits[truth] / len(rows) for truth, rows in by_truth.items()}
        found[question] = {
            "yes": len(by_truth[YES]),
            "no": len(by_truth[NO]),
            "sensitivity": rates[YES],
            "specificity": rates[NO],
            "sensitivity_ci95": wilson(hits[YES], len(by_truth[YES])),
            "specificity_ci95": wilson(hits[NO], len(by_truth[NO])),
            "balanced_accuracy": (rates[YES] + rates[NO]) / 2,
        }
        truths, ranks = zip(*((truth == YES, m) for truth, rows in by_truth.items() for _, m in rows), strict=True)
        if None not in ranks:
            found[question]["auroc"] = float(roc_auc_score(truths, ranks))
    return found


def wilson(hits: int, n: int) -> list[float]:
    """95 % interval of the proportion ``hits`` / ``n`` (Wilson 1927, JASA 22:209); also valid for small n."""
    return [float(end) for end in binomtest(hits, n).proportion_ci(method="wilson")]
