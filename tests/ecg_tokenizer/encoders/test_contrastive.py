"""Contrastive training with reports: what counts as a pair, captions without a leak, ranks, resuming, text encoders."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import BertConfig, BertModel, BertTokenizerFast, T5Config, T5Model

from cardiolect.data_provider.splits import load_splits, with_texts
from cardiolect.ecg_tokenizer.cached import open_signals
from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig
from cardiolect.ecg_tokenizer.encoders.objectives.alignment import MOST, AlignedEncoders, Alignment
from cardiolect.ecg_tokenizer.encoders.objectives.captions import CaptionDecoder
from cardiolect.ecg_tokenizer.encoders.objectives.contrast import (
    false_negatives,
    info_nce,
    retrieval,
    sigmoid_loss,
)
from cardiolect.ecg_tokenizer.encoders.objectives.contrastive import ContrastiveLearner, words
from cardiolect.ecg_tokenizer.encoders.objectives.text_encoder import TextEncoder
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.ecg_tokenizer.encoders.settings import EncoderSettings
from cardiolect.utils.errors import UserError
from tests.helpers.runs import interrupted, run

SMALL = {
    **{"REPRESENTATION": "encoder", "OBJECTIVE": "contrastive", "ENCODER": "convnext-atto"},
    **{"ENCODER_WIDTH": 8, "ENCODER_DEPTH": 1, "TEXT_WIDTH": 16, "TEXT_DEPTH": 1, "ALIGNMENT_WIDTH": 16},
    **{"CAPTION_WEIGHT": 1, "DECODER_WIDTH": 16, "DECODER_DEPTH": 1, "MAX_TRAIN": 24, "MAX_VALID": 12},
    **{"TRAIN_FOLDS": "1-8", "VALID_FOLDS": 9, "STEPS": 4, "EVAL_STEPS": 4, "BATCH_SIZE": 6, "CROP_SECONDS": 2},
}


def lines(corpus, **values) -> dict:
    reports = {f"{split.upper()}_DATA": corpus / f"reports/{split}.json" for split in ("train", "valid")}
    return {**SMALL, "DATA_ROOT": corpus, **reports, **values}


def unit(rows: int, width: int = 8, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def weights(folder) -> dict[str, torch.Tensor]:
    """Of the encoder, the text encoder and the heads."""
    files = ("model.safetensors", "text/model.safetensors", "text/heads.safetensors")
    return {f"{file} {name}": value for file in files for name, value in load_file(folder / file).items()}


def test_other_recordings_of_a_patient_and_reports_in_the_same_words_are_no_negatives():
    patients, texts = np.array([0, 1, 1, 2]), np.array([5, 6, 7, 5])
    excluded, places = false_negatives([patients, texts], torch.device("cpu"))
    assert excluded.nonzero().tolist() == [[0, 3], [1, 2], [2, 1], [3, 0]] and places.tolist() == [0, 1, 2, 3]
    ecg, text, factor = unit(4), unit(4, seed=1), torch.tensor(5.0)
    logits = factor * ecg @ text.T
    rows = [logits[k][~excluded[k]].logsumexp(0) - logits[k, k] for k in range(4)]
    columns = [logits[:, k][~excluded[:, k]].logsumexp(0) - logits[k, k] for k in range(4)]
    expected = (torch.stack(rows).mean() + torch.stack(columns).mean()) / 2
    torch.testing.assert_close(info_nce(ecg, text, factor, excluded, places), expected)


def test_reports_that_differ_in_punctuation_only_say_the_same():
    assert words("Sinus rhythm. Normal ECG.") == words("sinus rhythm, normal ecg") != words("Sinus rhythm. ECG.")


def test_the_sigmoid_loss_asks_of_every_pair_whether_it_belongs_together():
    ecg, text, factor, bias = unit(3), unit(3, seed=1), torch.tensor(4.0), torch.tensor(-2.0)
    excluded = torch.zeros(3, 3, dtype=torch.bool)
    excluded[0, 2] = excluded[2, 0] = True
    sign = 2 * torch.eye(3) - 1
    each = -F.logsigmoid(sign * (factor * ecg @ text.T + bias))
    expected = each[~excluded].sum() / 3
    torch.testing.assert_close(sigmoid_loss(ecg, text, factor, bias, excluded, torch.arange(3)), expected)


def test_pairs_found_again_are_counted_against_chance():
    same = np.eye(10, dtype=bool)
    perfect = retrieval(np.eye(10), same)
    assert perfect["mrr"] == perfect["recall_1"] == 1 and perfect["chance_1"] == pytest.approx(0.1)
    assert perfect["chance_5"] == pytest.approx(0.5)
    alike = retrieval(np.zeros((10, 10)), same)
    assert alike["recall_1"] == alike["recall_5"] == 0, "equal similarities find nothing"
    assert alike["constant_1"] == pytest.approx(0.1)
    same[0, 1] = True  # two reports in the same words
    second = np.eye(10)[:, [1, 0, *range(2, 10)]]
    assert retrieval(second, same)["recall_1"] == pytest.approx(0.9)
    assert retrieval(second, same)["chance_1"] == pytest.approx(0.11)
    assert retrieval(second, same)["constant_1"] == pytest.approx(0.2)


def test_captions_are_written_from_the_ecg_and_the_words_before():
    torch.manual_seed(0)
    decoder, features = CaptionDecoder(8, 50, 16, 2).eval(), torch.randn(1, 20, 8)
    ids = torch.randint(0, 50, (1, 12))
    before, (moved := ids.clone())[0, 7] = decoder(features, ids), (ids[0, 7] + 1) % 50
    after = decoder(features, moved)
    assert torch.equal(before[:, :7], after[:, :7]), "a word moves a logit of the words before it, or its own"
    assert not torch.allclose(before[:, 7:], after[:, 7:])
    elsewhere = features.clone()
    elsewhere[0, [3, 11]] = features[0, [11, 3]]
    assert not torch.allclose(before, decoder(elsewhere, ids), atol=1e-5), "tokens in time are not looked at"


def test_padding_of_captions_does_not_count():
    torch.manual_seed(0)
    decoder, features = CaptionDecoder(8, 50, 16, 1).eval(), torch.randn(2, 5, 8)
    ids, mask = torch.randint(0, 50, (2, 9)), torch.ones(2, 9, dtype=torch.long)
    mask[1, 6:] = 0
    total, count = decoder.loss(features, ids, mask)
    ids[1, 6:] = 0
    assert count == 8 + 5 and decoder.loss(features, ids, mask)[0] == total


def test_two_ranks_train_as_one(tmp_path, corpus):
    folders = [run("tokenizer", tmp_path, f"{ranks} ranks", **lines(corpus, NUM_PROCESSES=ranks)) for ranks in (1, 2)]
    one, two = map(weights, folders)
    assert all((one[name] - two[name]).abs().max() < 2e-5 for name in one)
    figures = [json.loads((folder / "metrics.json").read_text()) for folder in folders]
    assert figures[0]["mrr"] == pytest.approx(figures[1]["mrr"], abs=1e-3)


def test_a_stopped_run_goes_on_to_the_weights_of_an_unbroken_one(tmp_path, corpus):
    values = lines(corpus, SAVE_STEPS=1)
    whole = run("tokenizer", tmp_path, "whole", **values)
    learner = "cardiolect.ecg_tokenizer.encoders.objectives.contrastive.ContrastiveLearner"
    broken = interrupted(tmp_path, "broken", learner, step=4, **values)
    assert list((broken / "resume").glob("step-3.pt"))
    run("tokenizer", tmp_path, "broken", **values)
    one, other = weights(whole), weights(broken)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_other_reports_are_another_run(tmp_path, corpus):
    (tmp_path / "reports.json").write_text((corpus / "reports/train.json").read_text())
    values = lines(corpus, TRAIN_DATA=tmp_path / "reports.json")
    run("tokenizer", tmp_path, "encoder", **values)
    reports = json.loads((tmp_path / "reports.json").read_text())
    for each in reports:
        each["report"] = each["report"] and each["report"] + " Noise."
    (tmp_path / "reports.json").write_text(json.dumps(reports))
    with pytest.raises(AssertionError, match=r"train texts.*RESUME=false"):
        run("tokenizer", tmp_path, "encoder", **values)


def test_ecgs_find_the_reports_that_they_were_trained_with(tmp_path, corpus):
    values = lines(corpus, CAPTION_WEIGHT=0, ENCODER="resnet18", ENCODER_WIDTH=16, LEARNING_RATE=2e-3, STEPS=60)
    values |= {"LEAD_DROPOUT": 0, "GAIN_JITTER": 0, "MAX_TRAIN": 12, "BATCH_SIZE": 12, "VIEW_WEIGHT": 0, "WORKERS": 0}
    values |= {"OUTPUT_DIR": tmp_path / "out", "CACHE_DIR": tmp_path / "cache"}
    del values["DECODER_WIDTH"], values["DECODER_DEPTH"]
    (tmp_path / "x.env").write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    settings = EncoderSettings.load(tmp_path / "x.env")
    train = with_texts(load_splits(settings, ("train",), "report")["train"])
    signals, _ = open_signals(settings, {"train": train, "valid": train})
    learner = ContrastiveLearner(settings, signals, signals, {"train": train, "valid": train})
    losses = [float(learner.learn(step)["pairs"]) for step in range(1, 61)]
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10]), losses
    learner.kept.eval()
    figures = learner.validate()
    found = figures["reports_of_ecgs"]
    assert figures["recordings"] == len(signals) and found["recall_1"] > 2 * found["chance_1"]
    assert f"first for {100 * found['recall_1']:.1f} %" in learner.in_words(figures)
    learner.kept.save_pretrained(tmp_path / "saved")
    again = AlignedEncoders.from_pretrained(tmp_path / "saved")
    texts = ["Sinus rhythm.", "Atrial fibrillation."]
    assert torch.equal(again.embed_texts(texts), learner.model.embed_texts(texts))
    signal = torch.from_numpy(signals.signal(0))[None]
    assert torch.equal(again.embed_ecg(signal), learner.model.embed_ecg(signal))


def test_an_encoder_that_was_not_trained_with_texts_says_so(tmp_path):
    ECGEncoder(EncoderConfig("convnext-atto", width=8, depth=1)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="not trained with texts; that takes OBJECTIVE=contrastive"):
        AlignedEncoders.from_pretrained(tmp_path)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A folder with a BERT of random weights, as BioLinkBERT's is laid out."""
    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "sinus", "rhythm", "atrial", "ecg", "normal", "."]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(words), max_position_embeddings=24, **sizes)
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    return folder


