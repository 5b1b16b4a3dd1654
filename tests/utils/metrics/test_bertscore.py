"""BERTScore by a small local model, by hand and as the package bert-score has it."""

from pathlib import Path

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import BertConfig, BertModel, BertTokenizerFast, RobertaConfig, RobertaModel, RobertaTokenizer

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.bertscore import BertScore

WORDS = ["sinus", "rhythm", "normal", "ecg", "atrial", "fibrillation", "no", "with", "rapid", "response", ".", ","]
GOLD = ["Normal sinus rhythm.", "Atrial fibrillation with rapid response.", "Normal ECG.", "No atrial fibrillation."]
SAID = ["Sinus rhythm, normal ECG.", "Atrial fibrillation.", "Normal ECG.", "rhythm"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random BERT of three layers x 32 that takes 16 tokens."""
    path = tmp_path_factory.mktemp("bert") / "tiny-bert"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=16,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(path)
    BertTokenizerFast(vocab={word: i for i, word in enumerate(vocabulary)}, model_max_length=16).save_pretrained(path)
    return path


def test_a_text_equals_itself_and_no_other(folder):
    found = BertScore(folder, 2).score(GOLD, GOLD)
    assert found.values == pytest.approx({"bertscore_p": 1, "bertscore_r": 1, "bertscore_f1": 1})
    other = BertScore(folder, 2).score(SAID, GOLD).of_samples("bertscore_f1")
    assert other[2] == pytest.approx(1) and (other[[0, 1, 3]] < 0.999).all()


def test_every_token_is_matched_with_the_most_similar_one(folder):
    """By hand, at the layer below the first: "sinus rhythm" against "rhythm"."""
    scorer = BertScore(folder, 0)
    ids = {word: scorer.tokenizer.convert_tokens_to_ids(word) for word in ("sinus", "rhythm", "[CLS]", "[SEP]")}

    def at_layer_0(*words: str) -> torch.Tensor:
        with torch.no_grad():
            states = scorer.model.embeddings(torch.tensor([[ids[word] for word in words]]))[0]
        return torch.nn.functional.normalize(states, dim=-1)

    similar = at_layer_0("[CLS]", "sinus", "rhythm", "[SEP]") @ at_layer_0("[CLS]", "rhythm", "[SEP]").T
    precision = float((similar[1].max() + similar[2].max()) / 2)
    recall = float(similar[:, 1].max())
    found = scorer.score(["sinus rhythm"], ["rhythm"]).values
    expected = (precision, recall, 2 * precision * recall / (precision + recall))
    assert tuple(found.values()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("layer", [0, 1, 3])
def test_scores_are_those_of_bert_score(folder, layer):
    package = pytest.importorskip("bert_score", reason="the package bert-score is not installed")
    theirs = package.BERTScorer(model_type=str(folder), num_layers=layer, device="cpu").score(SAID, GOLD)
    ours = BertScore(folder, layer).score(SAID, GOLD)
    for name, column in zip(("bertscore_p", "bertscore_r", "bertscore_f1"), theirs, strict=True):
        assert ours.of_samples(name) == pytest.approx(column.double().numpy(), abs=1e-5)


def test_the_batch_does_not_matter(folder):
    one, all_ = (BertScore(folder, 3, batch_size=size).score(SAID, GOLD) for size in (1, 64))
    for name in one.columns:
        assert one.columns[name] == pytest.approx(all_.columns[name], abs=1e-6)


def test_empty_output_scores_zero_and_an_empty_reference_is_refused(folder):
    found = BertScore(folder, 2).score(["", " \n", "ecg"], GOLD[:3])
    assert all(list(column[:2]) == [0, 0] and column[2] > 0 for column in found.columns.values())
    with pytest.raises(UserError, match="sample 1: the reference is empty"):
        BertScore(folder, 2).score(SAID[:2], ["ecg", " "])
    assert BertScore(folder, 2).score([], []).values == {}


def test_texts_beyond_the_model_are_cut_and_counted(folder):
    scorer = BertScore(folder, 2)
    long = "sinus rhythm " * 20
    note = scorer.score([long, "ecg"], [long, "ecg"]).notes["bertscore"]
    assert note.endswith("; 1 of 2 texts cut after 16 tokens")
    assert "cut" not in scorer.score(SAID, GOLD).notes["bertscore"]


def test_the_note_names_model_layer_and_weights(folder):
    scorer = BertScore(folder, 2)
    assert scorer.score(SAID, GOLD).notes == {
        "bertscore": f"tiny-bert, layer 2, weights {scorer.weights_sha256[:12]}, no IDF weights, not rescaled"
    }


def tiny_roberta(path: Path, spaced: bool, positions: int = 66) -> Path:
    """A random RoBERTa; ``spaced``: its tokenizer itself sets a space before the first word."""
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator([" ".join([*GOLD, *SAID])] * 20, 320, min_frequency=1, special_tokens=special)
    path.mkdir()
    bpe.save_model(str(path))
    merges = [tuple(line.split()) for line in (path / "merges.txt").read_text().splitlines()[1:]]
    RobertaTokenizer(bpe.get_vocab(), merges, add_prefix_space=spaced, model_max_length=512).save_pretrained(path)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=320,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=positions,
        pad_token_id=1,
        initializer_range=0.5,
    )
    RobertaModel(config).save_pretrained(path)
    return path


def test_roberta_sees_the_first_word_behind_a_space(tmp_path):
    """As the published scores do; under transformers 5 the package no longer sets the space."""
    plain, spaced = (BertScore(tiny_roberta(tmp_path / str(it), it), 2) for it in (False, True))
    found = plain.score(SAID, GOLD)
    for name, column in spaced.score(SAID, GOLD).columns.items():
        assert found.columns[name] == pytest.approx(column)
    package = pytest.importorskip("bert_score", reason="the package bert-score is not installed")
    theirs = package.BERTScorer(model_type=str(spaced.folder), num_layers=2, device="cpu").score(SAID, GOLD)[2]
    assert found.columns["bertscore_f1"] == pytest.approx(theirs.double().numpy(), abs=1e-5)


def test_positions_of_roberta_begin_behind_the_padding(tmp_path):
    scorer = BertScore(tiny_roberta(tmp_path / "roberta", spaced=False, positions=12), 1)
    assert scorer.longest == 10
    assert scorer.score(["ecg " * 30], ["ecg " * 30]).values["bertscore_f1"] == pytest.approx(1)


def test_what_is_no_model_is_one_line(folder, tmp_path):
    with pytest.raises(UserError, match=r"no \*\.safetensors"):
        BertScore(tmp_path, 1)
    with pytest.raises(UserError, match=r"no \*\.safetensors"):
        BertScore("roberta-large", 17)  # a name, and nothing is fetched
    with pytest.raises(UserError, match=r"layer 4 \(BERTSCORE_LAYER\): must be 0 to 3"):
        BertScore(folder, 4)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a language model that transformers can read"):
        BertScore(tmp_path, 1)
