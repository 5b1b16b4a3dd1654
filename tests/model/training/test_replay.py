"""REPLAY_TEXT: plain text among the sequences of ECGs, and what a checkpoint says about its plain text."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.llm.checkpoint import load_language_model, new_checkpoint
from cardiolect.model.training.packing import collate, lay_out
from cardiolect.model.training.replay import LENGTH, ReplayText, WithText
from cardiolect.model.training.rows import PretrainDataset
from cardiolect.utils.errors import UserError
from tests.helpers.ecgs import CodesInMemory
from tests.helpers.language_models import tiny_language_model
from tests.helpers.runs import finetune_lines, pretrain_lines, run
from tests.model.training.test_rows import REFS, codes

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"
MESSAGES = [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "no"}]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory, tokenizer_folder):
    model, tokenizer = load_language_model(tiny_language_model(tmp_path_factory.mktemp("llm")), "fp32")
    return new_checkpoint(model, tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0).vocabulary


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "story.txt").write_text("The ferry left at ten. " * 60 + "\n")
    lines = [{"text": f"Document {k}: <|ecg_start|>\u2028is no ECG."} for k in range(40)]
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n\n"
    (tmp_path / "more.jsonl").write_text(text, encoding="utf-8")
    return [tmp_path / "story.txt", tmp_path / "more.jsonl"]


def ecg_rows(vocabulary) -> PretrainDataset:
    return PretrainDataset(
        vocabulary, REFS, CodesInMemory({ref: codes(20 + 5 * k) for k, ref in enumerate(REFS)}), "causal"
    )


def test_documents_become_sequences_with_an_end_after_each_and_no_special_tokens_inside(vocabulary, texts):
    text = ReplayText(texts, vocabulary)
    bos, eos = vocabulary.tokenizer.bos_token_id, vocabulary.tokenizer.eos_token_id
    assert all(ids[0] == bos and len(ids) <= LENGTH for ids in text)
    stream = [token for ids in text for token in ids[1:]]
    assert stream.count(eos) == text.documents == 41 and len(stream) == text.tokens
    assert not set(stream) & set(vocabulary.new_ids)
    assert vocabulary.tokenizer.decode(stream).startswith("The ferry left at ten.")
    assert max(map(len, ReplayText(texts, vocabulary, longest=32))) == 32


def test_messages_are_written_by_the_models_own_template(vocabulary, tmp_path):
    path = tmp_path / "chat.jsonl"
    path.write_text(json.dumps({"messages": MESSAGES}))
    text = ReplayText([path], replace(vocabulary, own_template=TEMPLATE))
    assert vocabulary.tokenizer.decode(text[0][1:-1]) == "<user>Is it?</user><assistant>no</assistant>"
    with pytest.raises(UserError, match=r"chat\.jsonl, line 1: .*without a chat template"):
        ReplayText([path], vocabulary)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON"),
        ('{"content": "x"}', 'needs "text"'),
        ('["text"]', 'needs "text"'),
        ('{"messages": [{"role": "user"}]}', '"role" and "content"'),
        ('{"messages": []}', '"role" and "content"'),
    ],
)
def test_what_is_no_text_is_named_by_file_and_line(vocabulary, tmp_path, line, words):
    (tmp_path / "bad.jsonl").write_text('{"text": "good"}\n\n' + line)
    with pytest.raises(UserError) as caught:
        ReplayText([tmp_path / "bad.jsonl"], vocabulary)
    assert "bad.jsonl, line 3: " in str(caught.value) and words in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b" \n"])
def test_a_file_without_readable_text_is_refused(vocabulary, tmp_path, content):
    (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(UserError, match=r"REPLAY_TEXT: .*bad\.txt"):
        ReplayText([tmp_path / "bad.txt"], vocabulary)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_text_has_its_share_of_sequences_and_loss_in_every_epoch(vocabulary, texts, share):
    text = ReplayText(texts, vocabulary, longest=40)
    rows = WithText(ecg_rows(vocabulary), text, share, seed=3)
    added = max(1, round(share / (1 - share) * len(REFS)))
    for epoch in (0, 1, 0):
        rows.set_epoch(epoch)
        assert len(rows) == len(REFS) + added and rows.lengths().tolist() == [len(rows[i]) for i in range(len(rows))]
    loss = [sum(rows[i].weights) for i in range(len(rows))]
    assert sum(loss[len(REFS) :]) / sum(loss) == pytest.approx(added / len(rows))
    assert rows.longest_row()[0] >= max(rows.lengths())


def test_epochs_draw_other_text_and_repeat_it_only_once_all_was_drawn(vocabulary, texts):
    text = ReplayText(texts, vocabulary, longest=40)
    rows = WithText(ecg_rows(vocabulary), text, 0.5, seed=3)
    drawn = []
    for epoch in (0, 1):
        rows.set_epoch(epoch)
        drawn.append([tuple(rows[i].ids) for i in range(len(REFS), len(rows))])
        assert len(set(drawn[-1])) == len(drawn[-1])
    assert drawn[0] != drawn[1]
    rows.set_epoch(0)
    assert [tuple(rows[i].ids) for i in range(len(REFS), len(rows))] == drawn[0]
    many = WithText(ecg_rows(vocabulary), text, 0.97, seed=3)
    assert set(many.chosen) == set(range(len(text))) and len(many.chosen) > len(text)


def test_text_goes_into_the_batches_of_ecgs(vocabulary, texts):
    rows = WithText(ecg_rows(vocabulary), ReplayText(texts, vocabulary, longest=40), 0.5, seed=3)
    both = [rows[0], rows[len(REFS)]]
    assert collate(both, pad_id=0)["loss_weights"].sum() == pytest.approx(sum(sum(row.weights) for row in both))
    assert lay_out(both)["input_ids"].shape == (1, sum(map(len, both)))


def test_a_run_says_what_became_of_plain_text_and_keeps_the_figures_of_the_model_as_it_came(
    corpus, tokenizer_folder, texts, tmp_path
):
    lines = pretrain_lines(corpus, tokenizer_folder)
    lines = {key: value for key, value in lines.items() if not key.startswith("TINY")} | {"MAX_STEPS": 3}
    lines |= {"LLM_PATH": tiny_language_model(tmp_path / "llm"), "REPLAY_TEXT": ",".join(map(str, texts))}
    output = run("pretrain", tmp_path, "pre", **lines, REPLAY_SHARE=0.5)
    info = json.loads((output / "cardiolect.json").read_text())
    assert info["replay"] == {"files": ["story.txt", "more.jsonl"], "documents": 41, "tokens": np.inf, "share": 0.5} | {
        "tokens": info["replay"]["tokens"]
    }
    before, after = info["plain_text"]["before"], info["plain_text"]["after"]
    assert after["tokens"] == before["tokens"] > 1000 and after["perplexity"] < before["perplexity"]
    card = (output / "README.md").read_text()
    assert "`story.txt`, `more.jsonl`, 50 % of the loss" in card
    assert f"perplexity {before['perplexity']:.1f} and {after['perplexity']:.1f}" in card

    output = run("finetune", tmp_path, "ft", **finetune_lines(corpus, output) | {"MAX_STEPS": 3, "TUNING": "lora"})
    later = json.loads((output / "cardiolect.json").read_text())
    assert later["plain_text"]["before"] == before and later["plain_text"]["after"] != after
    assert "replay" not in later
