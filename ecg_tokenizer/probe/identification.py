"""Do two recordings show the same person? By the cosine of features, which nobody has trained for it.

Whoever can match recordings can find a person in data without names, given one ECG of theirs. A representation that
matches no better than chance would keep patients anonymous; the table says how far from that it is.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.preprocessing import StandardScaler, normalize

LEAST_PATIENTS = 5  # with several recordings; an interval over fewer says nothing
RESAMPLES = 500


def too_few(patients: Sequence[str]) -> str:
    """Why people cannot be matched; "" if they can."""
    counts = Counter(patients)
    several = sum(count > 1 for count in counts.values())
    if several >= LEAST_PATIENTS:
        return ""
    return f"{several} of {len(counts)} patients have several recordings, and at least {LEAST_PATIENTS} must have"


def identify(features: Mapping[str, np.ndarray], patients: np.ndarray, seed: int = 0) -> dict:
    """Rank-1, AUROC and equal error rate of features ``(recordings, dims)`` by kind, with intervals over patients.

    rank_1: how often the most similar of all other recordings is of the same patient, if there is one; auroc: of pairs
    of one person against pairs of two; eer: the error rate at the similarity at which as many pairs of one person are
    taken for two as the other way round. Chance is that of random similarities. Resampled are the patients with several
    recordings; pairs of them with others are many, and stay. Features are standardised over all recordings.
    """
    _, whose, counts = np.unique(patients, return_inverse=True, return_counts=True)
    several = np.flatnonzero(counts > 1)
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(len(several), size=len(several)) for _ in range(RESAMPLES)]
    queries = np.flatnonzero(np.isin(whose, several))
    asked = whose[queries]
    rows, columns = np.nonzero((asked[:, None] == whose) & (queries[:, None] < np.arange(len(whose))))
    found: dict = {
        "recordings": len(patients),
        "patients": len(several),
        "pairs": len(rows),
        "chance": {
            "rank_1": float(np.mean((counts[asked] - 1) / (len(patients) - 1))),
            "auroc": 0.5,
            "eer": 0.5,
        },
    }
    for kind, each in features.items():
        unit = normalize(StandardScaler().fit_transform(each)).astype(np.float32)
        alike = unit[queries] @ unit.T
        of_two = np.sort(alike[asked[:, None] != whose])
        similar = alike[rows, columns]
        below = (np.searchsorted(of_two, similar, "left") + np.searchsorted(of_two, similar, "right")) / 2 / len(of_two)
        alike[np.arange(len(queries)), queries] = -np.inf
        hits = whose[np.argmax(alike, axis=1)] == asked
        ranks = [hits[asked == person] for person in several]
        pairs = [below[asked[rows] == person] for person in several]
        draws = np.array([_figures([ranks[i] for i in draw], [pairs[i] for i in draw]) for draw in drawn])
        values, (low, high) = _figures(ranks, pairs), np.quantile(draws, [0.025, 0.975], axis=0)
        found[kind] = {}
        for k, name in enumerate(("rank_1", "auroc", "eer")):
            found[kind] |= {name: values[k], f"{name}_ci95": [float(low[k]), float(high[k])]}
    return found


def _figures(hits: list[np.ndarray], below: list[np.ndarray]) -> tuple[float, float, float]:
    """Rank-1, AUROC and equal error rate; below: share of the pairs of two people that are less similar than a pair."""
    shares = np.sort(np.concatenate(below))
    missed = np.arange(len(shares) + 1) / len(shares)  # pairs of one person, at a threshold between two of them
    accepted = 1 - np.append(shares, 1.0)  # pairs of two people, at the same threshold
    eer = np.interp(0.0, missed - accepted, missed)
    return float(np.concatenate(hits).mean()), float(shares.mean()), float(eer)
