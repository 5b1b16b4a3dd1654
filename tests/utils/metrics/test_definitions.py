"""Definitions of the metrics: those of papers as their code computes them, and our strict one."""

import typing

import numpy as np
import pytest
from nltk.translate.bleu_score import sentence_bleu
from nltk.translate.chrf_score import sentence_chrf
from nltk.translate.meteor_score import meteor_score

from cardiolect.model.evaluation.settings import EvalSettings
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.corpus_bleu import sacrebleu
from cardiolect.utils.metrics.definitions import DEFINITIONS, definition
from cardiolect.utils.metrics.scores import Scores, bootstrap_score
from cardiolect.utils.metrics.wordnet import find_wordnet
from tests.helpers.reports import METHOD_1, PREDICTIONS, REFERENCES, REPORTS, nltk_bleu4, random_reports


def test_heartllm_reports_are_scored_as_its_code_does():
    scores = definition("heartllm").score_texts(PREDICTIONS, REFERENCES).values
    pairs = [(p.split(), [r.split()]) for p, r in REPORTS]
    four = ((1, 0, 0, 0), (0.5, 0.5, 0, 0), (0.33, 0.33, 0.33, 0), (0.25, 0.25, 0.25, 0.25))
    for order, weights in enumerate(four, 1):
        expected = np.mean([sentence_bleu(r, p, weights=weights, smoothing_function=METHOD_1) for p, r in pairs])
        assert scores[f"bleu{order}"] == pytest.approx(expected)
    reader = find_wordnet().reader
    assert scores["meteor"] == pytest.approx(np.mean([meteor_score(r, p, wordnet=reader) for p, r in pairs]))
    assert scores["rougeL_r"] == pytest.approx(0.7708333)


def test_definitions_disagree_where_they_should():
    said, gold = ["yes.", "Lead II. lead I", "no", ""], [["yes"], ["lead I", "lead II"], ["no"], ["no"]]
    found = {name: d.score_answers(said, gold).values for name, d in DEFINITIONS.items()}
    assert found["heartllm"] == {"em": 1 / 4}
    assert found["strict"]["em"] == 3 / 4
    assert (found["ecg-bench"]["acc"], found["ecg-bench"]["acc_nonempty"]) == (1 / 4, pytest.approx(1 / 3))


def test_ecg_bench_drops_empty_outputs_in_the_second_column_alone():
    texts, golds = [*PREDICTIONS, ""], [*REFERENCES, "sinus rhythm"]
    with_empty = definition("ecg-bench").score_texts(texts, golds).values
    without = definition("ecg-bench").score_texts(PREDICTIONS, REFERENCES).values
    assert with_empty["bleu4"] == pytest.approx(nltk_bleu4(texts, golds))
    for name in ("acc", "bleu4", "bleu_sentence", "meteor", "rouge1", "rouge2", "rougeL"):
        assert with_empty[f"{name}_nonempty"] == pytest.approx(without[name])
        assert without[f"{name}_nonempty"] == pytest.approx(without[name])
    for name in ("meteor", "rouge1", "rougeL"):
        assert with_empty[name] == pytest.approx(4 / 5 * without[name])
    # Where an order has no match, smoothing depends on how many samples there are: those kept
    no_trigram = definition("ecg-bench").score_texts(["a b c d", ""], ["a b x y", "z"]).values["bleu4_nonempty"]
    assert no_trigram == pytest.approx(nltk_bleu4(["a b c d"], ["a b x y"]))
    assert set(definition("ecg-bench").score_answers([""], [["no"]]).values.values()) == {0.0}


def test_ecg_bench_order_of_sentence_bleu_adapts_to_length():
    scores = definition("ecg-bench").score_texts(["a b", "a", "a b c d x"], ["a b", "b", "a b c d e"])
    expected = [1, 0, (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4)]  # of the second, no word matches at all
    assert scores.of_samples("bleu_sentence").tolist() == pytest.approx(expected)


def test_strict_reports_do_not_depend_on_how_statements_are_joined():
    gold = ["Sinus rhythm.QRS 0.12 s.Left bundle branch block"]
    joined = ["sinus rhythm.QRS 0.12 s.left bundle branch block"]
    spaced = ["Sinus rhythm. qrs 0.12 s. Left bundle branch block."]
    a, b = (definition("strict").score_texts(texts, gold) for texts in (joined, spaced))
    for name in ("f1", "rouge1", "rouge2", "rougeL"):
        assert a.values[name] == b.values[name] == 1
    assert a.values["meteor"] == b.values["meteor"] > 0.99
    assert definition("heartllm").score_texts(spaced, gold).values["meteor"] < 0.8


