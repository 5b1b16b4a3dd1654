"""Finds labels in an answer, and scores sets of labels by macro F1, macro AUC and Hamming loss."""

import re
from collections.abc import Collection, Sequence
from typing import Any, Literal

import numpy as np

from cardiolect.utils.errors import UserError

Form = Literal["strict", "legacy"]


def find_labels(text: str, labels: Sequence[str], form: Form = "strict", after: str | None = None) -> set[str]:
    """The labels in a text, case-sensitive; if ``after`` occurs, only what follows its last occurrence is read.

    strict: a label is a separate word; hyphens belong to words, so neither "ABNORMAL" nor "non-NORM" holds NORM, and
    "II-AVB" does not hold I-AVB. legacy: a label is a substring: "ABNORMAL" holds NORM, "MICROVOLT" holds MI; only
    if ABNORMAL is itself a label does it exclude NORM. Neither understands negation: "no AF" holds AF.
    """
    if after:
        text = text.rsplit(after, 1)[-1]
    if form == "legacy":
        found = {label for label in labels if label in text}
        return found - {"NORM"} if "ABNORMAL" in found else found
    return {label for label in labels if re.search(rf"(?<![\w-]){re.escape(label)}(?![\w-])", text)}


def label_scores(
    truth: Sequence[Collection[str]], predicted: Sequence[Collection[str]], labels: Sequence[str], form: Form = "strict"
) -> dict[str, Any]:
    """``macro_f1``, ``macro_auc`` and ``hamming`` of one set of labels per sample, as fractions.

    AUC is that of 0/1 predictions, (sensitivity + specificity) / 2. Hamming is the share of wrong decisions:
    lower is better.

    strict: decisions are over all ``labels``. F1 is the mean over those that are true or claimed at least once (a label
    that is claimed but never true scores 0), AUC the mean over those that are true in some samples but not in all;
    ``not_judged`` names the labels without an AUC. A sample without any label is ``unparsed``: it claims nothing, and
    in Hamming all its decisions are wrong, since otherwise silence would score well. Scores without any label to
    average over are left out.

    legacy: decisions are over the labels that are true at least once; others are dropped, even if claimed. A label that
    is true in every sample has no AUC, and the mean is then NaN as well.
    """
    if len(truth) != len(predicted):
        raise UserError(f"{len(predicted)} predicted sets of labels for {len(truth)} true ones")
    if not truth:
        return {}
    true, claimed = _columns(truth, labels), _columns(predicted, labels)
    if form == "legacy":
        known = true.any(axis=0)
        true, claimed = true[:, known], claimed[:, known]
        if not known.any():
            return {name: float("nan") for name in ("macro_f1", "macro_auc", "hamming")}
        return {
            "macro_f1": float(_f1(true, claimed).mean()),
            "macro_auc": float(_auc(true, claimed).mean()),
            "hamming": float((true != claimed).mean()),
        }

    silent = ~claimed.any(axis=1)
    scores: dict[str, Any] = {}
    if (counted := (true | claimed).any(axis=0)).any():
        scores["macro_f1"] = float(_f1(true, claimed)[counted].mean())
    judged = true.any(axis=0) & ~true.all(axis=0)
    if judged.any():
        scores["macro_auc"] = float(_auc(true, claimed)[judged].mean())
    scores["hamming"] = float(((true != claimed) | silent[:, None]).mean())
    scores["not_judged"] = [label for label, is_judged in zip(labels, judged, strict=True) if not is_judged]
    scores["unparsed"] = int(silent.sum())
    return scores


def _columns(sets: Sequence[Collection[str]], labels: Sequence[str]) -> np.ndarray:
    """Bool ``(samples, labels)``."""
    return np.array([[label in found for label in labels] for found in sets], dtype=bool)


def _f1(true: np.ndarray, claimed: np.ndarray) -> np.ndarray:
    """Per column; 0 if there is neither a true nor a claimed label."""
    return 2 * (true & claimed).sum(axis=0) / np.maximum(true.sum(axis=0) + claimed.sum(axis=0), 1)


def _auc(true: np.ndarray, claimed: np.ndarray) -> np.ndarray:
    """Per column; NaN if all samples are of one class."""
    with np.errstate(invalid="ignore"):
        sensitivity = (true & claimed).sum(axis=0) / true.sum(axis=0)
        specificity = (~true & ~claimed).sum(axis=0) / (~true).sum(axis=0)
    return (sensitivity + specificity) / 2
