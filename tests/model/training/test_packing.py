"""Rendering and packing: the mask covers the answer and nothing else, and packing changes no loss."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, NemotronConfig, StableLmConfig

from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.ecg_tokenizer.codes.order import CodeLayout
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.llm.checkpoint import load_language_model, new_checkpoint
from cardiolect.model.prompt.rendering import render_answer, render_prompt, render_turn
from cardiolect.model.training import attention
from cardiolect.model.training.objectives import attention_arguments, draw_windows, weighted_loss, window_sizes
from cardiolect.model.training.packing import collate, lay_out, pack
from cardiolect.model.training.rows import FinetuneDataset
from tests.helpers.ecgs import CodesInMemory
from tests.helpers.language_models import tiny_language_model
from tests.helpers.prompts import prefix_ids

CODES = np.arange(40) % 125


@pytest.fixture(params=["bos", "no bos"])
def checkpoint(request, tmp_path, tokenizer_folder):
    folder = tiny_language_model(tmp_path / "llm", bos=request.param == "bos")
    model, tokenizer = load_language_model(folder, "fp32")
    return new_checkpoint(model.eval(), tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)


def example(
    question="Does this ECG show atrial flutter?", answers=("yes",), task="qa", background="age 56, sex female"
):
    record = RecordRef("1", Path("1"), patient_id="31337")
    return Example("s", (record,), task, question, answers, background=background)


def trained(vocabulary, asked: Example, ecgs: list[np.ndarray]) -> tuple[list[int], list[bool]]:
    """``(ids, loss mask)`` of the row that trains on one example."""
    row = FinetuneDataset(vocabulary, [asked], CodesInMemory(zip(asked.records, ecgs, strict=True)))[0]
    return row.ids, [weight > 0 for weight in row.weights]


def test_every_row_supervises_its_own_answers(checkpoint):
    """One question about many ECGs: texts are rendered once, answers must not be."""
    asked = [
        replace(example(answers=(answer,)), records=(RecordRef(record, Path(record)),))
        for record, answer in (("1", "yes"), ("2", "no"), ("3", "not sure"))
    ]
    ecgs = CodesInMemory({ref: CODES for e in asked for ref in e.records})
    dataset = FinetuneDataset(checkpoint.vocabulary, asked, ecgs)
    answers = []
    for row in (dataset[i] for i in range(len(dataset))):
        answers.append(
            checkpoint.vocabulary.tokenizer.decode(
                [i for i, w in zip(row.ids, row.weights, strict=True) if w], skip_special_tokens=True
            )
        )
    assert answers == [" yes", " no", " not sure"]


@pytest.mark.parametrize(
    ("chosen", "answer"),
    [
        (example(), " yes"),
        (example(answers=("qt interval", "rr interval")), " qt interval.rr interval"),
        (example("", ("Sinus rhythm. Normal ECG.",), "report", ""), " Sinus rhythm. Normal ECG."),
    ],
)
def test_exactly_the_answer_and_its_end_are_supervised(checkpoint, chosen, answer):
    """HeartLLM drops the first answer token when a tokenizer has no BOS; spans built from parts cannot."""
    vocabulary = checkpoint.vocabulary
    ids, mask = trained(vocabulary, chosen, [CODES])
    supervised = [i for i, m in zip(ids, mask, strict=True) if m]
    assert vocabulary.tokenizer.decode(supervised) == answer + vocabulary.tokenizer.eos_token
    text = vocabulary.tokenizer.decode(ids)
    assert chosen.question in text and chosen.background in text and "31337" not in text
    assert ids.count(vocabulary.start_id) == ids.count(vocabulary.end_id) == 1


def test_evaluation_prompts_are_the_training_sequences_without_the_answer(checkpoint):
    vocabulary, asked = checkpoint.vocabulary, example()
    ids, mask = trained(vocabulary, asked, [CODES])
    prompt = prefix_ids(vocabulary, CODES, asked.background) + render_prompt(vocabulary, "qa", asked.question)
    assert ids[: mask.index(True)] == prompt


def conversation(*turns: tuple[str, str]) -> list[Example]:
    """One example per answer, as conversations are read."""
    return [
        replace(example(question, (answer,), "instruct"), sample_id=str(k), history=turns[:k])
        for k, (question, answer) in enumerate(turns)
    ]


def test_a_conversation_is_one_sequence_whose_loss_is_that_of_its_turns(checkpoint):
    """Each turn alone, with the answers before it as text, would repeat the conversation for every answer."""
    asked = conversation(("Is it fast?", "no"), ("What rhythm?", "Sinus rhythm."), ("Is it normal?", "yes"))
    other = conversation(("Is it fast?", "no"), ("What rhythm?", "Atrial flutter."))
    cache = CodesInMemory({asked[0].records[0]: CODES})
    rows = FinetuneDataset(checkpoint.vocabulary, [*asked, *other], cache, questions_per_ecg=4)
    assert len(rows) == 1 and len(rows.examples) == 5
    pad = checkpoint.vocabulary.tokenizer.pad_token_id
    model, head = checkpoint.model, checkpoint.model.get_output_embeddings()
    row = FinetuneDataset(checkpoint.vocabulary, asked, cache, questions_per_ecg=4)[0]
    assert max(row.segments) == 1
    whole, weight = weighted_loss(model, head, collate([row], pad))
    losses, weights = [], []
    for turn in asked:
        prompt = prefix_ids(checkpoint.vocabulary, CODES, turn.background)
        prompt += render_prompt(checkpoint.vocabulary, "instruct", turn.question, turn.history)
        answer = render_answer(checkpoint.vocabulary, turn.answers)
        alone = pack([], [(prompt + answer, [0.0] * len(prompt) + [1.0] * len(answer))])
        loss, counted = weighted_loss(model, head, collate([alone], pad))
        losses.append(loss)
        weights.append(counted)
    assert weight == sum(weights) and torch.isclose(whole, sum(losses), rtol=1e-5)


def test_of_a_conversation_that_is_too_long_the_beginning_is_trained(checkpoint):
    asked = conversation(("Is it fast?", "no"), ("What rhythm?", "Sinus rhythm."), ("Long? " * 50, "yes"))
    cache = CodesInMemory({asked[0].records[0]: CODES})
    rows = FinetuneDataset(checkpoint.vocabulary, asked, cache, questions_per_ecg=4, max_length=200)
    text = checkpoint.vocabulary.tokenizer.decode([i for i, w in zip(rows[0].ids, rows[0].weights, strict=True) if w])
    end = checkpoint.vocabulary.tokenizer.eos_token
    assert text == f" no{end} Sinus rhythm.{end}"


def comparison(*backgrounds: str) -> Example:
    refs = [RecordRef(str(k), Path(str(k)), f"3133{k}", background=text) for k, text in enumerate(backgrounds)]
    return replace(example("What is new in the second ECG?", ("pr interval",)), records=tuple(refs))


def test_two_ecgs_stand_before_their_question_in_its_order(checkpoint):
    """Each with its own patient; the mask of the codes is built with them, not found again."""
    vocabulary = checkpoint.vocabulary
    asked = comparison("age 56", "age 61")
    ecgs = [CODES[:10], CODES[10:30]]
    ids, mask = trained(vocabulary, asked, ecgs)
    text = vocabulary.tokenizer.decode(ids)
    assert text.index("age 56") < text.index("age 61") < text.index(asked.question) and "3133" not in text
    assert [i - vocabulary.first_code_id for i in ids if i >= vocabulary.first_code_id] == [*ecgs[0], *ecgs[1]]
    assert [i for i in ids if i in (vocabulary.start_id, vocabulary.end_id)] == [
        vocabulary.start_id,
        vocabulary.end_id,
        vocabulary.start_id,
        vocabulary.end_id,
    ]
    supervised = [i for i, m in zip(ids, mask, strict=True) if m]
    assert vocabulary.tokenizer.decode(supervised) == " pr interval" + vocabulary.tokenizer.eos_token
    cache = CodesInMemory(dict(zip(asked.records, ecgs, strict=True)))
    row = FinetuneDataset(vocabulary, [asked], cache, ecg_loss_weight=0.1)[0]
    assert row.ids == ids
    new = [i for i, w in zip(row.ids, row.weights, strict=True) if w == 0.1]
    assert new == [*vocabulary.code_ids(ecgs[0]), vocabulary.end_id, *vocabulary.code_ids(ecgs[1]), vocabulary.end_id]


def test_comparisons_share_a_row_only_with_questions_about_the_same_two(checkpoint):
    asked = comparison("", "")
    swapped = replace(asked, records=asked.records[::-1])
    alone = replace(asked, records=asked.records[:1])
    cache = CodesInMemory(dict.fromkeys(asked.records, CODES))
    rows = FinetuneDataset(checkpoint.vocabulary, [asked, swapped, alone, asked], cache, questions_per_ecg=4)
    assert sorted(row.segments[-1] for row in (rows[i] for i in range(len(rows)))) == [1, 1, 2]
    cache.pop(asked.records[1])
    assert len(FinetuneDataset(checkpoint.vocabulary, [asked, swapped, alone], cache)) == 1


@pytest.fixture(params=["sdpa", attention.NAME, "padded rows"])
def batch_of(request, checkpoint):
    """The function that batches rows, for each attention used in training."""
    pad = checkpoint.vocabulary.tokenizer.pad_token_id
    checkpoint.model.set_attn_implementation("sdpa" if request.param == "sdpa" else attention.NAME)
    if request.param == attention.NAME:
        return lay_out
    return partial(collate if request.param == "sdpa" else lay_out, pad_id=pad)


def test_packed_questions_have_the_loss_of_separate_ones(checkpoint, batch_of):
    vocabulary, model = checkpoint.vocabulary, checkpoint.model
    asked = [example(), example("What rhythm?", ("atrial fibrillation",)), example("Which noise, a or b?", ("none",))]
    prefix = prefix_ids(vocabulary, CODES, asked[0].background)
    turns = [render_turn(vocabulary, e) for e in asked]
    short = pack(prefix[: len(prefix) // 2], turns[:1])  # a second, shorter row: padding must not matter either
    packed = batch_of([pack(prefix, turns), short])
    alone = [batch_of([pack(prefix, [turn])]) for turn in turns] + [batch_of([short])]
    head = model.get_output_embeddings()
    with torch.no_grad():
        together, weight = weighted_loss(model, head, packed)
        separate = [weighted_loss(model, head, batch) for batch in alone]
    torch.testing.assert_close(together, sum(loss for loss, _ in separate), rtol=1e-5, atol=1e-5)
    assert weight == sum(w for _, w in separate)


def test_the_loss_is_the_stock_models_own(checkpoint, batch_of):
    vocabulary, model = checkpoint.vocabulary, checkpoint.model
    ids, mask = trained(vocabulary, example(), [CODES])
    labels = torch.tensor([[i if m else -100 for i, m in zip(ids, mask, strict=True)]])
    ours = batch_of([pack(ids, [], [float(m) for m in mask])])
    with torch.no_grad():
        loss, weight = weighted_loss(model, model.get_output_embeddings(), ours)
        model.set_attn_implementation("sdpa")
        stock = model(input_ids=torch.tensor([ids]), labels=labels).loss
    torch.testing.assert_close(loss / weight, stock, rtol=1e-5, atol=1e-6)


def logits_of(model, batch: dict) -> torch.Tensor:
    del batch["loss_weights"]
    attended = attention_arguments(model, batch.pop("segments", None), batch)
    return model(**batch | attended, use_cache=False).logits


def random_rows(prefixes: tuple[int, ...]) -> list:
    """Rows with prefixes of these lengths, and up to 5 questions of up to 39 tokens."""
    rng, rows = np.random.default_rng(0), []
    for k, length in enumerate(prefixes):
        turns = [rng.integers(0, 60, n) for n in rng.integers(1, 40, (k + 1) % 6)]
        weights = [[0.0] + [1.0] * (len(turn) - 1) for turn in turns]
        rows.append(pack(rng.integers(0, 60, length).tolist(), list(zip(map(list, turns), weights, strict=True))))
    return rows


@pytest.mark.parametrize("prefixes", [(50, 50, 50), (9, 60, 23, 41, 60), (0, 70, 0, 5), (30,)])
@pytest.mark.parametrize("window", [None, 17])
@pytest.mark.parametrize("products", [False, True])
def test_attention_by_parts_sees_what_the_dense_mask_shows(monkeypatch, prefixes, window, products):
    """The dense mask of 8 rows of 4400 tokens took 2 s and 155 MB for every batch.

    products: as on a CPU in bf16, but for the rounding.
    """
    monkeypatch.setattr(attention, "TOKENS_PER_PART", 16)
    monkeypatch.setattr(attention, "_by_products", lambda *_: products)
    torch.manual_seed(0)
    small = dict(vocab_size=64, hidden_size=16, num_hidden_layers=2, intermediate_size=32, num_attention_heads=4)
    kind = MistralConfig(**small, num_key_value_heads=2, pad_token_id=0, sliding_window=window)
    model = AutoModelForCausalLM.from_config(kind).eval()
    rows = random_rows(prefixes)
    dense = logits_of(model, collate(rows, 0))
    model.set_attn_implementation(attention.NAME)
    parts = logits_of(model, lay_out(rows, pad_id=0)).view_as(dense)
    end_to_end = logits_of(model, lay_out(rows))[0].split(sorted(map(len, rows)))
    for k, row in enumerate(rows):
        torch.testing.assert_close(parts[k, : len(row)], dense[k, : len(row)], rtol=0, atol=1e-6)
    for k, found in zip(sorted(range(len(rows)), key=lambda k: len(rows[k])), end_to_end, strict=True):
        torch.testing.assert_close(found, dense[k, : len(rows[k])], rtol=0, atol=1e-6)


def test_masks_by_parts_are_a_small_part_of_the_dense_one():
    segments = np.repeat([[0] * 4000 + [k // 40 + 1 for k in range(400)]], 2, axis=0)
    (group,) = attention.add_masks([attention.row_group(segments, torch.zeros(2, 4400))], torch.float32)
    masks = [part[-1] for part in group[-1]]
    assert masks[0] is None and sum(mask.numel() for mask in masks[1:]) <= 2 * 400 * 4400
    segments = np.repeat([[0] * 400 + [k // 40 + 1 for k in range(4000)]], 2, axis=0)
    (group,) = attention.add_masks([attention.row_group(segments, torch.zeros(2, 4400))], torch.float32)
    assert sum(part[-1].numel() for part in group[-1] if part[-1] is not None) < 0.17 * 2 * 4400**2


def test_changing_one_question_does_not_touch_the_others(checkpoint, batch_of):
    vocabulary, model = checkpoint.vocabulary, checkpoint.model
    prefix = prefix_ids(vocabulary, CODES)
    last = render_turn(vocabulary, example("What rhythm?"))
    rows = [pack(prefix, [render_turn(vocabulary, example(q)), last]) for q in ("Is it a?", "Is it b?")]
    assert len(rows[0]) == len(rows[1])
    with torch.no_grad():
        logits = [logits_of(model, batch_of([row])) for row in rows]
    torch.testing.assert_close(logits[0][:, -len(last[0]) :], logits[1][:, -len(last[0]) :], rtol=0, atol=1e-6)


def test_a_supervised_first_token_cannot_be_packed():
    with pytest.raises(ValueError, match="first token"):
        pack([1, 2], [([3, 4], [1.0, 0.0])])
    with pytest.raises(ValueError, match="first token"):
        lay_out([pack([1, 2], [], [1.0, 1.0])])


def test_rows_laid_out_hold_no_padding_and_train_as_padded_ones_do(checkpoint):
    """ECGs of three lengths, two of them equal: every token computed is a real one, and no gradient differs."""
    model, prefixes = checkpoint.model, [prefix_ids(checkpoint.vocabulary, CODES[:n]) for n in (40, 12, 25, 12)]
    rows = [pack(ids, [], [0.0] + [1.0] * (len(ids) - 1)) for ids in prefixes]
    gradients = []
    for name, batch in (("sdpa", collate(rows, 0)), (attention.NAME, lay_out(rows))):
        model.set_attn_implementation(name)
        loss, weight = weighted_loss(model, model.get_output_embeddings(), batch)
        (loss / weight).backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
        model.zero_grad()
    assert batch["input_ids"].numel() == sum(map(len, prefixes))
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-6)


def test_training_lays_rows_end_to_end_if_the_language_model_supports_it():
    small = dict(vocab_size=64, hidden_size=16, num_hidden_layers=1, intermediate_size=32)
    small |= dict(num_attention_heads=2, num_key_value_heads=2)
    supported = {}
    for config in (LlamaConfig, StableLmConfig, NemotronConfig):  # the last claims to, but does not
        model = AutoModelForCausalLM.from_config(config(**small, pad_token_id=0))
        supported[config.model_type] = attention.supports_rows(model)
        assert model.config._attn_implementation == "sdpa"
    assert supported == {"llama": True, "stablelm": False, "nemotron": False}


def test_window_sizes_are_heartllms_at_its_token_count():
    published = [(283, 30), (142, 15), (70, 7), (35, 4), (17, 2)]
    for (context, horizon), (w, s) in zip(window_sizes(313), published, strict=True):
        assert abs(context - w) <= 1 and abs(horizon - s) <= 1
    assert all(c >= 1 and h >= 1 and c + h <= 20 for c, h in window_sizes(20))


def test_windows_supervise_their_horizon_only(checkpoint):
    vocabulary = checkpoint.vocabulary
    codes = np.random.default_rng(0).integers(0, 125, 157)
    windows = draw_windows(vocabulary, codes, np.random.default_rng(1))
    assert len(windows) == 5
    for (ids, weights), (context, horizon) in zip(windows, window_sizes(157), strict=True):
        assert sum(weights) == horizon
        inside = [i - vocabulary.first_code_id for i in ids if i in vocabulary.new_ids][1:-1]
        assert len(inside) == context + horizon
        assert any(np.array_equal(codes[s : s + len(inside)], inside) for s in range(len(codes)))


def test_windows_of_residual_vq_hold_whole_frames(checkpoint):
    """Fine-tuning never has a sequence that begins with a code of the second codebook."""
    codes = np.arange(40).repeat(3) + 40 * np.tile(np.arange(3), 40)  # 40 frames of 3 codebooks
    for ids, weights in draw_windows(checkpoint.vocabulary, codes, np.random.default_rng(0), group=3):
        inside = np.array(ids[ids.index(checkpoint.vocabulary.start_id) + 1 : -2]) - checkpoint.vocabulary.first_code_id
        frames = inside.reshape(-1, 3)
        assert (frames // 40 == np.arange(3)).all() and (np.diff(frames % 40, axis=1) == 0).all()
        assert sum(weights) % 3 == 0


def test_windows_begin_with_a_coarse_code(checkpoint):
    layout = CodeLayout(num_codebooks=1, codebook_size=50, coarse_frames=4, coarse_codebook_size=30)
    codes = layout.join(torch.arange(42)[None] % 50, torch.arange(11)[None])[0].numpy()  # two frames in the last group
    for ids, weights in draw_windows(checkpoint.vocabulary, codes, np.random.default_rng(0), layout.group):
        inside = np.array(ids[ids.index(checkpoint.vocabulary.start_id) + 1 : -2]) - checkpoint.vocabulary.first_code_id
        assert layout.fits(inside) and len(inside) % 5 == 0 and sum(weights) % 5 == 0


def test_a_share_of_the_rows_lose_their_patient_anew_in_every_epoch(checkpoint):
    asked = [replace(example(), records=(RecordRef(f"{i}", Path(f"{i}")),)) for i in range(200)]
    ecgs = CodesInMemory({e.records[0]: CODES for e in asked})
    kept = FinetuneDataset(checkpoint.vocabulary, asked, ecgs, ecg_dropout=0.1)
    rows = FinetuneDataset(checkpoint.vocabulary, asked, ecgs, ecg_dropout=0.1, patient_dropout=0.3)

    def without_patient() -> set[int]:
        texts = [checkpoint.vocabulary.tokenizer.decode(rows[i].ids) for i in range(len(rows))]
        return {i for i, text in enumerate(texts) if "age 56" not in text}

    first = without_patient()
    assert 40 <= len(first) <= 80, "of 200"
    rows.set_epoch(1)
    assert without_patient() != first
    kept.set_epoch(1)
    for i in range(len(rows)):
        (group, chosen, without_ecg, _), other = rows.place_of(i), kept.place_of(i)
        assert (group, list(chosen), without_ecg) == (other[0], list(other[1]), other[2]), "questions and dropped ECGs"
    assert all(rows[i].ids == kept[i].ids for i in set(range(200)) - without_patient())
