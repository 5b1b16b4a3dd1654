"""Language models of many families: packed rows, adapters and generation are exact, or the model is refused."""

import copy

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, T5Config

from bench.baselines.separate_candidates import score_separately
from cardiolect.ecg_tokenizer.base import PreparedECG
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.inference.generation import generate_texts
from cardiolect.model.inference.ranking import rank_answers
from cardiolect.model.llm.checkpoint import load_checkpoint, load_language_model, longest_sequence, new_checkpoint
from cardiolect.model.llm.saving import generation_config, save_checkpoint
from cardiolect.model.llm.tiny import train_bpe
from cardiolect.model.prompt.rendering import make_prompt
from cardiolect.model.training import attention
from cardiolect.model.training.adaptation import prepare_for_training
from cardiolect.model.training.objectives import weighted_loss
from cardiolect.model.training.packing import collate, lay_out, pack
from cardiolect.model.training.settings import TrainSettings
from cardiolect.utils.errors import UserError
from tests.helpers import ROOT
from tests.helpers.families import REFUSED, TRAINED, WINDOW
from tests.helpers.runs import finetune_lines, run

BIASED_HEAD = ("phi", "gptj")  # PEFT's adapters of rows leave the bias out
PADDED = ("gemma2", "gptj", "falcon", "stablelm", "nemotron", "gpt_oss")  # their attention takes no rows end to end
CANDIDATES = [("yes",), ("no",), ("no", "sinus rhythm")]
QUESTIONS = ("Is it?", "Does this ECG show atrial fibrillation?", "Normal?")


@pytest.fixture(scope="module")
def words():
    return train_bpe({"Does this ECG show atrial fibrillation? yes no", "Sinus rhythm. Normal ECG."}, 300)


