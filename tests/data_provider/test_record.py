"""Resampling keeps what the new rate can hold, and nothing else."""

import numpy as np
import pytest

from cardiolect.data_provider.record import resample


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
