"""Resampling keeps what the new rate can hold, and nothing else."""

import numpy as np
import pytest
from scipy.signal import resample_poly

from cardiolect.data_provider.record import _filtered, resample, without_offsets


def tone(hertz, fs, seconds=10.0):
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * fs)) / fs)[None].astype(np.float32)


def test_tone_above_nyquist_vanishes():
    out = np.abs(resample(tone(200, 500), 500, 250))
    assert out[:, 25:-25].max() < 0.002 and out.max() < 0.03  # the tone's end is a step of the continued signal


@pytest.mark.parametrize(("fs_in", "fs_out"), [(500, 250), (250, 500), (400, 500), (1000, 250), (257.3, 500)])
def test_slow_tone_survives(fs_in, fs_out):
    out = resample(tone(10, fs_in), fs_in, fs_out)
    expected = tone(10, fs_out)
    assert out.dtype == np.float32 and out.shape == expected.shape
    inner = slice(fs_out // 10, -fs_out // 10)
    np.testing.assert_allclose(out[:, inner], expected[:, inner], atol=0.01)
    np.testing.assert_allclose(out, expected, atol=0.05)


def test_offset_does_not_ring():
    signal = np.stack([np.full(5000, 5.0), np.linspace(-3, 4, 5000)])
    out = resample(signal, 500, 250)
    np.testing.assert_allclose(out[0], 5, atol=1e-4)
    np.testing.assert_allclose(out[1], signal[1, ::2], atol=1e-3)


def test_same_rate_is_identity():
    signal = np.random.default_rng(0).standard_normal((12, 500)).astype(np.float32)
    np.testing.assert_array_equal(resample(signal, 500, 500.0), signal)


@pytest.mark.parametrize(("n", "fs_in", "fs_out"), [(1, 500, 100), (3, 100, 500), (4999, 500, 250), (5001, 999, 250.5)])
def test_length(n, fs_in, fs_out):
    assert resample(np.ones((2, n)), fs_in, fs_out).shape == (2, max(1, round(n * fs_out / fs_in)))


@pytest.mark.parametrize(("n", "fs_in", "fs_out"), [(0, 500, 250), (10, 0, 250), (10, 500, float("nan"))])
def test_nonsense_is_refused(n, fs_in, fs_out):
    with pytest.raises(ValueError, match="cannot resample"):
        resample(np.ones((1, n)), fs_in, fs_out)


@pytest.mark.parametrize("n", [1, 3, 50, 999, 5000, 5049, 30_000])
@pytest.mark.parametrize(("up", "down"), [(1, 2), (1, 4), (1, 5), (5, 8), (2, 1)])
def test_filtering_equals_scipy_bit_by_bit(n, up, down):
    rng = np.random.default_rng(n)
    for signal in (rng.normal(size=(12, n)), np.where(rng.random((12, n)) < 0.1, 3.7, 0)):
        signal = signal.astype(np.float32)
        np.testing.assert_array_equal(_filtered(signal, up, down), resample_poly(signal, up, down, axis=1))


@pytest.mark.parametrize("n", [1, 2, 7, 2500])
def test_offsets_are_the_medians_in_double_precision(n):
    signal = np.random.default_rng(n).normal(size=(12, n)).astype(np.float32)
    signal[2] = signal[2, 0]
    medians = np.median(signal.astype(float), axis=1, keepdims=True)
    np.testing.assert_array_equal(without_offsets(signal), (signal - medians).astype(np.float32))
    signal[1, 0] = np.nan
    assert np.isnan(without_offsets(signal)[1]).all() and np.isfinite(without_offsets(signal)[0]).all()
