"""Paired tests over patients."""

import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import definition
from cardiolect.utils.metrics.paired import cross_table, independent_blocks, paired_test, paired_test_of
from cardiolect.utils.metrics.scores import Scores


def em(values):
    return Scores.per_sample({"em": values})


def clustered(rng, n_patients, n_questions):
    """Two systems without a difference; each mostly right, or mostly wrong, about one patient."""
    share = np.repeat(rng.beta(0.3, 0.3, (2, n_patients)), n_questions, axis=1)
    a, b = (rng.random(share.shape) < share).astype(float)
    return em(a), em(b), np.repeat(np.arange(n_patients), n_questions).tolist()


# The p-value


def test_p_of_few_patients_is_that_counted_by_hand():
    """Differences of three patients 2, 1, 1: of the eight sums +-2 +-1 +-1 two are as far from 0 as 4."""
    a, b = em([0, 0, 0, 0]), em([1, 1, 1, 1])
    found = paired_test("em", a, b, ["p", "p", "q", "r"])
    assert (found.p, found.exact, found.n_blocks, found.largest_block) == (2 / 8, True, 3, 0.5)
    assert (found.a, found.b, found.difference.value) == (0, 1, 1)
    turned = paired_test("em", a, em([1, 1, 0, 0]), ["p", "p", "q", "r"])  # only p differs
    assert turned.p == 1
    mixed = paired_test("em", em([0, 0, 1, 0]), em([1, 1, 0, 0]), ["p", "p", "q", "r"])  # sums +-2 +-1, seen 1
    assert mixed.p == 1
    assert paired_test("em", em([0] * 6), em([1] * 6), range(6)).p == 2 / 64


def test_p_agrees_with_scipy():
    rng = np.random.default_rng(0)
    patients = rng.integers(0, 9, 60)
    a, b = rng.random(60), rng.random(60)
    ours = paired_test("em", em(a), em(b), patients.tolist())
    sums = [np.bincount(patients, weights=column) for column in (b, a)]
    theirs = permutation_test(
        sums, lambda x, y: np.sum(x - y), permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert ours.exact and 0.01 < ours.p < 0.9 and ours.p == pytest.approx(theirs.pvalue, abs=1e-12)


def test_p_of_drawn_exchanges_agrees_with_the_sign_test():
    """Right and wrong, one question per patient: the exact p is that of McNemar's exact test."""
    b = np.repeat([1, 0], [25, 11])
    found = paired_test("em", em(1 - b), em(b), range(36), n_resamples=20_000)
    assert not found.exact
    assert found.p == pytest.approx(binomtest(25, 36).pvalue, abs=0.005)


def test_equal_systems_have_p_one_and_no_p_is_zero():
    rng = np.random.default_rng(2)
    a = em(rng.integers(0, 2, 50))
    same = paired_test("em", a, a, range(50))
    assert (same.p, same.difference.value, same.difference.low, same.difference.high) == (1, 0, 0, 0)
    assert paired_test("em", em([0] * 50), em([1] * 50), range(50), n_resamples=99).p == 1 / 100


def test_clusters_do_not_raise_false_alarms():
    """Twenty questions of each patient, alike: a test over questions would be sure of a difference that is none."""
    rng, alarms, naive = np.random.default_rng(3), 0, 0
    for _ in range(300):
        a, b, patients = clustered(rng, 30, 20)
        alarms += paired_test("em", a, b, patients, n_resamples=99).p <= 0.05
        naive += paired_test("em", a, b, range(600), n_resamples=99).p <= 0.05
    assert 0.025 <= alarms / 300 <= 0.08
    assert naive / 300 > 0.5


def test_a_real_difference_is_found():
    rng = np.random.default_rng(4)
    patients = np.repeat(np.arange(60), 5)
    a = (rng.random(300) < 0.5).astype(float)
    b = np.maximum(a, rng.random(300) < 0.3)
    found = paired_test("em", em(a), em(b), patients.tolist())
    assert found.p < 0.01 and found.difference.low > 0


# Corpus scores


def test_corpus_bleu_is_exchanged_as_the_texts_would_be():
    rng, words = np.random.default_rng(5), ["sinus", "rhythm", "normal", "ecg", "left", "axis"]
    golds, first, second = ([" ".join(rng.choice(words, rng.integers(4, 9))) for _ in range(14)] for _ in range(3))
    second = [gold if k % 3 else said for k, (gold, said) in enumerate(zip(golds, second, strict=True))]
    patients = np.arange(14) // 2
    for name, chosen in (("bleu4", "ecg-bench"), ("sacrebleu", "strict")):
        value = definition(chosen).score_texts
        found = paired_test(name, value(first, golds), value(second, golds), patients.tolist(), n_resamples=10)
        hits = 0
        for exchanged in range(2**7):
            swapped = exchanged >> patients & 1
            a = [y if s else x for x, y, s in zip(first, second, swapped, strict=True)]
            b = [x if s else y for x, y, s in zip(first, second, swapped, strict=True)]
            difference = value(b, golds).values[name] - value(a, golds).values[name]
            hits += abs(difference) >= found.difference.value - 1e-9
        assert found.exact and found.p == hits / 2**7 < 0.1


def test_the_gap_is_exchanged_with_its_floors():
    """Two systems that differ by a constant under all conditions have the same gap."""
    with_ecg, floor = np.arange(20) % 4 > 0, np.arange(20) % 2
    a = {"with_ecg": em(with_ecg), "no_ecg": em(floor)}
    b = {"with_ecg": em(with_ecg - 1.0), "no_ecg": em(floor - 1.0)}

    def gap(values):
        return values["with_ecg"] - values["no_ecg"]

    found = paired_test_of(gap, "em", a, b, range(20))
    assert (found.a, found.b, found.p) == (0.25, 0.25, 1)
    assert (found.difference.low, found.difference.high) == pytest.approx((0, 0))
    blind = paired_test_of(gap, "em", a, {"with_ecg": em(floor), "no_ecg": em(floor)}, range(20))
    assert blind.difference.value == -0.25 and blind.p < 0.1
    with pytest.raises(UserError, match=r"with_ecg, no_ecg, the other under with_ecg"):
        paired_test_of(gap, "em", a, {"with_ecg": em(floor)}, range(20))


# Blocks


def test_patients_that_are_compared_are_one_block():
    assert independent_blocks(["p", "q", "p"]).tolist() == [0, 1, 0]
    chain = [("p", "q"), ("r",), ("q", "s"), "t", ("s",)]
    assert independent_blocks(chain).tolist() == [0, 1, 0, 2, 0]
    a, b = em([0] * 5), em([1] * 5)
    assert paired_test("em", a, b, chain).p == 2 / 8
    tied = paired_test("em", a, b, [("p", "q")] * 3 + [("q", "r")] * 2)
    assert tied.p is None and (tied.n_blocks, tied.largest_block) == (1, 1) and tied.difference.value == 1


def test_who_is_right_is_counted_where_scores_are_right_or_wrong():
    assert cross_table([1, 1, 0, 0, 1], [1, 0, 1, 0, 1]) == {"both": 2, "only_a": 1, "only_b": 1, "neither": 1}
    assert cross_table([0.5, 1], [1, 1]) is None
