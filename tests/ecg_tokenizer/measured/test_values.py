"""What is measured on an ECG whose waves are known."""

import numpy as np
import pytest
from scipy.special import expit

from cardiolect.data_provider.record import LEADS, LIMB_FROM_I_II
from cardiolect.ecg_tokenizer.measured.values import NOISE, WAVES, measure

FS = 500
BEATS = np.arange(0.6, 9.8, 0.8)  # 75 bpm
R = {"I": 0.8, "II": 1.0, "V1": 0.2, "V2": 0.4, "V3": 0.8, "V4": 1.2, "V5": 1.4, "V6": 1.0}
S = {"V1": 1.0, "V2": 1.5, "V3": 0.6}
ST = {"V2": 0.25, "V5": -0.15}
T = {"I": 0.2, "II": 0.3, "V2": 0.5, "V5": -0.3, "V6": 0.2}


def bump(t: np.ndarray, at: float, width: float) -> np.ndarray:
    return np.exp(-0.5 * ((t - at) / width) ** 2)


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    """``(12, 5000)`` mV: P 160 ms before R, R, S 30 ms later, a flat ST segment, and T 280 ms after R."""
    t = np.arange(10 * FS) / FS
    lead = {}
    for name in R:
        wave = np.zeros_like(t)
        for at in BEATS:
            wave += (
                0.1 * bump(t, at - 0.16, 0.02) + R[name] * bump(t, at, 0.01) - S.get(name, 0) * bump(t, at + 0.03, 0.01)
            )
            level = ST.get(name, 0) * expit((t - at - 0.06) / 0.005) * expit((at + 0.3 - t) / 0.02)
            wave += level + T.get(name, 0.1) * bump(t, at + 0.28, 0.03)
        lead[name] = wave
    limb = LIMB_FROM_I_II @ np.stack([lead["I"], lead["II"]])
    return np.concatenate([limb, [lead[name] for name in LEADS[6:]]]).astype(np.float32)


def column(found, name: str) -> dict[str, float]:
    return dict(zip(LEADS, found.waves[:, WAVES.index(name)], strict=True))


def test_beats_rate_and_intervals_are_those_of_the_signal(ecg):
    found = measure(ecg, FS)
    assert np.abs(found.beats - BEATS[: len(found.beats)]).max() < 0.03 and len(found.beats) == len(BEATS)
    assert found.rhythm["rate"] == pytest.approx(75, abs=1) and found.rhythm["spread"] < 0.01
    assert found.rhythm["pr"] == pytest.approx(170, abs=40) and 40 <= found.rhythm["qrs"] <= 110
    assert not found.others.any() and found.present.all()


def test_the_waves_of_every_lead_have_their_sizes(ecg):
    found = measure(ecg, FS)
    r, s, t, st = (column(found, name) for name in ("r", "s", "t", "st"))
    for name in ("I", "II", "V4", "V5"):
        assert r[name] == pytest.approx(R[name], rel=0.15)
    for name in ("V1", "V2"):
        assert s[name] == pytest.approx(S[name], rel=0.2)
    assert t["II"] == pytest.approx(0.3, abs=0.1) and t["V5"] < -0.2
    assert st["V2"] > 0.15 and st["V5"] < -0.08 and abs(st["I"]) < 0.05
    assert r["aVR"] < 0.1 and column(found, "q")["aVR"] > 0.6  # it sees the heart from the other side


def test_noise_is_measured_in_the_lead_that_has_it(ecg):
    rng, noisy = np.random.default_rng(0), ecg.copy()
    t = np.arange(ecg.shape[1]) / FS
    noisy[6] += 0.5 * np.sin(2 * np.pi * 0.2 * t)
    noisy[7] += 0.05 * rng.standard_normal(len(t))
    noisy[8, 2000:2200] += 0.5 * rng.standard_normal(200)
    clean, found = measure(ecg, FS).noise, measure(noisy, FS).noise
    for lead, kind in ((6, "drift"), (7, "static"), (8, "burst")):
        more = found[:, NOISE.index(kind)] / clean[:, NOISE.index(kind)]
        assert more.argmax() == lead and more[lead] > 3
    assert found[8, NOISE.index("burst")] > 0.1 and found[8, NOISE.index("static")] < 0.01  # a burst is short


def test_the_sampling_rate_hardly_matters(ecg):
    other = measure(ecg[:, ::2], FS / 2)
    assert np.abs(other.waves - measure(ecg, FS).waves).max() < 0.08


def test_leads_without_a_signal_are_not_measured(ecg):
    ecg = ecg.copy()
    ecg[8] = 0
    found = measure(ecg, FS)
    assert not found.present[8] and np.isnan(found.waves[8]).all() and np.isnan(found.noise[8]).all()
    assert not np.isnan(found.waves[7]).any()


@pytest.mark.parametrize("seconds", [0.2, 2, 10])
def test_a_flat_line_has_no_beats_and_no_waves(seconds):
    found = measure(np.zeros((12, round(seconds * FS)), np.float32), FS)
    assert not len(found.beats) and np.isnan(found.waves).all() and not found.present.any()
    assert all(np.isnan(value) for value in found.rhythm.values())
