"""Encoders of pictures: every lead is in the picture, at its time, and the vision model is the stock one."""

import json

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    CLIPConfig,
    CLIPModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    ViTConfig,
    ViTModel,
)

from cardiolect.ecg_tokenizer.encoders.architectures.picture import KINDS, PictureEncoder, describe, draw, load_weights
from cardiolect.ecg_tokenizer.encoders.base import MV_SCALE
from cardiolect.ecg_tokenizer.encoders.settings import EncoderSettings
from cardiolect.ecg_tokenizer.representations import load_representation
from cardiolect.utils.errors import UserError
from tests.helpers.runs import run

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
VISION = {**SIZES, "image_size": 48, "patch_size": 12}
MODELS = {
    "vit": lambda: ViTModel(ViTConfig(**VISION)),
    "clip": lambda: CLIPModel(CLIPConfig(text_config={**SIZES, "vocab_size": 50}, vision_config=VISION)),
    "siglip_vision_model": lambda: SiglipVisionModel(SiglipVisionConfig(**VISION)),
}


def saved(name: str, folder):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    model.save_pretrained(folder)
    return model.vision_model if name == "clip" else model


def test_all_leads_are_drawn_one_below_the_other_at_their_times():
    signal = torch.zeros(1, 12, 960)
    signal[0, 4, 480:490] = 1.0  # mV
    flat, picture = draw(torch.zeros(1, 12, 960), 96)[0], draw(signal, 96)[0]
    assert flat.shape == (96, 96) and flat.min() >= 0 and flat.max() == 1
    inked = (flat < 0.9).all(1).nonzero()[:, 0].numpy()
    assert len(set(inked // 8)) == 12, "a lead is not in the picture from the left edge to the right one"
    rows, columns = (picture != flat).nonzero().T.numpy()
    assert columns.min() >= 47 and columns.max() <= 50
    assert rows.max() <= 8 * 4.5 + 1 and rows.min() == pytest.approx(8 * 4.5 - 8 / 2.5, abs=1)  # upwards


def test_a_line_has_no_gaps_however_steep():
    signal = torch.zeros(1, 12, 96)
    signal[0, 11, 48:] = 40.0  # far out of its row, and of the picture
    column = draw(signal, 96)[0][:, 47:49].amin(1)
    assert (column[: 8 * 11 + 4] < 0.9).all()


@pytest.mark.parametrize("name", MODELS)
def test_features_are_those_of_the_stock_model_on_the_drawn_ecg(name, tmp_path):
    stock = saved(name, tmp_path)
    encoder = PictureEncoder(describe(tmp_path)).eval()
    load_weights(encoder, tmp_path)
    signal = torch.randn(2, 12, 500)
    kind = KINDS[json.loads(describe(tmp_path))["model_type"]]
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (kind.mean, kind.deviation))
    pixels = (draw(signal, 48)[:, None].repeat(1, 3, 1, 1) - mean) / deviation
    with torch.no_grad():
        expected = stock(pixel_values=pixels).last_hidden_state[:, int(kind.summary) :]
        found = encoder(signal * MV_SCALE)
    torch.testing.assert_close(found, expected)
    assert found.shape == (2, 16, 16)
    spans = encoder.spans(500)
    np.testing.assert_allclose(spans[:5], [[0, 125], [125, 250], [250, 375], [375, 500], [0, 125]])


def test_pixels_that_no_patch_sees_are_left_white(tmp_path):
    torch.manual_seed(0)
    ViTModel(ViTConfig(**{**VISION, "image_size": 50})).save_pretrained(tmp_path)
    encoder = PictureEncoder(describe(tmp_path)).eval()
    signal = torch.zeros(1, 12, 500)
    signal[:, :, -10:] = 4.0  # at the very end
    with torch.no_grad():
        assert not torch.allclose(encoder(signal), encoder(torch.zeros(1, 12, 500)))
    assert encoder.spans(500)[3].tolist() == [375, 500]


def test_stage_1_keeps_the_weights_of_the_vision_model(tmp_path, corpus):
    stock = saved("vit", tmp_path / "vit")
    lines = {"REPRESENTATION": "encoder", "ENCODER": "picture", "VISION_ENCODER": tmp_path / "vit"}
    output = run("tokenizer", tmp_path, "encoder", DATA_ROOT=corpus, OBJECTIVE="none", **lines)
    representation = load_representation(output)
    kept = representation.encoder.model.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in stock.state_dict().items())
    item = representation.prepare([np.zeros((12, 2500), np.float32)], 250)[0]
    assert representation.num_tokens(item) == 16 and representation.times(item)[-1].tolist() == [7.5, 10.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "VISION_ENCODER is not set"),
        ({"VISION_ENCODER": "{dir}/oblong"}, r"takes pictures of .* pixels, which are not square"),
        ({"VISION_ENCODER": "{dir}/bert"}, "holds a bert model; it can be ViT, CLIP or SigLIP"),
        ({"VISION_ENCODER": "{dir}", "ENCODER_SCALING": "range"}, "ENCODER_SCALING=range: pictures are drawn"),
    ],
)
def test_settings_that_cannot_work_are_refused(values, message, tmp_path, corpus):
    BertConfig().save_pretrained(tmp_path / "bert")
    ViTConfig(**{**VISION, "image_size": [48, 96]}).save_pretrained(tmp_path / "oblong")
    lines = {"REPRESENTATION": "encoder", "ENCODER": "picture", "OBJECTIVE": "none", "DATA_ROOT": corpus}
    lines |= {"OUTPUT_DIR": tmp_path / "out", **values}
    text = "".join(f"{key}={str(value).format(dir=tmp_path)}\n" for key, value in lines.items())
    (tmp_path / "x.env").write_text(text)
    with pytest.raises(UserError, match=message):
        EncoderSettings.load(tmp_path / "x.env").config()


def test_a_folder_without_weights_is_refused(tmp_path):
    ViTConfig(**VISION).save_pretrained(tmp_path)
    encoder = PictureEncoder(describe(tmp_path))
    with pytest.raises(UserError, match=r"VISION_ENCODER: .* holds no weights as safetensors"):
        load_weights(encoder, tmp_path)