def test_chrf_is_near_that_of_nltk():
    # torchmetrics.text.CHRFScore(n_word_order=0) 1.9.0 gives 0.787005, 0.782690, 0.661939, 0.396884
    scores = definition("strict").score_texts(PREDICTIONS, REFERENCES)
    theirs = [sentence_chrf(r, p, max_len=6, beta=2.0) for p, r in REPORTS]
    np.testing.assert_allclose(scores.of_samples("chrf"), theirs, atol=1e-3)
    assert "nc:6|nw:0" in scores.notes["chrf"]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_every_definition_says_what_it_is_and_refuses_what_it_cannot_score(name):
    found = definition(name)
    assert found.name == name and found.source and found.quirks
    answers, texts = found.score_answers(["no"], [["no"]]), found.score_texts(["a b c d"], ["a b c d"])
    assert answers.of_samples(found.answer_score).tolist() == [1]
    assert texts.of_samples(found.text_score).tolist() == [pytest.approx(1)]
    for scores in (answers, texts):
        assert scores.values.keys() == scores.formulas.keys()
        assert all(0 <= value <= 1 + 1e-9 for value in scores.values.values())
    assert found.score_answers([], []).values == found.score_texts([], []).values == {}
    for said, gold, message in [
        (["a"], [["a"], ["b"]], "1 predictions for 2"),
        (["a"], ["a"], "list of strings"),
        (["a"], [[]], "sample 0"),
        (["a"], [[" "]], "sample 0"),
        ([None], [["a"]], "strings"),
    ]:
        with pytest.raises(UserError, match=message):
            found.score_answers(said, gold)
    with pytest.raises(UserError, match="sample 0: the reference"):
        found.score_texts(["a"], [" "])


def test_definitions_are_found_by_name():
    assert typing.get_args(EvalSettings.model_fields["metrics"].annotation) == tuple(DEFINITIONS)
    with pytest.raises(UserError, match="METRICS=pulse: must be one of strict, heartllm, ecg-bench"):
        definition("pulse")


def test_the_interval_of_a_mean_is_that_of_its_samples():
    column = np.arange(40) % 3 == 0
    interval = bootstrap_score("em", {"m": Scores.per_sample({"em": column})}, range(40), lambda v: v["m"])
    assert interval.value == pytest.approx(column.mean())
    assert interval.low < interval.value < interval.high


def test_corpus_bleu_is_resampled_over_patients():
    """The bootstrap over sums of counts draws what resampling the texts themselves would."""
    texts, golds = random_reports(24), random_reports(24, seed=1)
    patients = np.arange(24) // 3  # of each patient three reports
    scores = {"with_ecg": definition("ecg-bench").score_texts(texts, golds)}
    interval = bootstrap_score("bleu4", scores, patients.tolist(), lambda v: v["with_ecg"], n_resamples=60, seed=3)
    rng, draws = np.random.default_rng(3), []
    for _ in range(60):
        drawn = [k for p in rng.integers(8, size=8) for k in np.flatnonzero(patients == p)]
        draws.append(nltk_bleu4([texts[k] for k in drawn], [golds[k] for k in drawn]))
    np.testing.assert_allclose([interval.low, interval.high], np.quantile(draws, [0.025, 0.975]), atol=1e-9)
    assert interval.value == pytest.approx(nltk_bleu4(texts, golds))


def test_a_gap_of_corpus_scores_has_an_interval():
    golds = random_reports(20)
    conditions = {"with_ecg": sacrebleu(golds, golds), "no_ecg": sacrebleu(random_reports(20, 7), golds)}
    gap = bootstrap_score("sacrebleu", conditions, range(20), lambda v: v["with_ecg"] - v["no_ecg"], n_resamples=50)
    assert 0 < gap.low <= gap.value <= gap.high < 1
    with pytest.raises(UserError, match="no score 'em'; there are sacrebleu"):
        bootstrap_score("em", conditions, range(20), lambda v: v["with_ecg"])
    with pytest.raises(UserError, match=r"20 samples .* 3 patients"):
        bootstrap_score("sacrebleu", conditions, range(3), lambda v: v["with_ecg"])