def test_a_text_encoder_of_a_folder_stays_as_it_is_if_frozen(bert, tmp_path, corpus):
    values = lines(corpus, TEXT_ENCODER=bert, TEXT_FROZEN="true", TEXT_TOKENS=5, STEPS=2, EVAL_STEPS=2)
    del values["TEXT_WIDTH"], values["TEXT_DEPTH"]
    output = run("tokenizer", tmp_path, "frozen", **values)
    before, after = load_file(bert / "model.safetensors"), load_file(output / "text/model.safetensors")
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    figures = json.loads((output / "metrics.json").read_text())
    assert 0 < figures["texts_cut"] <= figures["distinct_texts"]


def test_a_model_that_wants_more_than_text_is_refused(tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ecg"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    BertTokenizerFast(vocab=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    T5Model(T5Config(vocab_size=8, **sizes)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"TEXT_ENCODER: .* cannot encode texts of TEXT_TOKENS=24 .*BERT-like"):
        TextEncoder.load(tmp_path, 24)


def test_the_first_token_stands_for_a_text_and_padding_changes_nothing(bert):
    encoder = TextEncoder.load(bert, 24)
    alone, together = (
        encoder(*encoder.tokens(texts))[0] for texts in (["sinus rhythm"], ["sinus rhythm", "normal ecg . " * 5])
    )
    torch.testing.assert_close(alone, together)
    encoder.train()
    torch.testing.assert_close(encoder(*encoder.tokens(["sinus rhythm"]))[0], alone)  # no dropout
    encoder.tokenizer.cls_token = None
    ids, mask = encoder.tokens(["sinus rhythm", "normal"])
    rows = encoder.model(input_ids=ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(encoder(ids, mask)[1], rows[1, : mask[1].sum()].mean(0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"TIME_STRETCH": 0.1}, "TIME_STRETCH changes the rate and the intervals that reports state"),
        ({"TEXT_ENCODER": "nowhere"}, "TEXT_ENCODER: nowhere does not exist"),
        ({"TEXT_FROZEN": "true"}, "TEXT_FROZEN: a tiny text encoder has random weights"),
        ({"DECODER_WIDTH": 72}, "DECODER_WIDTH=72: give a multiple of 64"),
        ({"BATCH_SIZE": 1}, "BATCH_SIZE=1: contrastive training"),
    ],
)
def test_settings_that_cannot_work_are_refused(values, message, tmp_path, corpus):
    written = {**lines(corpus), "OUTPUT_DIR": tmp_path / "out", **values}
    (tmp_path / "x.env").write_text("".join(f"{key}={value}\n" for key, value in written.items()))
    with pytest.raises(UserError, match=message):
        EncoderSettings.load(tmp_path / "x.env")


