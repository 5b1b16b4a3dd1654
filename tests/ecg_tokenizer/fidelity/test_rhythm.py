"""Readings of beats and intervals: near the truth of simulated ECGs, none where there is no beat."""

import json
from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import resample
from cardiolect.ecg_tokenizer.fidelity import rhythm


def test_a_beat_is_matched_once_and_within_50_ms():
    assert rhythm.match_peaks(np.array([1.0, 2.0, 3.0]), np.array([1.05, 2.06, 3.0])) == (2, 1, 1)
    assert rhythm.match_peaks(np.array([1.0]), np.array([0.98, 1.02])) == (1, 0, 1)
    assert rhythm.match_peaks(np.array([]), np.array([1.0])) == (0, 0, 1)


def test_readings_of_simulated_ecgs_are_near_their_truth(corpus: Path):
    """The delineator itself is judged here, on sinus rhythm without noise: else its errors would be the tokenizer's."""
    truths = [json.loads(line) for line in (corpus / "truth.jsonl").read_text().splitlines()]
    plain = [t for t in truths if t["rhythm"].startswith("sinus") and not t["noise"] and not t["ectopy"]][:6]
    errors: dict[str, list[float]] = {"pr": [], "qt": [], "qrs": []}
    for truth in plain:
        record = read_record(corpus / f"records500/00000/{truth['record_id']:05d}_hr")
        signal = resample(record.signal, record.fs, 250)
        found = rhythm.delineate(signal, rhythm.upright_lead(signal), 250)
        assert found.heart_rate == pytest.approx(truth["heart_rate"], abs=4)
        for name, truly in (("pr", "pr interval"), ("qt", "qt interval"), ("qrs", "qrs duration")):
            errors[name].append(abs(found.intervals[name] - truth["intervals"][truly]))
    assert len(plain) == 6
    assert all(np.nanmedian(values) < 40 for values in errors.values()), errors


def test_a_flat_lead_has_no_reading_and_no_error():
    empty = rhythm.delineate(np.zeros((12, 2500)), 0, 250)
    assert len(empty.r_peaks) == 0 and np.isnan(empty.heart_rate)
    for samples in (100, 250):  # a second and less
        assert np.isnan(rhythm.delineate(np.ones((12, samples)), 0, 250).heart_rate)
    figures = rhythm.summarise([(rhythm.compare(empty, empty),) * 2])
    assert figures["reconstruction"]["heart_rate_error_bpm"] is None and figures["recordings"]["heart_rate"] == 0
