"""Text metrics by hand, offline and in several processes."""

import multiprocessing
import shutil
import socket

import nltk
import numpy as np
import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import (
    Bleu,
    Meteor,
    Rouge,
    wordnet,
)
from cardiolect.utils.metrics.wordnet import NO_WORDNET, SYSTEM_WORDNET, find_wordnet

TEXT_METRICS = [Bleu, lambda: Meteor(NO_WORDNET), Rouge]


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
