import multiprocessing
import shutil
import socket
from dataclasses import dataclass
from types import SimpleNamespace

import nltk
import numpy as np
import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import (
    Bleu,
    MajorityAnswers,
    Meteor,
    Rouge,
    answer_set_heartllm,
    bootstrap_ci,
    exact_match,
    finding_scores,
    verify_scores,
    wordnet,
)
from cardiolect.utils.metrics.majority import central_text
from cardiolect.utils.metrics.wordnet import NO_WORDNET, SYSTEM_WORDNET, find_wordnet

TEXT_METRICS = [Bleu, lambda: Meteor(NO_WORDNET), Rouge]


# Exact match


@pytest.mark.parametrize(
    ("prediction", "answers", "hit"),
    [
        ("yes", ["yes"], True),
        (" yes\n", ["yes"], True),
        ("lead II.lead I", ["lead I", "lead II"], True),  # order is free
        ("lead I.lead I", ["lead I"], True),
        ("yes.", ["yes"], False),  # the trailing "." adds an empty answer
        ("Yes", ["yes"], False),
        ("lead I. lead II", ["lead I", "lead II"], False),  # elements are not stripped
        ("lead I", ["lead I", "lead II"], False),
        ("", ["none"], False),
    ],
)
def test_exact_match_is_that_of_heartllm(prediction, answers, hit):
    assert exact_match(prediction, answers) is hit


def test_answer_set_of_nothing_holds_the_empty_answer():
    assert answer_set_heartllm("") == {""}


def test_exact_match_refuses_a_bare_string():
    with pytest.raises(UserError, match="list"):
        exact_match("no", "no")


# Text metrics


@pytest.mark.parametrize("metric", TEXT_METRICS)
def test_text_metrics_count_empty_predictions_as_zero(metric):
    scores = metric().compute(predictions=["sinus rhythm with block", ""], references=["sinus rhythm with block"] * 2)
    alone = metric().compute(predictions=["sinus rhythm with block"], references=["sinus rhythm with block"])
    for name, value in scores.items():
        if name != "wordnet":
            assert value == pytest.approx(alone[name] / 2)


@pytest.mark.parametrize("metric", TEXT_METRICS)
def test_text_metrics_refuse_what_they_cannot_score(metric):
    metric = metric()
    assert metric.compute(predictions=[], references=[]) == {}
    for predictions, references, message in [
        (["a", "b"], ["a", " "], "sample 1: the reference is empty"),
        (["a", None], ["a", "b"], "sample 1: .* strings"),
        (["a"], ["a", "b"], "1 predictions for 2 references"),
    ]:
        with pytest.raises(UserError, match=message):
            metric.compute(predictions=predictions, references=references)
    metric.add(prediction="a", reference="")
    with pytest.raises(UserError, match="sample 0: the reference is empty"):
        metric.compute()
    assert metric.compute(predictions=["a"], references=["a"])  # usable after an error


