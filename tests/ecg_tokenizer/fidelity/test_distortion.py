"""Distortion in millivolts."""

import numpy as np
import pytest

from cardiolect.ecg_tokenizer.fidelity.distortion import prdn
from tests.helpers.signals import some_ecg


def test_prdn_ignores_the_offset_of_a_lead_and_measures_energy():
    signal = some_ecg(2)
    assert prdn(signal, signal) == 0
    mean = np.repeat(signal.mean(axis=1, keepdims=True), signal.shape[1], axis=1)
    assert prdn(signal, mean) == pytest.approx(100)
    assert prdn(signal + 5, 0.9 * (signal - mean) + mean + 5) == pytest.approx(10, rel=1e-3)
