import random
import typing

import numpy as np
import pytest
from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu, sentence_bleu
from nltk.translate.chrf_score import sentence_chrf
from nltk.translate.meteor_score import meteor_score
from sacrebleu.metrics import BLEU

from cardiolect.model.evaluation.settings import EvalSettings
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.corpus_bleu import corpus_bleu4, sacrebleu
from cardiolect.utils.metrics.definitions import DEFINITIONS, definition
from cardiolect.utils.metrics.normalised_match import normalised_match, statements, token_f1, words
from cardiolect.utils.metrics.rouge_package import RougePackage
from cardiolect.utils.metrics.scores import Scores, bootstrap_score
from cardiolect.utils.metrics.wordnet import find_wordnet

REPORTS = [
    (
        "sinus rhythm.left bundle branch block.no acute st changes",
        "sinus rhythm.complete left bundle branch block.no acute st changes seen",
    ),
    (
        "atrial fibrillation with a rapid ventricular response",
        "atrial fibrillation with rapid ventricular response.low voltage",
    ),
    ("block block block. sinus rhythm . block", "sinus rhythm.block.sinus rhythm"),
    ("normal ecg", "sinus rhythm.normal ecg"),
]
PREDICTIONS, REFERENCES = ([pair[k] for pair in REPORTS] for k in (0, 1))
METHOD_1 = SmoothingFunction().method1


def random_reports(n, seed=0):
    rng = random.Random(seed)
    vocabulary = ["a", "b", "c", "d", "e", "f", ".", ".", ".a", "b.", "c."]
    return [" ".join(["f", *rng.choices(vocabulary, k=rng.randint(0, 14))]) for _ in range(n)]


def nltk_bleu4(predictions, references):
    return corpus_bleu([[r.split()] for r in references], [p.split() for p in predictions], smoothing_function=METHOD_1)


# Normalised match


@pytest.mark.parametrize(
    ("prediction", "answers", "hit"),
    [
        ("yes", ["yes"], True),
        ("Yes.", ["yes"], True),
        ("lead I. lead II", ["lead II", "lead I"], True),
        (" lead  I.LEAD I ", ["lead I"], True),
        ("V1.2nd degree AV block", ["2nd degree av block", "V1"], True),  # no number: V1 is a lead
        ("st depression 0.5 mv.v2", ["ST depression 0.5 mV", "V2"], True),
        ("st depression 05 mv", ["ST depression 0.5 mV"], False),
        ("5", ["0.5"], False),
        ("lead I", ["lead I", "lead II"], False),
        ("lead I.lead II", ["lead I"], False),
        ("", ["none"], False),
        ("...", ["none"], False),
        ("not yes", ["yes"], False),
    ],
)
def test_normalised_match(prediction, answers, hit):
    assert normalised_match(prediction, answers) is hit


def test_statements_end_at_full_stops_outside_numbers():
    assert statements(" QRS 0.12 s.Axis  30.. Normal ECG. ") == ["qrs 0.12 s", "axis 30", "normal ecg"]
    assert statements("slope .5 mV.") == ["slope .5 mv"]
    assert statements("30.5") == ["30.5"]  # of two whole numbers one cannot tell
    bare = " ".join(words('ST-T changes, "possible" (0.5 mV).Low voltage!'))
    assert bare == "st-t changes possible 0.5 mv low voltage"
    with pytest.raises(UserError, match="list"):
        normalised_match("no", "no")


def test_token_f1_by_hand():
    assert token_f1(list("aab"), list("abbc")) == pytest.approx(2 * 2 / 7)  # one a and one b are shared
    assert token_f1([], ["a"]) == token_f1(["a"], ["b"]) == 0
    # torchmetrics.text.SQuAD 1.9.0 with "." replaced by a space; it also takes away "a", so not the second report
    f1 = definition("strict").score_texts(PREDICTIONS, REFERENCES).of_samples("f1")
    np.testing.assert_allclose(f1[[0, 2, 3]], [0.909091, 0.545455, 0.666667], atol=1e-6)


def test_a_right_answer_has_token_f1_one_however_it_is_written():
    said, gold = ["Lead II. lead I.lead I", "lead I", "yes", "no"], [["lead I", "lead II"]] * 2 + [["yes"]] * 2
    scores = definition("strict").score_answers(said, gold)
    assert scores.of_samples("em").tolist() == [1, 0, 1, 0]
    assert scores.of_samples("f1").tolist() == [1, pytest.approx(2 * 2 / (2 + 4)), 1, 0]


