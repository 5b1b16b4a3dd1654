"""Platt's map from margins to probabilities, for many yes-or-no questions at once.

Every question has an intercept of its own, because findings differ in how common they are, and all share one slope.
Intercepts are shrunk towards their mean, as in a random-intercept model, so a question with few positives is not
fitted to noise.

Source: Platt 1999, Probabilistic Outputs for Support Vector Machines; Gelman & Hill 2007, chapter 12, for shrinkage.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from sklearn.model_selection import GroupKFold

from cardiolect.utils.errors import UserError

PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)  # of the squares of deviations from the shared intercept
FOLDS = 5
LEAST_SLOPE = 1e-3  # with standardised margins; above zero, so that the order of margins is kept
_RIDGE = 1e-3  # of the slope; it ends the fit if yes and no are separated without error


@dataclass(frozen=True)
class PlattMaps:
    """``log-odds of yes = slope * margin + intercepts[question]``.

    intercept: the mean of the intercepts, towards which they are shrunk by ``penalty``. held_out: log-odds of every
    sample by maps fitted without its patient, ``(n,)``. log_loss: penalty -> mean log loss of these.
    """

    slope: float
    intercept: float
    intercepts: dict[str, float]
    penalty: float
    held_out: np.ndarray
    log_loss: dict[float, float]


def fit_platt(
    margins: Sequence[float],
    is_yes: Sequence[bool],
    questions: Sequence[str],
    patients: Sequence[Hashable],
) -> PlattMaps:
    """Fit the maps; the penalty is the one of `PENALTIES` with the least log loss on patients left out of the fit.

    margins: log-odds of yes as the model has them, ``(n,)``. is_yes, questions, patients: truth, question and patient
    of every sample. Raises `UserError` if there are fewer than `FOLDS` patients, or if all answers are yes, or all no.
    """
    values, truth = np.asarray(margins, dtype=np.float64), np.asarray(is_yes, dtype=bool)
    if not np.isfinite(values).all():
        raise UserError(f"sample {int(np.argmin(np.isfinite(values)))}: its margin is not a number")
    names, group = np.unique(np.asarray(questions, dtype=object), return_inverse=True)
    _, people = np.unique([str(patient) for patient in patients], return_inverse=True)
    if people.max(initial=-1) + 1 < FOLDS:
        raise UserError(f"calibration needs at least {FOLDS} patients, not {people.max(initial=-1) + 1}")
    if truth.all() or not truth.any():
        raise UserError("calibration needs samples with yes and samples with no as the right answer")
    centre, spread = values.mean(), values.std() or 1.0
    scaled = (values - centre) / spread
    held_out = {penalty: np.empty(len(values)) for penalty in PENALTIES}
    for kept, left in GroupKFold(FOLDS).split(scaled, groups=people):
        start = None
        for penalty in reversed(PENALTIES):  # each fit begins where the stronger one ended
            start = _fit(scaled[kept], truth[kept], group[kept], len(names), penalty, start)
            held_out[penalty][left] = _log_odds(start, scaled[left], group[left])
    losses = {penalty: _log_loss(found, truth) for penalty, found in held_out.items()}
    best = min(reversed(PENALTIES), key=losses.__getitem__)
    slope, shared, *deviations = _fit(scaled, truth, group, len(names), best)
    shift = shared - slope * centre / spread
    return PlattMaps(
        slope=float(slope / spread),
        intercept=float(shift),
        intercepts={str(name): float(shift + deviation) for name, deviation in zip(names, deviations, strict=True)},
        penalty=best,
        held_out=held_out[best],
        log_loss=losses,
    )


def _fit(
    scaled: np.ndarray,
    truth: np.ndarray,
    group: np.ndarray,
    n_groups: int,
    penalty: float,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """``(slope, intercept, deviations of the groups)``: the maximum of the penalised likelihood, which is concave."""

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope, deviations = parameters[0], parameters[2:]
        log_odds = _log_odds(parameters, scaled, group)
        residual = expit(log_odds) - truth
        value = _log_loss(log_odds, truth) * len(truth) + (penalty * deviations @ deviations + _RIDGE * slope**2) / 2
        of_groups = np.bincount(group, residual, n_groups) + penalty * deviations
        return value, np.array([residual @ scaled + _RIDGE * slope, residual.sum(), *of_groups])

    if start is None:
        share = truth.mean()
        start = np.array([1.0, np.log(share / (1 - share)) if 0 < share < 1 else 0.0, *np.zeros(n_groups)])
    bounds = [(LEAST_SLOPE, None), *[(None, None)] * (n_groups + 1)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 1000})
    return found.x


def _log_odds(parameters: np.ndarray, scaled: np.ndarray, group: np.ndarray) -> np.ndarray:
    return parameters[0] * scaled + parameters[1] + parameters[2:][group]


def _log_loss(log_odds: np.ndarray, truth: np.ndarray) -> float:
    return float(-np.where(truth, log_expit(log_odds), log_expit(-log_odds)).mean())
