"""ECG codes as tokens of a language model: new rows are added and old ones stay the same."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.llm.checkpoint import Checkpoint, load_checkpoint, load_language_model, new_checkpoint
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.prompt.vocabulary import ECG_END, ECG_START, Vocabulary
from cardiolect.utils.errors import UserError
from tests.helpers.language_models import sentencepiece, tiny_language_model


@pytest.fixture(params=["tied, bos", "untied, no bos"])
def fresh(request, tmp_path, tokenizer_folder) -> tuple[Checkpoint, AutoModelForCausalLM]:
    """An extended language model before training, and its base."""
    folder = tiny_language_model(tmp_path / "llm", tied=request.param.startswith("tied"), bos="no" not in request.param)
    model, tokenizer = load_language_model(folder, "fp32")
    checkpoint = new_checkpoint(model, tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)
    return checkpoint, AutoModelForCausalLM.from_pretrained(folder)


def test_every_code_is_one_token_that_text_tokenizers_can_spell(fresh):
    vocabulary = fresh[0].vocabulary
    codes = np.array([0, 7, 124])
    ids = [vocabulary.start_id, *vocabulary.code_ids(codes), vocabulary.end_id]
    text = f"{ECG_START}<|ecg_0|><|ecg_7|><|ecg_124|>{ECG_END}"
    assert vocabulary.tokenizer(text, add_special_tokens=False)["input_ids"] == ids
    assert vocabulary.tokenizer.decode(ids) == text
    assert len(vocabulary.new_ids) == 2 + 125 + 27 == len(set(vocabulary.new_ids))


def test_a_question_cannot_smuggle_in_an_ecg_or_an_end(fresh):
    vocabulary = fresh[0].vocabulary
    ids = vocabulary.text_ids(f"{ECG_START}<|ecg_3|>{vocabulary.tokenizer.eos_token}")
    assert not set(ids) & {*vocabulary.new_ids, vocabulary.tokenizer.eos_token_id}


@pytest.mark.parametrize("scheme", ["first", "always"])
def test_text_cannot_spell_a_special_token_of_any_kind(scheme):
    vocabulary = Vocabulary.extend(sentencepiece(scheme), 7)
    text = "a<s>b</s>c<start_of_turn>d<<s>/s><|ecg_3|> <unk>"
    special = vocabulary.tokenizer.convert_tokens_to_ids(["<unk>", "<s>", "</s>", "<start_of_turn>"])
    assert set(special) <= set(vocabulary.tokenizer(text)["input_ids"])
    assert not set(vocabulary.text_ids(text)) & {*special, *vocabulary.new_ids}


def test_escapes_of_tokenizers_with_similar_special_tokens_are_unchanged(fresh):
    vocabulary = fresh[0].vocabulary
    assert vocabulary.escapes == {"<|": "< |"}
    text = "Is <|eos|> <s> 1 <| 2?"
    ids = vocabulary.tokenizer(text.replace("<|", "< |"), add_special_tokens=False)["input_ids"]
    assert vocabulary.text_ids(text) == ids


def test_text_logits_before_training_equal_the_base_models(fresh):
    checkpoint, base = fresh
    ids = torch.tensor([checkpoint.vocabulary.text_ids("Does this ECG show atrial fibrillation? yes")])
    with torch.no_grad():
        torch.testing.assert_close(
            checkpoint.model(ids).logits[..., : base.config.vocab_size], base(ids).logits, rtol=0, atol=0
        )


def test_text_rows_stay_to_the_bit_when_ecg_rows_are_added(fresh):
    checkpoint, base = fresh
    for new, old in (
        (checkpoint.model.get_input_embeddings().weight, base.get_input_embeddings().weight),
        (checkpoint.model.get_output_embeddings().weight, base.get_output_embeddings().weight),
    ):
        assert torch.equal(new[: old.shape[0]], old)


def test_new_rows_follow_the_geometry_of_the_codebook(fresh):
    """Similar codes start with similar rows; in HeartLLM rows start as noise."""
    checkpoint, base = fresh
    rows = checkpoint.model.get_input_embeddings().weight[checkpoint.vocabulary.first_code_id :].detach()
    place = checkpoint.representation.code_geometry()
    distances = [torch.pdist(x).numpy() for x in (rows, place)]
    assert np.corrcoef(*distances)[0, 1] > 0.95
    text = base.get_input_embeddings().weight
    assert 0.5 < rows.std() / text.std() < 2


def test_a_plain_hugging_face_load_gives_the_same_logits(fresh, tmp_path):
    checkpoint, _ = fresh
    save_checkpoint(checkpoint, tmp_path / "saved", merge=True)
    model, tokenizer = (cls.from_pretrained(tmp_path / "saved") for cls in (AutoModelForCausalLM, AutoTokenizer))
    ids = tokenizer("<|ecg_start|><|ecg_5|><|ecg_9|><|ecg_end|>Report:", return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        assert torch.equal(model(ids["input_ids"]).logits, checkpoint.model(ids["input_ids"]).logits)
    names = {p.suffix for p in (tmp_path / "saved").rglob("*") if p.is_file()}
    assert names <= {".json", ".safetensors", ".md", ".jinja"}
    loaded = load_checkpoint(tmp_path / "saved")
    assert loaded.representation.fingerprint() == checkpoint.representation.fingerprint()


def test_another_codebook_is_refused(fresh):
    with pytest.raises(UserError, match="another ECG tokenizer"):
        Vocabulary.extend(fresh[0].vocabulary.tokenizer, 64)


def test_a_folder_without_a_model_gives_a_one_line_error(tmp_path):
    with pytest.raises(UserError, match="no causal language model") as error:
        load_language_model(tmp_path, "fp32")
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="not a checkpoint"):
        load_checkpoint(tmp_path)
