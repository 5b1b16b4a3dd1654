"""Masked pretraining: what is hidden, what the loss counts, ranks, and that it learns."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cardiolect.ecg_tokenizer.encoders.architectures.table import build_encoder
from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig
from cardiolect.ecg_tokenizer.encoders.objectives.masked import MaskedDecoder, hidden_error, seen_patches
from cardiolect.ecg_tokenizer.encoders.settings import EncoderSettings
from cardiolect.ecg_tokenizer.training.optimizers import adamw, descend
from cardiolect.utils.errors import UserError
from tests.helpers.runs import run
from tests.helpers.signals import some_ecg

SMALL = {
    **{
        "REPRESENTATION": "encoder",
        "OBJECTIVE": "masked",
        "ENCODER": "st-mem",
        "ENCODER_WIDTH": 32,
        "ENCODER_DEPTH": 1,
    },
    **{
        "TRAIN_FOLDS": "1-8",
        "VALID_FOLDS": 9,
        "MAX_TRAIN": 24,
        "MAX_VALID": 6,
        "DECODER_WIDTH": 32,
        "DECODER_DEPTH": 1,
    },
    **{"STEPS": 4, "EVAL_STEPS": 4, "BATCH_SIZE": 4, "CROP_SECONDS": 2, "ENCODER_SECONDS": 2, "PATCH_MS": 200},
}


def generators(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(k) for k in range(count)]


def test_a_quarter_is_seen_and_of_st_mem_a_quarter_of_every_lead():
    together = seen_patches(40, False, 0.25, generators(8))
    assert (together.sum(1) == 10).all() and len({tuple(row.tolist()) for row in together}) == 8
    apart = seen_patches(12 * 8, True, 0.25, generators(8)).view(8, 12, 8)
    assert (apart.sum(2) == 2).all() and not (apart == apart[:, :1]).all()
    again = seen_patches(40, False, 0.25, generators(8))
    assert torch.equal(together, again)


def test_only_hidden_patches_of_recorded_leads_count_each_by_its_own_variance():
    torch.manual_seed(0)
    patches, restored = torch.randn(2, 6, 10), torch.randn(2, 6, 10)
    kept = torch.zeros(2, 6, dtype=torch.bool)
    kept[:, :2] = True
    present = torch.ones_like(patches, dtype=torch.bool)
    present[1, 5] = False
    error, count = hidden_error(patches, restored, kept, present)
    assert count == 7 * 10
    for changed in ((0, 1), (1, 5)):  # seen, and not recorded
        other = restored.clone()
        other[changed] += 100
        assert torch.equal(hidden_error(patches, other, kept, present)[0], error)
    louder = hidden_error(50 * patches + 3, restored, kept, present)[0]
    torch.testing.assert_close(louder, error, rtol=1e-3, atol=1e-3)
    perfect = (patches - patches.mean(2, keepdim=True)) / patches.std(2, keepdim=True)
    assert hidden_error(patches, perfect, kept, present)[0] < 1e-2


@pytest.mark.parametrize("name", ["st-mem", "mtae", "mlae"])
def test_the_decoder_restores_patches_in_their_places(name):
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name, width=16, depth=1, patch=500 if name == "mlae" else 50)).eval()
    decoder = MaskedDecoder(encoder, 16, 1).eval()
    patches = encoder.patches(torch.randn(2, 12, 500))
    kept = seen_patches(patches.shape[1], name == "st-mem", 0.5, generators(2))
    with torch.inference_mode():
        features = encoder.encode(patches, kept)
        restored = decoder(features, kept)
        changed = features.clone()
        changed[0, 0] += 5
        moved = (decoder(changed, kept) - restored).abs().amax(2)
    assert restored.shape == patches.shape and not moved[1].any()
    first = int(kept[0].nonzero()[0])
    assert int(moved[0].argmax()) == first, "most where the changed patch is"
    if name == "st-mem":  # the decoder sees each lead alone
        assert moved[0].view(12, -1)[first // 10].all() and not np.delete(moved[0].view(12, -1), first // 10, 0).any()


def test_two_ranks_train_as_one_and_the_same_run_repeats_itself(tmp_path, corpus):
    names = {"one": 1, "two": 2, "again": 1}
    folders = [
        run("tokenizer", tmp_path, name, DATA_ROOT=corpus, **SMALL, NUM_PROCESSES=ranks)
        for name, ranks in names.items()
    ]
    one, two, again = (load_file(folder / "model.safetensors") for folder in folders)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert all((one[name] - two[name]).abs().max() < 2e-5 for name in one)
    errors = [json.loads((folder / "metrics.json").read_text())["hidden_error"] for folder in folders]
    assert errors[0] == pytest.approx(errors[1], rel=1e-4) and 0.5 < errors[0] < 3


def test_hidden_patches_are_learned_from_those_that_are_seen():
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig("mtae", width=64, depth=2, patch=25))
    decoder = MaskedDecoder(encoder, 64, 1)
    patches = encoder.patches(torch.from_numpy(np.stack([some_ecg(2, 250), 2 * some_ecg(2, 250)])).float())
    kept, present = (
        seen_patches(patches.shape[1], False, 0.5, generators(2)),
        torch.ones_like(patches, dtype=torch.bool),
    )
    optimizer, errors = adamw([encoder, decoder], 3e-3, 0.0, (0.9, 0.95)), []
    for _ in range(60):
        error, count = hidden_error(patches, decoder(encoder.encode(patches, kept), kept), kept, present)
        descend(error / count, [optimizer])
        errors.append((error / count).item())
    assert errors[0] > 0.9 and errors[-1] < 0.3 * errors[0]


def test_what_has_no_patches_cannot_be_masked(tmp_path, corpus):
    env_file = tmp_path / "x.env"
    lines = {**SMALL, "ENCODER": "s4", "DATA_ROOT": corpus, "OUTPUT_DIR": tmp_path / "out"}
    env_file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    with pytest.raises(
        UserError, match="OBJECTIVE=masked: s4 has no patches to hide; ENCODER can be st-mem, mtae, mlae"
    ):
        EncoderSettings.load(env_file)
