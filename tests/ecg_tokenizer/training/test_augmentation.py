"""Augmented crops are still electrocardiograms: leads agree, missing ones stay missing, drift is slow."""

import numpy as np
import pytest
import torch

from cardiolect.data_provider.record import LIMB_FROM_I_II
from cardiolect.ecg_tokenizer.training.augmentation import augment, baseline_wander, stretched_length, twelve_leads
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.utils.errors import UserError


def settings(tmp_path, **values) -> TokenizerSettings:
    env = tmp_path / "tokenizer.env"
    env.write_text(f"DATA_ROOT={tmp_path}\nOUTPUT_DIR={tmp_path}\n")
    chosen = dict(batch_size=6, electrode_jitter=0.5, wander_chance=0.7, time_stretch=0.3, lead_dropout=0.0)
    return TokenizerSettings.load(env, **{**chosen, **values})


def crops(batch=6, samples=500) -> torch.Tensor:
    return twelve_leads(0.3 * torch.randn(batch, 8, samples, generator=torch.Generator().manual_seed(0)))


def seeded(rows: int = 6) -> list[np.random.Generator]:
    return [np.random.default_rng((1, row)) for row in range(rows)]


def test_every_lead_is_augmented_and_they_still_obey_einthoven_and_goldberger(tmp_path):
    before = crops()
    after, _ = augment(before, torch.ones(6, 12), 500, settings(tmp_path), seeded())
    assert ((after - before).abs().amax(dim=2) > 0.01).all()
    limbs = torch.from_numpy(LIMB_FROM_I_II).float() @ after[:, :2]
    torch.testing.assert_close(after[:, :6], limbs, rtol=1e-4, atol=1e-5)


def test_a_missing_lead_stays_flat_and_does_not_mix_into_others(tmp_path):
    present = torch.ones(6, 12)
    present[:, [0, 7]] = 0
    before = crops() * present[:, :, None]
    chosen = settings(tmp_path, wander_chance=0, gain_jitter=0)
    after, kept = augment(before, present, 500, chosen, seeded())
    assert torch.equal(after, before) and torch.equal(kept, present)
    wandering, _ = augment(before, present, 500, settings(tmp_path, wander_chance=1), seeded())
    assert not wandering[:, [0, 7]].any()


def test_a_crop_is_augmented_alike_in_any_batch(tmp_path):
    chosen, signal, present = settings(tmp_path, lead_dropout=0.3), crops(), torch.ones(6, 12)
    whole = augment(signal, present, 400, chosen, seeded())
    for rows in (slice(0, None, 2), slice(1, None, 2), slice(3, 4)):
        part = augment(signal[rows], present[rows], 400, chosen, seeded()[rows])
        for found, expected in zip(part, whole, strict=True):
            torch.testing.assert_close(found, expected[rows])


def test_wander_is_slow_and_has_a_realistic_voltage():
    wander = baseline_wander(1000, 250, seeded(256)).double()  # a crop of 4 s
    windowed = (wander - wander.mean(dim=2, keepdim=True)) * torch.hann_window(1000, dtype=torch.float64)
    power = torch.fft.rfft(windowed).abs().square()
    assert power[..., 8:].sum() < 0.01 * power.sum()  # from 2 Hz on
    rms = wander.square().mean(dim=(1, 2)).sqrt()
    assert rms.min() > 0.004 and rms.max() < 2 and 0.02 < rms.median() < 0.2


def test_stretching_reads_more_or_fewer_samples_but_not_if_times_are_targets(tmp_path):
    rng = np.random.default_rng(0)
    lengths = [stretched_length(1000, settings(tmp_path), rng) for _ in range(50)]
    assert 740 <= min(lengths) < 900 and 1100 < max(lengths) <= 1350
    assert stretched_length(1000, settings(tmp_path, time_stretch=0), rng) == 1000
    (tmp_path / "m.csv").write_text("ecg_id,qt\n1,400\n")
    with pytest.raises(UserError, match="TIME_STRETCH"):
        settings(tmp_path, measurements_data=[tmp_path / "m.csv"], measurements=["qt"])
