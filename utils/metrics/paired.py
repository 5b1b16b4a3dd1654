"""Compares two systems on the same samples: their difference, its interval, and a randomisation test."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.bootstrap import Interval
from cardiolect.utils.metrics.scores import Scores, bootstrap_score

FEW_BLOCKS = 12  # with up to this many, all (2 ** 12) exchanges are evaluated
_ROUNDING = 1e-10  # differences this close are equal
_AT_ONCE = 256  # exchanges drawn at once, to limit memory

Statistic = Callable[[dict[str, float]], float]


@dataclass(frozen=True)
class PairedTest:
    """A comparison of two systems.

    a, b: the value of each. difference: b - a, with its interval over patients. p: two-sided, for the hypothesis that
    it does not matter which system answered for which patient; None if all samples are linked. exact: whether p is from
    all exchanges, not from random ones. n_blocks: groups of patients that no sample links to another group.
    largest_block: share of the samples in the largest group; if it is near 1, so is p, whatever the difference.
    """

    a: float
    b: float
    difference: Interval
    p: float | None
    exact: bool
    n_blocks: int
    largest_block: float


def paired_test(
    name: str,
    a: Scores,
    b: Scores,
    patients: Sequence[Hashable | tuple[Hashable, ...]],
    n_resamples: int = 1000,
    seed: int = 0,
) -> PairedTest:
    """Compare two systems by the score ``name``, of samples or of the corpus; see `paired_test_of`."""
    return paired_test_of(lambda values: values["all"], name, {"all": a}, {"all": b}, patients, n_resamples, seed)


def paired_test_of(
    statistic: Statistic,
    name: str,
    a: Mapping[str, Scores],
    b: Mapping[str, Scores],
    patients: Sequence[Hashable | tuple[Hashable, ...]],
    n_resamples: int = 1000,
    seed: int = 0,
) -> PairedTest:
    """Compare two systems by a function of one score under several conditions, such as the signal-use gap.

    statistic: maps ``{condition: value of the score}`` of one system to a number. a, b: condition -> scores of the same
    samples in the same order; both have the same conditions. patients: as in `bootstrap_score`, which gives the
    interval; ``n_resamples`` is the number of its resamples, and of random exchanges for p.

    p is from a randomisation test: the two systems are exchanged at random for whole patients, in all conditions at
    once, and p is the share of exchanges whose absolute difference is at least as large as the observed one. Scores are
    computed anew from exchanged columns, so the test is valid for corpus scores too. If the systems differ on at most
    `FEW_BLOCKS` patients, all exchanges are evaluated; otherwise p is (1 + hits) / (1 + n_resamples), which counts the
    observed one and is never 0. Questions about one patient are exchanged together, since they tend to be right or
    wrong together; patients that are compared by a sample, or linked by a chain of such samples, are one block.

    Source: Fisher, The Design of Experiments, 1935, section 21; Pitman, Supplement to JRSS 4:119, 1937; approximate
    randomisation: Noreen, Computer-Intensive Methods for Testing Hypotheses, 1989; the choice for language: Dror et
    al., The Hitchhiker's Guide to Testing Statistical Significance in NLP, ACL 2018; p of drawn exchanges: Phipson &
    Smyth, Statistical Applications in Genetics and Molecular Biology 9:39, 2010.
    """
    if a.keys() != b.keys():
        raise UserError(f"one system was scored under {', '.join(a)}, the other under {', '.join(b)}")
    both = {f"{system}: {c}": scores for system, of in (("a", a), ("b", b)) for c, scores in of.items()}

    def difference(values: dict[str, float]) -> float:
        return statistic({c: values[f"b: {c}"] for c in b}) - statistic({c: values[f"a: {c}"] for c in a})

    interval = bootstrap_score(name, both, patients, difference, n_resamples, seed)
    values = [statistic({c: scores.values[name] for c, scores in system.items()}) for system in (a, b)]
    blocks = independent_blocks(patients)
    sizes = np.bincount(blocks)
    p, exact = None, False
    if len(sizes) > 1:
        p, exact = _randomisation_p(statistic, name, a, b, blocks, n_resamples, seed)
    largest = float(sizes.max() / len(blocks))
    return PairedTest(*values, interval, p, exact, len(sizes), largest)


def independent_blocks(patients: Sequence[Hashable | tuple[Hashable, ...]]) -> np.ndarray:
    """The number of each sample's block, from 0, ``(n,)``; samples that share patients, even indirectly, share one."""
    numbers: dict[Hashable, int] = {}
    of_samples = [
        [numbers.setdefault(p, len(numbers)) for p in (patient if isinstance(patient, tuple) else (patient,))]
        for patient in patients
    ]
    ties = [(of_one[0], other) for of_one in of_samples for other in of_one]
    rows, columns = np.array(ties).T
    graph = coo_matrix((np.ones(len(ties)), (rows, columns)), shape=(len(numbers), len(numbers)))
    labels = connected_components(graph, directed=False)[1]
    return labels[[of_one[0] for of_one in of_samples]]


