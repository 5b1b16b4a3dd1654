"""Renders the signal that shows a ground truth."""

import numpy as np

from cardiolect.data_provider.simulator.atria import fibrillation, flutter
from cardiolect.data_provider.simulator.beat_shapes import BEFORE, FS, beat_shapes
from cardiolect.data_provider.simulator.draw import draw_truth
from cardiolect.data_provider.simulator.leads import twelve
from cardiolect.data_provider.simulator.noise import add_noise
from cardiolect.data_provider.simulator.patients import RECORD_STREAM, Patient, stream
from cardiolect.data_provider.simulator.rhythm import SECONDS, Beat, beats
from cardiolect.data_provider.simulator.truth import Truth

SAMPLES = int(SECONDS * FS)


def simulate(seed: int, index: int, patient: Patient) -> tuple[Truth, np.ndarray]:
    """Simulate record number ``index`` of the corpus with this seed.

    Returns:
        its truth, and the noisy signal, float32 ``(12, 5000)`` in mV at 500 Hz, leads in the order of LEADS.
    """
    rng = stream(seed, RECORD_STREAM, index)
    truth = draw_truth(rng, patient, record_id=index + 1)
    eight, _ = _eight(truth, patient, rng)
    return truth, twelve(add_noise(eight, truth, rng)).astype(np.float32)


def clean_signal(seed: int, index: int, patient: Patient) -> tuple[Truth, np.ndarray, list[Beat]]:
    """Like `simulate`, but without noise, in float64 and with the beats, so that labels can be measured."""
    rng = stream(seed, RECORD_STREAM, index)
    truth = draw_truth(rng, patient, record_id=index + 1)
    eight, found = _eight(truth, patient, rng)
    return truth, twelve(eight), found


def _eight(truth: Truth, patient: Patient, rng: np.random.Generator) -> tuple[np.ndarray, list[Beat]]:
    shapes = beat_shapes(truth, patient, rng).curves
    found = beats(truth, rng)
    eight = np.zeros((8, SAMPLES))
    breath, phase = rng.uniform(0.01, 0.05), rng.uniform(0, 6.3)
    for beat in found:
        curve = shapes[beat.kind]
        start = round((beat.onset - BEFORE) * FS)
        a, b = max(start, 0), min(start + curve.shape[1], SAMPLES)
        if a < b:
            # Breathing turns the heart slightly, which scales all amplitudes together.
            swell = 1 + breath * np.sin(1.6 * beat.onset + phase)
            eight[:, a:b] += swell * curve[:, a - start : b - start]
    t = np.arange(SAMPLES) / FS
    gain = np.array(patient.chest_gain)
    if truth.rhythm == "atrial fibrillation":
        eight += fibrillation(t, gain, rng)
    elif truth.flutter_ratio is not None:
        eight += flutter(t, found[0].onset, truth.flutter_ratio * truth.heart_rate / 60, gain, rng)
    return eight, found
