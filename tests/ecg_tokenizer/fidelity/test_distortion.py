"""Distortion, and how much of the codebook is used."""

import numpy as np
import pytest

from cardiolect.ecg_tokenizer.fidelity.distortion import code_use, prdn
from tests.helpers.signals import some_ecg


def test_code_use_counts_whole_codes_not_levels():
    """Six levels all used in each of four dimensions: HeartLLM says 100 %, of 1296 codes 6 are used."""
    levels = np.arange(6)
    codes = sum(levels * 6**i for i in range(4))
    use = code_use(codes, [6**4])
    assert use["codes_used"] == 6
    assert use["entropy_bits"] == pytest.approx(np.log2(6))


def test_entropy_of_several_codebooks_is_their_mean():
    """One codebook used evenly, one stuck on a single code."""
    use = code_use(np.stack([np.arange(4), np.full(4, 4)]), sizes=[4, 4])
    assert (use["codes_used"], use["codebook_size"]) == (5, 8)
    assert use["entropy_bits"] == 1 and use["normalised_entropy"] == 0.5
    assert [book["normalised_entropy"] for book in use["by_codebook"]] == [1, 0]


def test_prdn_ignores_the_offset_of_a_lead_and_measures_energy():
    signal = some_ecg(2)
    assert prdn(signal, signal) == 0
    mean = np.repeat(signal.mean(axis=1, keepdims=True), signal.shape[1], axis=1)
    assert prdn(signal, mean) == pytest.approx(100)
    assert prdn(signal + 5, 0.9 * (signal - mean) + mean + 5) == pytest.approx(10, rel=1e-3)