# ROUGE of the package rouge


def test_rouge_package_by_hand():
    scores = RougePackage().compute(predictions=["b a.a a"], references=["a b.a c"])
    assert scores["rouge1"] == pytest.approx(2 * 2 / 5)  # {a, b} of {a, b} and {a, b, c}
    assert scores["rouge2"] == pytest.approx(2 * 1 / (2 + 3))  # {ba, aa} and {ab, ba, ac}: across the full stop
    # b is common to "a b" and "b a", a to "a b" and "a a": though neither order is right, both words count
    assert (scores["rougeL_p"], scores["rougeL_r"]) == (1, 2 / 3)
    assert scores["rougeL"] == pytest.approx(2 * 2 / 5)


def test_rouge_package_equals_the_package():
    # python -c "from rouge import Rouge; print(Rouge().get_scores(PREDICTIONS, REFERENCES, avg=True))", rouge 1.0.1
    expected = {
        "rouge1": 0.843939389094169,
        "rouge1_p": 0.9642857142857143,
        "rouge1_r": 0.7708333333333334,
        "rouge2": 0.6931318634897748,
        "rouge2_p": 0.8263888888888888,
        "rouge2_r": 0.658008658008658,
        "rougeL": 0.843939389094169,
        "rougeL_p": 0.9642857142857143,
        "rougeL_r": 0.7708333333333334,
    }
    assert RougePackage().compute(predictions=PREDICTIONS, references=REFERENCES) == pytest.approx(expected, abs=1e-12)

    package = pytest.importorskip("rouge", reason="the package rouge is not installed")
    texts, golds = random_reports(300), random_reports(300, seed=1)
    theirs = package.Rouge().get_scores(texts, golds)
    ours = RougePackage().per_sample(texts, golds)
    for name, key in (("rouge-1", "rouge1"), ("rouge-2", "rouge2"), ("rouge-l", "rougeL")):
        for part, ending in (("f", ""), ("p", "_p"), ("r", "_r")):
            np.testing.assert_allclose(ours[key + ending], [row[name][part] for row in theirs], atol=1e-12)


def test_rouge_package_scores_long_texts_and_texts_without_a_sentence():
    long = " ".join(f"word{k}" for k in range(1200))  # the package stops at Python's recursion limit
    scores = RougePackage().per_sample([long, "...", ""], [long, "a", "a"])
    assert scores["rougeL"].tolist() == [pytest.approx(1), 0, 0]


# Corpus BLEU


def test_corpus_bleu4_by_hand():
    scores = corpus_bleu4(["left bundle branch block", ""], ["right bundle branch block", "normal"])
    # matches 3, 2, 1, 0 of 4, 3, 2, 1 n-grams; the empty text adds one n-gram to each; 4 words for 5
    precisions = [3 / 5, 2 / 4, 1 / 3, 0.1 / 2]
    assert scores.values == {"bleu4": pytest.approx(np.exp(1 - 5 / 4) * np.prod(precisions) ** (1 / 4))}
    assert scores.of_samples("bleu4") is None
    assert corpus_bleu4([""], ["a"]).values == {"bleu4": 0}
    assert corpus_bleu4([], []).values == {}


def test_corpus_bleu4_is_that_of_nltk():
    assert corpus_bleu4(PREDICTIONS, REFERENCES).values["bleu4"] == pytest.approx(nltk_bleu4(PREDICTIONS, REFERENCES))
    for seed in range(5):
        texts, golds = random_reports(30, seed), random_reports(30, seed + 99)
        texts[0] = ""
        assert corpus_bleu4(texts, golds).values["bleu4"] == pytest.approx(nltk_bleu4(texts, golds), abs=1e-12)


def test_sacrebleu_adds_up_to_the_librarys_score():
    scores = sacrebleu(PREDICTIONS, REFERENCES)
    assert scores.values["sacrebleu"] == pytest.approx(0.5467, abs=5e-5)  # torchmetrics.text.SacreBLEUScore 1.9.0
    assert scores.notes["sacrebleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    for texts, golds in [(PREDICTIONS, REFERENCES), (["a b", ""], ["a c", "b"]), (["x"], ["a"]), ([""], ["a"])]:
        theirs = BLEU().corpus_score(texts, [golds]).score / 100
        assert sacrebleu(texts, golds).values["sacrebleu"] == pytest.approx(theirs, abs=1e-12)


# Definitions


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
    with pytest.raises(UserError, match="METRICS=pulse: there are strict, heartllm, ecg-bench"):
        definition("pulse")


# Intervals


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