def test_another_objective_in_the_same_folder_leaves_no_text_encoder(tmp_path):
    encoder = ECGEncoder(EncoderConfig("convnext-atto", width=8, depth=1))
    text = TextEncoder.tiny(["Sinus rhythm."], 16, 1, 24)
    AlignedEncoders(encoder, text, Alignment(encoder.embedding_width, 16, 8, 10.0, 0.0)).save_pretrained(tmp_path)
    assert (tmp_path / "text/alignment.json").is_file()
    encoder.save_pretrained(tmp_path)
    assert not (tmp_path / "text").exists()


def test_cosines_are_exact_under_autocast_and_their_factor_comes_back_from_its_ceiling():
    rows, factor, places = unit(4), torch.tensor(50.0), torch.arange(4)
    none = torch.zeros(4, 4, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        low = info_nce(rows, unit(4, seed=1), factor, none, places)
    assert torch.equal(low, info_nce(rows, unit(4, seed=1), factor, none, places))
    alignment = Alignment(4, 4, 4, MOST, 0.0)
    alignment.factor.backward()
    assert alignment.log_factor.grad > 0


def test_folders_without_a_text_encoder_are_refused(tmp_path, bert):
    with pytest.raises(UserError, match=r"TEXT_ENCODER: .* holds no weights as safetensors"):
        TextEncoder.load(tmp_path, 24)
    with pytest.raises(UserError, match=r"TEXT_TOKENS=25: .* takes at most 24"):
        TextEncoder.load(bert, 25)