@pytest.mark.parametrize("metric", TEXT_METRICS)
def test_text_metrics_need_neither_network_nor_cache(metric, monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise AssertionError("a metric went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("evaluate.config.HF_METRICS_CACHE", str(tmp_path))
    metric().compute(predictions=["a b"], references=["a c"])
    assert list(tmp_path.iterdir()) == []


def test_bleu_by_hand():
    scores = Bleu().compute(predictions=["left bundle branch block"], references=["right bundle branch block"])
    # matches of 1..4 words: 3/4, 2/3, 1/2, and 0.1/1 by smoothing; no brevity penalty
    assert scores["bleu1"] == pytest.approx(3 / 4)
    assert scores["bleu2"] == pytest.approx((3 / 4 * 2 / 3) ** (1 / 2))
    assert scores["bleu3"] == pytest.approx((3 / 4 * 2 / 3 * 1 / 2) ** (1 / 3))
    assert scores["bleu4"] == pytest.approx((3 / 4 * 2 / 3 * 1 / 2 * 0.1) ** (1 / 4))


def test_bleu_tokens_and_brevity():
    assert Bleu().compute(predictions=["Sinus rhythm"], references=["sinus rhythm"])["bleu1"] == 0.5
    assert Bleu().compute(predictions=["a.b"], references=["a b"])["bleu1"] == 0
    assert Bleu().compute(predictions=["a b"], references=["a b c d"])["bleu1"] == pytest.approx(np.exp(-1))


def test_rouge_by_hand():
    scores = Rouge().compute(predictions=["a b c d"], references=["a c b d e f"])
    assert scores["rouge1"] == pytest.approx(2 * 4 / 10)
    assert scores["rouge2"] == 0
    assert scores["rougeL"] == pytest.approx(2 * 3 / 10)  # a b d
    assert Rouge().compute(predictions=["block.Marked"], references=["Marked x.block."])["rouge1"] == pytest.approx(0.8)
    assert Rouge().compute(predictions=["marked"], references=["Marked"])["rouge1"] == 0


def test_meteor_without_wordnet():
    metric = Meteor(NO_WORDNET)
    perfect = metric.compute(predictions=["a b c"], references=["a b c"])
    assert perfect == {"meteor": pytest.approx(1 - 0.5 / 27), "wordnet": "none: exact and stem matches only"}
    assert metric.compute(predictions=["Blocked"], references=["blocks"])["meteor"] == 0.5  # by stem, lower-cased
    assert metric.compute(predictions=["doctor"], references=["physician"])["meteor"] == 0
    # Two of three words match in one run: P = R = 2/3 and a penalty of 0.5 / 2^3
    assert metric.compute(predictions=["a b x"], references=["a b y"])["meteor"] == pytest.approx(2 / 3 * (1 - 0.5 / 8))


@pytest.mark.skipif(find_wordnet() is NO_WORDNET, reason="no WordNet on this machine")
def test_meteor_with_wordnet():
    metric = Meteor()
    assert metric.wordnet in ("nltk corpus", f"system {SYSTEM_WORDNET}")
    assert metric.compute(predictions=["doctor"], references=["physician"]) == {
        "meteor": 0.5,
        "wordnet": metric.wordnet,
    }
    # The example of NLTK's own documentation
    prediction = "It is a guide to action which ensures that the military always obeys the commands of the party"
    reference = "It is a guide to action that ensures that the military will forever heed Party commands"
    assert metric.compute(predictions=[prediction], references=[reference])["meteor"] == pytest.approx(0.6944, abs=5e-5)


def test_wordnet_is_found_in_order(monkeypatch, tmp_path):
    find = wordnet._find_wordnet.__wrapped__  # past the cache
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk_data")])
    if (SYSTEM_WORDNET / "data.noun").is_file():
        assert find(0).source == "system /usr/share/wordnet"
        copied = tmp_path / "nltk_data" / "corpora" / "wordnet"
        shutil.copytree(SYSTEM_WORDNET, copied, ignore=shutil.ignore_patterns("bin", "pixmaps", "wnres"))
        assert find(0).source == "nltk corpus"
        shutil.rmtree(copied)
    monkeypatch.setattr(wordnet, "SYSTEM_WORDNET", tmp_path)
    assert find(0) is NO_WORDNET


def _meteor_in_child(queue):
    queue.put(Meteor().compute(predictions=["the doctor"] * 50, references=["the physician"] * 50))


def test_processes_compute_at_once():
    mine = Meteor().compute(predictions=["the doctor"], references=["the physician"])
    context = multiprocessing.get_context("fork")  # what shares the open files of WordNet
    queue = context.Queue()
    children = [context.Process(target=_meteor_in_child, args=(queue,)) for _ in range(2)]
    for child in children:
        child.start()
    scores = [queue.get(timeout=60) for _ in children]
    for child in children:
        child.join()
    assert scores == [pytest.approx(mine)] * 2


def test_per_sample_scores_average_to_the_score():
    predictions, references = ["a b", "c d e"], ["a c", "c d f"]
    metric = Rouge()
    samples = metric.per_sample(predictions, references)
    assert samples["rouge1"].shape == (2,)
    assert samples["rouge1"].mean() == metric.compute(predictions=predictions, references=references)["rouge1"]


# Findings


def test_finding_scores_by_hand():
    scores = finding_scores([{"AF", "LBBB"}, {"AF"}, {"VT"}, set()], [{"AF"}, {"LBBB"}, set(), {"AF", "MI"}])
    assert scores["per_finding"] == {
        "AF": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2},
        "LBBB": {"precision": 0, "recall": 0, "f1": 0, "support": 1},
        "MI": {"precision": 0, "recall": 0, "f1": 0, "support": 1},
    }
    assert scores["macro_f1"] == pytest.approx(0.5 / 3)
    assert scores["micro_f1"] == pytest.approx(2 * 1 / (4 + 4))  # VT, never true, is a false positive here only


def test_finding_scores_of_nothing():
    assert finding_scores([set()], [set()]) == {"per_finding": {}}
    assert finding_scores([{"AF"}], [set()]) == {"per_finding": {}, "micro_f1": 0}
    with pytest.raises(UserError, match=r"1 predicted .* 0 true"):
        finding_scores([set()], [])


# Bootstrap


def gap(means):
    return means["em"] - max(means["no_ecg"], means["majority"])


def test_gap_of_equal_systems_covers_zero():
    correct = np.random.default_rng(1).integers(0, 2, 400)
    interval = bootstrap_ci(gap, dict(em=correct, no_ecg=correct, majority=correct), np.arange(400))
    assert (interval.value, interval.low, interval.high) == (0, 0, 0)


def test_interval_matches_theory_and_shrinks():
    def width(n):
        correct = np.arange(n) % 2
        interval = bootstrap_ci(lambda m: m["em"], {"em": correct}, np.arange(n))
        assert interval.low < interval.value == 0.5 < interval.high
        return interval.high - interval.low

    assert width(400) == pytest.approx(2 * 1.96 * 0.5 / 20, rel=0.15)
    assert width(6400) == pytest.approx(2 * 1.96 * 0.5 / 80, rel=0.15)


def test_clusters_widen_the_interval():
    correct = np.repeat(np.arange(40) % 2, 10)  # ten questions of a patient are all right or all wrong
    apart = bootstrap_ci(lambda m: m["em"], {"em": correct}, np.arange(400))
    together = bootstrap_ci(lambda m: m["em"], {"em": correct}, [f"patient {i // 10}" for i in range(400)])
    assert together.n_patients == 40
    assert together.high - together.low == pytest.approx(np.sqrt(10) * (apart.high - apart.low), rel=0.2)


def test_bootstrap_over_comparisons_knows_that_they_share_patients():
    """Forty comparisons with one normal ECG are not forty independent ones; pairs of strangers nearly are."""
    rng = np.random.default_rng(0)
    correct = (rng.random(40) < 0.5).astype(float)

    def width(patients):
        interval = bootstrap_ci(lambda m: m["em"], {"em": correct}, patients)
        return interval.high - interval.low

    strangers = width([(f"a{i}", f"b{i}") for i in range(40)])
    singles = width([f"a{i}" for i in range(40)])
    few = width([(f"a{i % 4}", f"b{i % 5}") for i in range(40)])
    assert singles < strangers < few
    assert bootstrap_ci(lambda m: m["em"], {"em": correct}, [("a", "b")] * 40).low is None  # all of one pair
    assert width([(f"a{i}", f"a{i}") for i in range(40)]) == singles  # two ECGs of one patient are one patient


def test_bootstrap_is_reproducible_and_checks_its_input():
    scores = {"em": np.arange(20) % 3 == 0}
    assert bootstrap_ci(lambda m: m["em"], scores, range(20)) == bootstrap_ci(lambda m: m["em"], scores, range(20))
    single = bootstrap_ci(lambda m: m["em"], {"em": [1, 0]}, ["a", "a"])
    assert (single.value, single.low, single.high) == (0.5, None, None)
    for bad_scores, patients, message in [
        ({"em": [1.0]}, [1, 2], "shape"),
        ({"em": [1.0, np.nan]}, [1, 2], "sample 1 is not a number"),
        ({"em": [1.0, 0.0]}, [1, None], "sample 1 has no patient"),
        ({"em": []}, [], "at least one sample"),
    ]:
        with pytest.raises(UserError, match=message):
            bootstrap_ci(lambda m: m["em"], bad_scores, patients)


# Majority floor


@dataclass(frozen=True)
class Asked:
    question: str
    answers: tuple[str, ...] = ()
    question_type: str = "verify"
    template_id: int | None = 1


TRAINING = [
    Asked("AF?", ("yes",)),
    Asked("AF?", ("yes",)),
    Asked("MI?", ("no",)),
    Asked("MI?", ("no",)),
    Asked("MI?", ("no",)),
    Asked("Which leads?", ("V2", "V1"), "query", 2),
    Asked("Which leads?", ("V1", "V2"), "query", 2),
    Asked("Which leads?", ("V3",), "query", 2),
    Asked("Which noise?", ("b",), "query", 3),
    Asked("Which noise?", ("a",), "query", 3),
]


@pytest.mark.parametrize("stored", [False, True])
def test_majority_answers(stored):
    majority = MajorityAnswers.fit(TRAINING)
    if stored:
        majority = MajorityAnswers.from_json(majority.to_json())
    assert majority.predict(Asked("AF?")) == ("no",)
    assert majority.predict(Asked("AF?"), level="question") == ("yes",)
    assert majority.predict(Asked("LBBB?"), level="question") == ("no",)  # unseen text: its template
    assert majority.predict(Asked("Which leads?", template_id=2)) == ("V1", "V2")  # a set, in whatever order
    assert majority.predict(Asked("Which noise?", template_id=3)) == ("a",)  # ties: the alphabet
    assert majority.predict(Asked("?", (), "query", 99)) == ("V1", "V2")  # unseen template: its type
    assert majority.predict(Asked("?", (), "choose", None)) == ("no",)  # unseen type: overall


def test_majority_answers_refuse_bad_input():
    majority = MajorityAnswers.fit(reversed(TRAINING))
    assert majority.to_json()["by_template"]["3"] == ["a"]
    with pytest.raises(UserError, match="levels"):
        majority.predict(TRAINING[0], level="patient")
    with pytest.raises(UserError, match="none"):
        MajorityAnswers.fit([])
    with pytest.raises(UserError, match="fit them again"):
        MajorityAnswers.from_json({"by_template": {}})


# Yes-or-no questions


def test_verify_scores_tell_a_model_that_always_says_yes_from_one_that_reads():
    asked, truth = ["AF?"] * 4 + ["only yes?"], [("yes",), ("yes",), ("no",), ("no",), ("yes",)]
    always = verify_scores(asked, truth, ["yes"] * 5)
    assert always.keys() == {"AF?"}  # of a question that is always true there is no specificity
    assert (always["AF?"]["sensitivity"], always["AF?"]["specificity"]) == (1, 0)
    assert always["AF?"]["balanced_accuracy"] == 0.5 and "auroc" not in always["AF?"]
    for said in ("yes, probably", "yes.no"):  # neither yes nor no is wrong, and so is both
        wordy = verify_scores(asked, truth, [said, "yes", "no", "", "yes"])["AF?"]
        assert (wordy["sensitivity"], wordy["specificity"]) == (0.5, 0.5)


def test_verify_scores_rank_without_a_threshold():
    """A model that never says yes, but is less sure of no where yes is true."""
    asked, truth = ["AF?"] * 4, [("yes",), ("yes",), ("no",), ("no",)]
    found = verify_scores(asked, truth, ["no"] * 4, [-1.0, -2.0, -3.0, -2.0])["AF?"]
    assert (found["sensitivity"], found["specificity"], found["auroc"]) == (0, 1, 0.875)
    low, high = found["specificity_ci95"]
    np.testing.assert_allclose([low, high], [0.342, 1.0], atol=1e-3)  # Wilson, 2 of 2
    with pytest.raises(UserError, match="3 predictions for 4"):
        verify_scores(asked, truth, ["no"] * 3)


def test_the_majority_is_spelled_as_training_spells_it():
    """ECG-QA does not sort its answer sets, and string equality tells their orders apart."""
    asked = [("b", "a"), ("b", "a"), ("a", "b"), ("c",), ("c",)]
    examples = [SimpleNamespace(question="?", question_type="single-query", template_id=1, answers=a) for a in asked]
    assert MajorityAnswers.fit(examples).predict(examples[0]) == ("b", "a")


def test_the_majority_report_is_the_one_that_shares_most_words_with_the_others():
    reports = ["sinus rhythm", "sinus rhythm normal ecg", "sinus rhythm abnormal ecg", "atrial flutter"]
    assert central_text(reports) == central_text(reports[::-1]) == "sinus rhythm abnormal ecg", "the first of two alike"
    assert central_text([*reports, *["sinus rhythm normal ecg"] * 9]) == "sinus rhythm normal ecg"
    with pytest.raises(UserError, match="training reports"):
        central_text([])


def test_yes_or_no_is_read_as_the_strict_match_reads_it():
    found = verify_scores(["q", "q"], [("yes",), ("no",)], ["Yes.", "no "], [1.0, None])["q"]
    assert found["balanced_accuracy"] == 1 and "auroc" not in found, "a margin that is not known ranks nothing"
