"""Patches of an ECG: its own samples, at the times that they say, whatever its length and rate."""

import numpy as np
import pytest
import torch

from cardiolect.data_provider.record import without_offsets
from cardiolect.ecg_tokenizer.patches.representation import FEATURES, MV_SCALE, ECGPatches, make_patches
from cardiolect.ecg_tokenizer.patches.settings import PatchConfig, PatchSettings
from cardiolect.ecg_tokenizer.representations import load_representation
from cardiolect.utils.errors import UserError
from tests.helpers.signals import some_ecg


def patches(mode: str, **values) -> ECGPatches:
    torch.manual_seed(0)
    return ECGPatches(PatchConfig(mode, patch=2500 if mode == "base" else 25, **values)).eval()


def test_rows_are_the_samples_of_their_time_lead_after_lead():
    signal = without_offsets(np.arange(12 * 250).reshape(12, 250) / 3000 * np.arange(1, 13)[:, None])
    item = patches("patch").prepare([signal], 250)[0]
    assert item.shape == (10, 300) and item.dtype == np.float16
    np.testing.assert_allclose(item[3].reshape(12, 25), MV_SCALE * signal[:, 75:100], atol=2e-3)
    rows = patches("patch").embed([torch.from_numpy(item).float()])
    assert torch.equal(rows, torch.from_numpy(item).float())


@pytest.mark.parametrize(("mode", "tokens"), [("base", 1), ("patch", 100), ("conv", 100)])
def test_every_token_has_a_row_and_a_time(mode, tokens):
    made = patches(mode)
    items = made.prepare([gain * some_ecg() for gain in (1, 2, 3)], 500)
    rows = made.embed([torch.from_numpy(item).float() for item in items])
    assert rows.shape == (3 * tokens, made.embedding_width)
    times = made.times(items[0])
    assert times.shape == (tokens, 2) and times[0, 0] == 0 and times[-1, 1] == pytest.approx(10)
    assert made.token_ids(items[0]) == [0] * tokens == [0] * made.num_tokens(items[0])
    assert made.coverage(items[0]) == (12, 10.0)


@pytest.mark.parametrize("mode", ["base", "patch", "conv"])
def test_rows_do_not_depend_on_the_batch_or_on_other_ecgs(mode):
    made = patches(mode)
    items = [torch.from_numpy(made.prepare([gain * some_ecg()], 500)[0]).float() for gain in (1, 2, 3)]
    together = made.embed(items)
    for k, item in enumerate(items):
        torch.testing.assert_close(together[k * len(item) : (k + 1) * len(item)], made.embed([item]))


def test_other_lengths_are_kept_whole_except_by_base_which_is_cut_or_filled():
    short, long = some_ecg(4.03), some_ecg(13)
    assert [len(item) for item in patches("patch").prepare([short, long], 500)] == [41, 130]
    short_item, long_item = patches("base").prepare([short, long], 500)
    assert short_item.shape == long_item.shape == (1, 30_000)
    assert not short_item.reshape(12, 2500)[:, 1100:].any()
    shown = [patches("base").coverage(item).seconds for item in (short_item, long_item)]
    assert shown == [pytest.approx(4.03, abs=0.01), 10.0]


def test_published_scaling_loses_the_voltage_and_ours_keeps_it():
    signal = some_ecg()
    published, ours = patches("patch", scaling="minmax"), patches("patch")
    small, large = (published.prepare([gain * signal], 500)[0] for gain in (1, 2))
    np.testing.assert_allclose(small, large, atol=1e-3)
    assert small.min() >= 0 and small.max() <= 1
    assert np.abs(ours.prepare([2 * signal], 500)[0]).max() > 1.9 * np.abs(ours.prepare([signal], 500)[0]).max()


def test_convolutions_learn_and_are_saved_and_the_cache_outlives_them(tmp_path):
    made = patches("conv")
    item = torch.from_numpy(made.prepare([some_ecg()], 500)[0]).float()
    before = made.fingerprint()
    made.embed([item]).square().sum().backward()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter -= 0.1 * parameter.grad
    assert made.fingerprint() == before
    made.save_pretrained(tmp_path)
    loaded = load_representation(tmp_path)
    assert isinstance(loaded, ECGPatches) and loaded.fingerprint() == before
    assert torch.equal(loaded.embed([item]), made.embed([item])) and loaded.embed([item]).shape[1] == FEATURES
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_stage_1_writes_them_without_reading_a_recording(tmp_path):
    settings = PatchSettings(data_root=[tmp_path], output_dir=tmp_path / "out", patch_mode="conv", patch_ms=200)
    assert make_patches(settings) == {"rows_per_10_s": 50, "embedding_width": FEATURES}
    assert load_representation(tmp_path / "out").config == settings.config()


def test_settings_that_are_no_whole_samples_are_refused(tmp_path):
    path = tmp_path / "x.env"
    path.write_text(f"REPRESENTATION=patches\nDATA_ROOT={tmp_path}\nOUTPUT_DIR={tmp_path}/o\nPATCH_MS=33\n")
    with pytest.raises(UserError, match=r"PATCH_MS: 33 ms is 8\.25 samples"):
        PatchSettings.load(path)


def test_a_damaged_folder_is_one_line(tmp_path):
    patches("conv").save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="no ECG patches can be loaded") as error:
        load_representation(tmp_path)
    assert "\n" not in str(error.value)
