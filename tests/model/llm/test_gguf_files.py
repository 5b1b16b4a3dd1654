"""A GGUF file is converted to the model that it was made from, or refused in one line."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cardiolect.model.llm.checkpoint import load_language_model
from cardiolect.utils.errors import UserError
from tests.helpers.gguf_files import digits_apart, tiny_llama, write_gguf

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
SPOKEN = "the rate  12 57 bpm,   3 leads <|im_end|>?\n  7"


@pytest.mark.parametrize("tied", [True, False])
def test_the_model_of_a_gguf_file_is_the_one_it_was_made_from(tmp_path, tied, capsys):
    original = tiny_llama(tied)
    file = write_gguf(tmp_path / "tiny.F32.gguf", original)
    model, words = load_language_model(file, "fp32")
    ids = torch.arange(40)[None]
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(ids).logits, original(ids).logits)
    assert words(SPOKEN)["input_ids"] == digits_apart()(SPOKEN)["input_ids"]
    assert (words.bos_token, words.eos_token) == ("<|im_start|>", "<|im_end|>") and words.chat_template
    assert "converting to the folder" in capsys.readouterr().out
    folder = tmp_path / "tiny.F32"  # a stock folder, which is not converted again
    again, _ = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(ids).logits, original(ids).logits)
    assert model.config._name_or_path == str(folder), "adapters name their language model by its folder"
    load_language_model(file, "fp32")
    assert "converting" not in capsys.readouterr().out
    model.save_pretrained(tmp_path / "saved")  # transformers refuses to save what it has loaded from GGUF


def test_the_scaled_positions_of_llama_3_survive(tmp_path):
    original = tiny_llama(rope_parameters=LLAMA3)
    plain = tiny_llama(rope_parameters={"rope_type": "default", "rope_theta": LLAMA3["rope_theta"]})
    factors = (plain.model.rotary_emb.inv_freq / original.model.rotary_emb.inv_freq).numpy()
    file = write_gguf(tmp_path / "a.gguf", original, extra=[("rope_freqs.weight", factors.astype(np.float32))])
    model, _ = load_language_model(file, "fp32")
    torch.testing.assert_close(model.model.rotary_emb.inv_freq, original.model.rotary_emb.inv_freq)
    odd = write_gguf(tmp_path / "b.gguf", original, extra=[("rope_freqs.weight", factors.astype(np.float32) ** 2)])
    with pytest.raises(UserError, match="another way than Llama"):
        load_language_model(odd, "fp32")


def test_a_file_without_the_number_of_kv_heads_has_as_many_as_of_queries(tmp_path):
    original = tiny_llama(num_key_value_heads=4)
    model, _ = load_language_model(write_gguf(tmp_path / "a.gguf", original, kv_heads=False), "fp32")
    ids = torch.arange(40)[None]
    with torch.no_grad():
        assert torch.equal(model.eval()(ids).logits, original(ids).logits)


def test_what_cannot_be_converted_whole_is_refused_in_one_line(tmp_path):
    model = tiny_llama()
    bias = [("blk.0.attn_q.bias", np.zeros(64, np.float32))]
    for n, (file, complaint) in enumerate(
        {
            write_gguf(tmp_path / "mamba.gguf", model, architecture="mamba"): "of mamba are not converted",
            write_gguf(tmp_path / "split.gguf", model, split="superbpe"): r"splits text \(superbpe\) is not known",
            write_gguf(tmp_path / "yarn.gguf", model, rope__scaling__type="yarn"): r"scales its positions \(yarn\)",
            write_gguf(tmp_path / "bias.gguf", model, extra=bias): "weights, of which the llama model has",
        }.items()
    ):
        with pytest.raises(UserError, match=complaint) as caught:
            load_language_model(file, "fp32")
        assert "\n" not in str(caught.value) and file.name in str(caught.value)
        left = {path.suffix for path in tmp_path.iterdir()}
        assert left == {".gguf"}, f"a folder is left after failure {n}"


def test_a_damaged_gguf_file_ends_in_one_line(tmp_path):
    whole = write_gguf(tmp_path / "whole.gguf", tiny_llama()).read_bytes()
    damaged = {
        "empty": b"",
        "text": b"version https://git-lfs.github.com/spec/v1\n",
        "header": whole[:30],
        "tokens": whole[:3000],
        "weights": whole[:-200],
        "version": whole[:4] + b"\x63" + whole[5:],
        "counts": whole[:8] + b"\xff" * 8 + whole[16:],
        "keys": whole[:40] + b"\xff" * 40 + whole[80:],
    }
    for name, data in damaged.items():
        (tmp_path / f"{name}.gguf").write_bytes(data)
        with pytest.raises(UserError) as caught:
            load_language_model(tmp_path / f"{name}.gguf", "fp32")
        assert "\n" not in str(caught.value) and f"{name}.gguf" in str(caught.value) and len(str(caught.value)) < 400
