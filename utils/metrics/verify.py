"""Sensitivity, specificity, AUROC and predictive values of answers to yes-or-no questions, with intervals."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cardiolect.utils.answers import NO, YES
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.bootstrap import Clusters
from cardiolect.utils.metrics.normalised_match import answer_set
from cardiolect.utils.metrics.proportions import (
    Ends,
    auroc_interval,
    mean_interval,
    predictive_values,
    wilson,
)

FEWEST_OF_EACH = 5  # patients with yes, and with no, that a question needs to count in a mean
MEANS = ("balanced_accuracy", "auroc")
_AT_ONCE = 100  # resamples, to limit memory

Patients = Sequence[Hashable | tuple[Hashable, ...]]


@dataclass(frozen=True)
class _Asked:
    """The samples of one question: their places, gold answers, correctness, and margins if all are known, ``(n,)``."""

    places: np.ndarray
    is_yes: np.ndarray
    right: np.ndarray
    margins: np.ndarray | None


def verify_scores(
    questions: Sequence[str],
    answers: Sequence[Sequence[str]],
    predictions: Sequence[str],
    margins: Sequence[float | None] | None = None,
    patients: Patients | None = None,
) -> dict[str, dict[str, Any]]:
    """``{question: figures}``, the first part of `verify_means`."""
    return verify_means(questions, answers, predictions, margins, patients)[0]


def verify_means(
    questions: Sequence[str],
    answers: Sequence[Sequence[str]],
    predictions: Sequence[str],
    margins: Sequence[float | None] | None = None,
    patients: Patients | None = None,
    prevalence: Mapping[str, float] | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """``{question: figures}`` for every question whose gold answers include both yes and no, and means over questions.

    Answers are read as `normalised_match` reads them; anything but yes or no counts as wrong. Raises `UserError` for a
    margin that is not finite.

    Figures: ``yes`` and ``no``, the numbers of gold answers; ``yes_patients`` and ``no_patients``, those of patients
    with them; ``sensitivity``, the share of gold yes answered yes, and ``specificity``, the share of gold no answered
    no; ``balanced_accuracy``, their mean, 0.5 by guessing; ``auroc`` of ``margins`` (how much more likely yes is than
    no; if one is None, the question has no auroc), which needs no threshold: if it is high and balanced accuracy is
    not, the model ranks well but says yes too often or too rarely. Each has an interval, ``..._ci95``: of resampled
    ``patients`` (as in `bootstrap_ci`), but at least as wide as for as many independent patients as there are
    (`proportions`), because a resampled perfect score has no width. Without ``patients``, samples count as independent.

    ``ppv`` and ``npv``: how often yes, and no, would be right if half of all recordings had the finding, and
    ``ppv_at_prevalence`` and ``npv_at_prevalence`` at the ``prevalence`` of the question, if it is given (0 to 1);
    None if the model never gives the answer. Their intervals are those at both ends of sensitivity and specificity
    together, and thus conservative.

    Means: of ``balanced_accuracy`` and ``auroc``, each with its interval, over questions of which at least
    `FEWEST_OF_EACH` patients have yes and as many have no (``in_mean``). ``counted`` and ``left_out``: the numbers of
    questions that do and do not count.
    """
    lists = [answers, predictions, *(each for each in (margins, patients) if each is not None)]
    if any(len(each) != len(questions) for each in lists):
        raise UserError(f"{len(predictions)} predictions for {len(questions)} questions and {len(answers)} answers")
    for place, margin in enumerate(margins or ()):
        if margin is not None and not np.isfinite(margin):
            raise UserError(f"sample {place}: a margin of {margin} cannot be ranked; give None if it is not known")
    if patients is not None and None in patients:
        raise UserError(f"sample {list(patients).index(None)} has no patient; give its record instead")
    asked = _by_question(questions, answers, predictions, margins)
    if not asked:
        return {}, {"counted": 0, "left_out": 0}
    used = sorted({int(place) for each in asked.values() for place in each.places})
    clusters = Clusters.of([place if patients is None else patients[place] for place in used])
    of_samples = dict(zip(used, clusters.of_samples.tolist(), strict=True))
    cluster_of = {question: np.array([of_samples[k] for k in each.places]) for question, each in asked.items()}
    rows = {question: _figures(each, clusters, cluster_of[question]) for question, each in asked.items()}
    counted = [question for question, row in rows.items() if row["in_mean"]]
    means: dict[str, Any] = {"counted": len(counted), "left_out": len(rows) - len(counted)}
    draws = None
    if patients is not None and clusters.n_patients > 1:
        draws = _draw(asked, clusters, cluster_of, n_resamples, seed)
    for name in MEANS:
        kept = [question for question in counted if name in rows[question]]
        if kept:
            values = [rows[question][name] for question in kept]
            ends = mean_interval(values, [rows[question][f"{name}_ci95"] for question in kept])
            if draws:
                resampled = np.stack([draws[question][name] for question in kept])
                weight = ~np.isnan(resampled)
                mean = np.where(weight, resampled, 0).sum(0) / np.maximum(weight.sum(0), 1)
                ends = _wider(ends, mean[weight.any(0)])
            means |= {name: float(np.mean(values)), f"{name}_ci95": ends}
    for question, row in rows.items():
        for name, drawn in (draws[question] if draws else {}).items():
            row[f"{name}_ci95"] = _wider(row[f"{name}_ci95"], drawn[~np.isnan(drawn)])
        _add_predictive_values(row, (prevalence or {}).get(question))
    return rows, means


def _by_question(
    questions: Sequence[str],
    answers: Sequence[Sequence[str]],
    predictions: Sequence[str],
    margins: Sequence[float | None] | None,
) -> dict[str, _Asked]:
    """The samples of every question with both answers, sorted by question."""
    grouped: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for place, (question, gold) in enumerate(zip(questions, answers, strict=True)):
        if (truth := yes_or_no(gold)) is not None:
            grouped[question].append((place, truth))
    found = {}
    for question, members in sorted(grouped.items()):
        places, truths = zip(*members, strict=True)
        if set(truths) == {YES, NO}:
            right = [answer_set(predictions[place]) == {truth} for place, truth in members]
            known = None if margins is None else [margins[place] for place in places]
            ranked = None if known is None or None in known else np.array(known, dtype=np.float64)
            is_yes = np.array([truth == YES for truth in truths])
            found[question] = _Asked(np.array(places), is_yes, np.array(right), ranked)
    return found


def yes_or_no(gold: Sequence[str]) -> str | None:
    """`YES` or `NO`, in whatever spelling it is the right answer; None if neither is."""
    answers = answer_set(gold)
    return next(iter(answers)) if answers in ({YES}, {NO}) else None


def _figures(asked: _Asked, clusters: Clusters, cluster: np.ndarray) -> dict[str, Any]:
    """The figures of one question, with intervals for as many independent patients as it has."""
    counts, patients, rates, ends = {}, {}, {}, {}
    for name, rows in ((YES, asked.is_yes), (NO, ~asked.is_yes)):
        people = np.unique(clusters.members[cluster[rows]])
        counts[name] = int(rows.sum())
        patients[name] = min(int((people < clusters.n_patients).sum()), counts[name])
        rates[name] = float(asked.right[rows].mean())
        ends[name] = wilson(rates[name] * patients[name], patients[name])
    row = {
        "yes": counts[YES],
        "no": counts[NO],
        "yes_patients": patients[YES],
        "no_patients": patients[NO],
        "in_mean": min(patients.values()) >= FEWEST_OF_EACH,
        "sensitivity": rates[YES],
        "specificity": rates[NO],
        "sensitivity_ci95": ends[YES],
        "specificity_ci95": ends[NO],
        "balanced_accuracy": (rates[YES] + rates[NO]) / 2,
        "balanced_accuracy_ci95": mean_interval([rates[YES], rates[NO]], [ends[YES], ends[NO]]),
    }
    if asked.margins is not None:
        row["auroc"] = float(_weighted_auroc(asked, np.ones((1, len(cluster))))[0])
        row["auroc_ci95"] = auroc_interval(row["auroc"], patients[YES], patients[NO])
    return row


def _draw(
    asked: Mapping[str, _Asked],
    clusters: Clusters,
    cluster_of: Mapping[str, np.ndarray],
    n_resamples: int,
    seed: int,
) -> dict[str, dict[str, np.ndarray]]:
    """``{question: {figure: (n_resamples,)}}``; all questions share the resamples, undefined figures are NaN."""
    parts: dict[str, dict[str, list[np.ndarray]]] = {question: defaultdict(list) for question in asked}
    resamples = clusters.resamples(seed)
    for start in range(0, n_resamples, _AT_ONCE):
        drawn = np.stack([next(resamples) for _ in range(min(_AT_ONCE, n_resamples - start))]).astype(np.float64)
        for question, each in asked.items():
            weights, found = drawn[:, cluster_of[question]], parts[question]
            with np.errstate(invalid="ignore", divide="ignore"):
                for name, rows in (("sensitivity", each.is_yes), ("specificity", ~each.is_yes)):
                    found[name].append(weights @ (rows & each.right) / (weights @ rows))
                found["balanced_accuracy"].append((found["sensitivity"][-1] + found["specificity"][-1]) / 2)
                if each.margins is not None:
                    found["auroc"].append(_weighted_auroc(each, weights))
    return {
        question: {name: np.concatenate(chunks) for name, chunks in found.items()} for question, found in parts.items()
    }


def _weighted_auroc(asked: _Asked, weights: np.ndarray) -> np.ndarray:
    """``weights (resamples, n)`` -> AUROC of each resample; equal margins count half."""
    order = np.argsort(asked.margins, kind="stable")
    ranked, is_yes, weights = asked.margins[order], asked.is_yes[order], weights[:, order]
    below = np.pad(np.cumsum(weights * ~is_yes, axis=1), ((0, 0), (1, 0)))
    first, last = (np.searchsorted(ranked, ranked, side) for side in ("left", "right"))
    won = (below[:, first] + below[:, last]) / 2
    return (won * weights * is_yes).sum(1) / ((weights @ is_yes) * below[:, -1])


def _wider(ends: Ends, drawn: np.ndarray) -> Ends:
    """The interval that holds ``ends`` and the 95 % of the ``drawn`` values."""
    if not len(drawn):
        return ends
    low, high = np.quantile(drawn, [0.025, 0.975])
    return [min(ends[0], float(low)), max(ends[1], float(high))]


def _add_predictive_values(row: dict[str, Any], prevalence: float | None) -> None:
    wanted = {"": 0.5} if prevalence is None else {"": 0.5, "_at_prevalence": prevalence}
    if prevalence is not None:
        row["prevalence"] = prevalence
    rates = ("sensitivity", "specificity")
    for suffix, share in wanted.items():
        values = predictive_values(*(row[rate] for rate in rates), share)
        ends = [predictive_values(*(row[f"{rate}_ci95"][k] for rate in rates), share) for k in (0, 1)]
        for k, name in enumerate(("ppv", "npv")):
            row[f"{name}{suffix}"] = values[k]
            row[f"{name}{suffix}_ci95"] = [
                0.0 if ends[0][k] is None else ends[0][k],
                1.0 if ends[1][k] is None else ends[1][k],
            ]