def cross_table(a: Sequence[float], b: Sequence[float]) -> dict[str, int] | None:
    """The numbers of samples on which both systems, one or neither is right; None if scores are not all 0 or 1."""
    first, second = np.asarray(a), np.asarray(b)
    if not np.isin(np.concatenate([first, second]), (0, 1)).all():
        return None
    counts = {
        "both": first * second,
        "only_a": first * (1 - second),
        "only_b": (1 - first) * second,
        "neither": (1 - first) * (1 - second),
    }
    return {key: int(column.sum()) for key, column in counts.items()}


def _randomisation_p(
    statistic: Statistic,
    name: str,
    a: Mapping[str, Scores],
    b: Mapping[str, Scores],
    blocks: np.ndarray,
    n_resamples: int,
    seed: int,
) -> tuple[float, bool]:
    """``(p, whether it is exact)``."""
    keys = [(c, column) for c, s in a.items() for column in s.columns if column == name or s.of_samples(name) is None]
    first, second = (
        np.stack([np.bincount(blocks, weights=system[c].columns[column]) for c, column in keys], axis=1)
        for system in (a, b)
    )
    moved = second - first  # (blocks, columns): what a's sums gain and b's lose if a block is exchanged
    moved = moved[np.abs(moved).max(axis=1) > _ROUNDING]  # other blocks change nothing
    totals, n = (first.sum(axis=0), second.sum(axis=0)), len(blocks)

    def differences(exchanged: np.ndarray) -> np.ndarray:
        gained = exchanged.astype(np.float64) @ moved
        return np.array(
            [
                value(second_sums) - value(first_sums)
                for first_sums, second_sums in zip(totals[0] + gained, totals[1] - gained, strict=True)
            ]
        )

    def value(sums: np.ndarray) -> float:
        means: dict[str, dict[str, float]] = {c: {} for c in a}
        for (c, column), total in zip(keys, sums, strict=True):
            means[c][column] = total / n
        return statistic({c: float(s.formulas[name](means[c], n)) for c, s in a.items()})

    observed = abs(differences(np.zeros((1, len(moved))))[0])
    exact = len(moved) <= FEW_BLOCKS
    exchanges = _all(len(moved)) if exact else _drawn(len(moved), n_resamples, seed)
    hits = sum(int((np.abs(differences(each)) >= observed - _ROUNDING).sum()) for each in exchanges)
    return (hits / 2 ** len(moved) if exact else (1 + hits) / (1 + n_resamples)), exact


def _all(n_blocks: int) -> Iterator[np.ndarray]:
    yield np.arange(2**n_blocks)[:, None] >> np.arange(n_blocks) & 1


def _drawn(n_blocks: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    for start in range(0, n_resamples, _AT_ONCE):
        yield rng.integers(0, 2, size=(min(_AT_ONCE, n_resamples - start), n_blocks), dtype=np.int8)