def saved(family, words, folder):
    """A model of a family with random weights, as a user's local LLM_PATH."""
    torch.manual_seed(0)
    ids = {f"{name}_token_id": getattr(words, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    model = AutoModelForCausalLM.from_config(family.config(vocab_size=len(words), **ids))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=TRAINED)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def checkpoint(name, words, tokenizer_folder, tmp_path_factory):
    folder = saved(TRAINED[name], words, tmp_path_factory.mktemp("llm"))
    model, tokenizer = load_language_model(folder, "fp32")
    return new_checkpoint(model.eval(), tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)


def rows_of(vocabulary):
    """Two ECGs longer than the window with three questions each, of which the last tokens are supervised."""
    rng, rows = np.random.default_rng(0), []
    for codes, lengths in ((2 * WINDOW, (5, 2 * WINDOW, 9)), (WINDOW + 7, (6, 4, 8))):
        prefix = [vocabulary.start_id, *vocabulary.code_ids(rng.integers(0, 100, codes)), vocabulary.end_id]
        turns = [(rng.integers(5, 250, n).tolist(), [0.0] * 2 + [1.0] * (n - 2)) for n in lengths]
        rows.append((prefix, turns))
    return rows


def lora_settings(*targets: str, tuning: str = "lora") -> TrainSettings:
    return TrainSettings.model_construct(
        tuning=tuning,
        train_text_rows=False,
        lora_targets=list(targets),
        lora_rank=4,
        lora_alpha=8,
        lora_dropout=0.0,
    )


def plain_loss(model, prefix, turns):
    """Mean loss of the supervised tokens, from the stock model's own loss of one sequence at a time."""
    total = weight = 0.0
    for ids, weights in turns:
        labels = [-100] * len(prefix) + [i if w else -100 for i, w in zip(ids, weights, strict=True)]
        loss = model(input_ids=torch.tensor([[*prefix, *ids]]), labels=torch.tensor([labels])).loss
        total, weight = total + loss * sum(weights), weight + sum(weights)
    return total / weight


@pytest.fixture
def batched(checkpoint):
    """Loss of rows for each way in which training batches them: padded, and laid end to end if the model can."""
    model, pad = checkpoint.model, checkpoint.vocabulary.tokenizer.pad_token_id

    @torch.no_grad()
    def losses(rows):
        ways = {"padded": (model.config.get_text_config()._attn_implementation, lambda rows: collate(rows, pad))}
        if attention.supports_rows(model):
            ways["end to end"] = (attention.NAME, lay_out)
        for implementation, batch_of in ways.values():
            before = model.config.get_text_config()._attn_implementation
            model.set_attn_implementation(implementation)
            loss, weight = weighted_loss(model, model.get_output_embeddings(), batch_of(rows))
            model.set_attn_implementation(before)
            yield loss / weight

    return losses


@torch.no_grad()
def test_packed_questions_have_the_loss_of_plain_sequences(checkpoint, batched):
    """The ECG is longer than the window, so that a layer that counts rows instead of positions shows."""
    rows = rows_of(checkpoint.vocabulary)
    alone = [plain_loss(checkpoint.model, *row) for row in rows]
    for row, expected in zip(rows, alone, strict=True):
        for loss in batched([pack(*row)]):
            torch.testing.assert_close(loss, expected, rtol=0, atol=1e-5)
    sizes = [sum(sum(weights) for _, weights in turns) for _, turns in rows]
    expected = sum(loss * size for loss, size in zip(alone, sizes, strict=True)) / sum(sizes)
    for loss in batched([pack(*row) for row in rows]):
        torch.testing.assert_close(loss, expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_rows_of_ecgs_have_the_loss_of_plain_sequences(checkpoint, name, batched):
    """As in pretraining: three ECGs, two of them equally long, all longer than the window."""
    vocabulary, rng = checkpoint.vocabulary, np.random.default_rng(0)
    rows = [vocabulary.code_ids(rng.integers(0, 100, n)) for n in (2 * WINDOW, 3 * WINDOW, 3 * WINDOW)]
    losses = [checkpoint.model(input_ids=(ids := torch.tensor([row])), labels=ids).loss for row in rows]
    weights = torch.tensor([len(row) - 1.0 for row in rows])
    found = list(batched([pack(row, [], [0.0] + [1.0] * (len(row) - 1)) for row in rows]))
    assert len(found) == (1 if name in PADDED else 2)
    for loss in found:
        torch.testing.assert_close(loss, torch.stack(losses) @ weights / weights.sum(), rtol=0, atol=1e-5)


def test_answers_are_those_of_the_stock_model(checkpoint):
    model, vocabulary = checkpoint.model, checkpoint.vocabulary
    codes = np.random.default_rng(1).integers(0, 100, 2 * WINDOW)
    ecg = PreparedECG("1", codes.tolist(), codes)
    prompts = [make_prompt(vocabulary, [ecg], ["age 56"], "qa", question) for question in QUESTIONS]
    ours = dict(generate_texts(model, vocabulary, prompts, 8, 3))
    settings = generation_config(vocabulary)
    settings.max_new_tokens = 8
    for i, prompt in enumerate(prompts):
        ids = torch.tensor([[*prompt.prefix, *prompt.question]])
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings)
        text = vocabulary.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()
        assert ours[i].text == text
    expected = score_separately(model, vocabulary, prompts[:1], [CANDIDATES])
    ranked = dict(rank_answers(model, vocabulary, prompts[:1], [CANDIDATES], 8))
    assert ranked[0].log_probabilities == pytest.approx(expected[0], abs=1e-4)


def test_a_step_of_adapters_merges_into_the_stock_model(checkpoint, name):
    vocabulary, base = checkpoint.vocabulary, copy.deepcopy(checkpoint.model)
    before = {key: value.clone() for key, value in base.state_dict().items()}
    table = base.get_input_embeddings().weight.detach().clone()
    settings = lora_settings(*TRAINED[name].targets)
    if name in BIASED_HEAD:
        with pytest.raises(UserError, match=f"head of a {name} model has a bias"):
            prepare_for_training(base, vocabulary, settings)
        return
    model = prepare_for_training(base, vocabulary, settings)
    batch = collate([pack(*row) for row in rows_of(vocabulary)], vocabulary.tokenizer.pad_token_id)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, losses = torch.optim.Adam(trained, lr=0.01), []
    for _ in range(2):
        loss, weight = weighted_loss(model, model.get_output_embeddings(), batch)
        (loss / weight).backward()
        assert all(parameter.grad is not None for parameter in trained), "an adapter outside the language model"
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[1] < losses[0]
    ids = torch.tensor([rows_of(vocabulary)[0][0]])
    model.eval()
    with torch.no_grad():
        adapted = model(input_ids=ids).logits
        merged = model.merge_and_unload()
        torch.testing.assert_close(merged(input_ids=ids).logits, adapted, rtol=1e-4, atol=1e-4)
    text_rows = slice(0, vocabulary.start_id)
    changed = {key for key, value in merged.state_dict().items() if not torch.equal(value, before[key])}
    assert changed and not any("vision" in key or "multi_modal" in key for key in changed)
    assert torch.equal(merged.get_input_embeddings().weight[text_rows], table[text_rows])


def test_the_bias_of_a_head_trains_for_ecg_tokens_only(words, tokenizer_folder, tmp_path):
    model, tokenizer = load_language_model(saved(TRAINED["phi"], words, tmp_path), "fp32")
    vocabulary = new_checkpoint(model, tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0).vocabulary
    model = prepare_for_training(model, vocabulary, lora_settings(tuning="full"))
    batch = collate([pack([1, *vocabulary.code_ids(range(9))], [], [0.0] + [1.0] * 9)], pad_id=0)
    weighted_loss(model, model.get_output_embeddings(), batch)[0].backward()
    gradient = model.get_output_embeddings().bias.grad
    assert not gradient[: vocabulary.start_id].any() and gradient[vocabulary.start_id :].any()


@pytest.fixture
def with_pictures(words, tokenizer_folder, tmp_path):
    """A language model that is a part of its model, as in Gemma-3 4B and up."""
    model, tokenizer = load_language_model(saved(TRAINED["gemma3"], words, tmp_path / "llm"), "fp32")
    return new_checkpoint(model.eval(), tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_only_the_language_model_trains_if_it_is_a_part(with_pictures, tuning):
    settings = lora_settings("q_proj", "o_proj", tuning=tuning)
    targets = [name for name, _ in with_pictures.model.named_modules() if name.endswith("q_proj")]
    assert any("vision" in name for name in targets), "the other part has layers of these names too"
    model = prepare_for_training(with_pictures.model, with_pictures.vocabulary, settings)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained and all("language_model" in name or "lm_head" in name for name in trained)
    assert len([name for name in trained if "q_proj" in name]) == (2 if tuning == "full" else 4)


@pytest.mark.parametrize("merge", [False, True])
def test_a_language_model_that_is_a_part_is_saved_and_loaded(with_pictures, merge, tmp_path):
    vocabulary = with_pictures.vocabulary
    with_pictures.model = prepare_for_training(with_pictures.model, vocabulary, lora_settings("q_proj"))
    with torch.no_grad():
        for parameter in with_pictures.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    ids = torch.tensor([rows_of(vocabulary)[0][0]])
    with torch.no_grad():
        expected = with_pictures.model.eval()(input_ids=ids).logits
        save_checkpoint(with_pictures, tmp_path / "saved", merge=merge)
        found = load_checkpoint(tmp_path / "saved").model.eval()(input_ids=ids).logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_language_model_that_is_a_part_trains_beyond_its_window(words, corpus, tokenizer_folder, tmp_path):
    """Through the entry point, on two ranks; what reads pictures has no gradients that they could exchange."""
    base = saved(TRAINED["gemma3"], words, tmp_path / "llm")
    lines = {"LLM_PATH": base, "TOKENIZER_PATH": tokenizer_folder, "NUM_PROCESSES": 2} | finetune_lines(corpus, base)
    del lines["CHECKPOINT"]
    finetuned = run("finetune", tmp_path, "ft", **lines, TUNING="full", QUESTIONS_PER_ECG=3, MAX_STEPS=3)
    loaded = load_checkpoint(finetuned)
    assert loaded.info["settings"]["questions_per_ecg"] == 3 and loaded.info["train_loss"] > 0
    before, after = (AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (base, finetuned))
    equal = {key: torch.equal(value, after[key]) for key, value in before.items() if value.shape == after[key].shape}
    assert all(same for key, same in equal.items() if "vision" in key)
    assert not any(same for key, same in equal.items() if "q_proj" in key and "language_model" in key)


def test_a_missing_layer_is_named_with_those_that_there_are(with_pictures):
    with pytest.raises(UserError, match=r"no layers named c_attn, fc1; it has q_proj, .*down_proj$"):
        prepare_for_training(with_pictures.model, with_pictures.vocabulary, lora_settings("c_attn", "fc1", "q_proj"))


@pytest.mark.parametrize("kind", ["bart", "bert"])
def test_rounding_does_not_hide_what_is_wrong(kind, words, tmp_path):
    with pytest.raises(UserError, match=REFUSED[kind][1]):
        load_language_model(saved(REFUSED[kind][0], words, tmp_path), "bf16")


@pytest.mark.parametrize("kind", ["mixtral", "gemma3", "gpt_oss"])
def test_rounding_is_not_taken_for_a_fault(kind, words, tmp_path):
    load_language_model(saved(TRAINED[kind], words, tmp_path), "bf16")


@pytest.mark.parametrize("kind", REFUSED)
def test_a_family_that_cannot_be_exact_is_refused_before_training(kind, words, tmp_path):
    family, reason = REFUSED[kind]
    folder = saved(family, words, tmp_path)
    with pytest.raises(UserError, match=rf"a {kind} model cannot be used: .*{reason}") as refused:
        load_language_model(folder, "fp32")
    assert "\n" not in str(refused.value) and str(folder) in str(refused.value)


def test_a_model_with_an_encoder_is_refused(words, tmp_path):
    T5Config(vocab_size=300, d_model=32, num_layers=1).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="a t5 model cannot be used: it has an encoder and a decoder"):
        load_language_model(tmp_path, "fp32")


def test_a_window_is_no_limit_and_long_rope_is(checkpoint, name):
    assert longest_sequence(checkpoint.model) == (384 if name == "phi3 long" else 512)


def test_the_page_of_models_has_every_family_tried():
    rows = (ROOT / "docs/MODELS.md").read_text().split("\n")
    named = {row.split("|")[1].strip() for row in rows if row.startswith("| ")} - {"family", "---"}
    assert named == {*TRAINED, *REFUSED, "t5"}
