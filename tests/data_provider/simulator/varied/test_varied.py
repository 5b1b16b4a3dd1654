"""The simulator's varied mode: hearts differ, labels hold on the signal, and what is in doubt is not asked about."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from cardiolect.data_provider.corpora.ptbxl_database import load_database, parse_folds
from cardiolect.data_provider.ecgqa import derived as derived_questions
from cardiolect.data_provider.ecgqa.findings import AXES, NAMES, NOISES, NOT_SIMULATED
from cardiolect.data_provider.ecgqa.r_peaks import find_r_peaks
from cardiolect.data_provider.record import LEADS, resample
from cardiolect.data_provider.simulator.corpus import Variety, main, write_corpus
from cardiolect.data_provider.simulator.leads import frontal_axis
from cardiolect.data_provider.simulator.patients import draw_patient
from cardiolect.data_provider.simulator.reports import report
from cardiolect.data_provider.simulator.varied.questions import varied_questions
from cardiolect.data_provider.simulator.varied.real_noise import noise_library, without_beats
from cardiolect.data_provider.simulator.varied.render import clean_varied, simulate_varied
from cardiolect.data_provider.simulator.varied.truth import VariedTruth
from cardiolect.data_provider.texts.lexicon import findings_in
from cardiolect.utils.errors import UserError
from tests.helpers.files import digests

SEED, RECORDS, FS = 5, 40, 500
Case = tuple[VariedTruth, np.ndarray]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [clean_varied(SEED, i, draw_patient(SEED, i, 1)) for i in range(150)]


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("varied") / "corpus"
    assert write_corpus(out, RECORDS, SEED, workers=1, variety=Variety())
    return out


def _truths(corpus: Path) -> list[VariedTruth]:
    return [VariedTruth.from_json(json.loads(line)) for line in (corpus / "truth.jsonl").read_text().splitlines()]


def _peaks(signal: np.ndarray) -> np.ndarray:
    return 2 * find_r_peaks(resample(signal, FS, 250), 250)


def _plain(cases: list[Case]) -> list[tuple[VariedTruth, np.ndarray, np.ndarray]]:
    """Sinus beats with a QRS that a detector centres on, and the median QRS ``(12, 80)`` from 80 ms before R."""
    found = []
    for truth, signal in cases:
        if truth.ectopy or not truth.rhythm.startswith("sinus") or truth.conduction or truth.low_voltage:
            continue
        peaks = _peaks(signal)
        whole = [signal[:, p - 40 : p + 40] - signal[:, p - 40 : p - 39] for p in peaks if 40 <= p < 4950]
        found.append((truth, peaks, np.median(whole, axis=0)))
    assert len(found) > 25
    return found


def test_limb_leads_obey_einthoven_and_goldberger_with_noise_too() -> None:
    for i in range(20):
        _, signal = simulate_varied(SEED, i, draw_patient(SEED, i, 1))
        first, second, third, avr, avl, avf = signal[:6]
        assert np.abs(first + third - second).max() < 1e-4
        assert np.abs(avr + (first + second) / 2).max() < 1e-4
        assert np.abs(avl - (first - third) / 2).max() < 1e-4
        assert np.abs(avf - (second + third) / 2).max() < 1e-4


def test_heart_rate_voltage_and_axis_are_those_of_the_signal(cases: list[Case]) -> None:
    rates, voltages, axes = [], [], []
    for truth, peaks, qrs in _plain(cases):
        rates.append(60 * FS / np.median(np.diff(peaks)) / truth.heart_rate)
        v1, v5, v6 = (qrs[LEADS.index(name)] for name in ("V1", "V5", "V6"))
        voltages.append((max(v5.max(), v6.max()) - v1.min()) / truth.measures["sokolow"])
        area = qrs.sum(axis=1)
        axes.append((frontal_axis(area[0], area[1]) - truth.axis_degrees + 180) % 360 - 180)
    # A detector's median beat is not the truth's: P, noise of breathing, and here and there another beat or wave.
    for found, wanted, near in ((rates, 1, 0.03), (voltages, 1, 0.15), (axes, 0, 20)):
        assert np.mean(np.abs(np.array(found) - wanted) < near) > 0.9, sorted(found)


def test_codes_follow_from_the_measures(cases: list[Case]) -> None:
    for truth, _ in cases:
        voltage = truth.measures["sokolow"]
        if "VCLVH" in truth.codes:
            assert voltage > 3.5
        elif "VCLVH" not in truth.open:
            assert voltage <= 3.0
        for code, holds in (("SBRAD", truth.heart_rate < 60), ("STACH", truth.heart_rate > 100)):
            assert code not in truth.codes or holds
        assert not set(truth.codes) & set(truth.open)
        assert (truth.axis is None) == (set(AXES) <= set(truth.open))
        if truth.axis == "left axis deviation":
            assert truth.axis_degrees < -30
        measures, intervals = truth.measures, truth.intervals
        criteria = {
            "1AVB": lambda t: (t["pr interval"] or 0) > 200,
            "LNGQT": lambda t: (t["qt corrected"] or 0) > 475,
            "CRBBB": lambda t: t["qrs duration"] >= 120,
            "CLBBB": lambda t: t["qrs duration"] >= 120,
        }
        for code, holds in criteria.items():
            assert code not in truth.codes or holds(intervals), (code, intervals)
        for code in ("CRBBB", "IRBBB"):
            assert code not in truth.codes or measures["r_prime"] >= 0.05
        assert "LVOLT" not in truth.codes or measures["limb"] < 0.5
        assert (
            "IMI" not in truth.codes
            or set(measures["small_q_leads"]) & {"II", "III", "aVF"}
            or max(measures["st"][lead] for lead in ("II", "III", "aVF")) > 0.05
        )
    assert {"1AVB", "LNGQT", "CRBBB", "CLBBB", "LVOLT", "IMI"} <= {c for truth, _ in cases for c in truth.codes}


def test_fibrillation_is_not_the_only_irregular_rhythm(cases: list[Case]) -> None:
    spread = defaultdict(list)
    for truth, signal in cases:
        rr = np.diff(_peaks(signal))
        spread[truth.rhythm].append(rr.std() / rr.mean())
    assert min(spread["atrial fibrillation"]) > 0.05
    assert max(spread["sinus rhythm"] + spread["sinus bradycardia"]) > np.median(spread["atrial fibrillation"])


def test_hearts_are_more_varied_than_those_of_the_default_mode(cases: list[Case]) -> None:
    rates = np.array([truth.heart_rate for truth, _ in cases])
    assert ((rates > 57) & (rates < 63)).any() and ((rates > 97) & (rates < 106)).any()
    voltages = np.array([truth.measures["sokolow"] for truth, _ in cases])
    assert ((voltages > 3.0) & (voltages < 3.9)).any()
    assert len({truth.codes for truth, _ in cases}) > 60


def test_a_varied_corpus_has_the_same_bytes_for_any_workers(varied: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path / "again", RECORDS, SEED, workers=2, variety=Variety())
    assert digests(tmp_path / "again") == digests(varied)
    assert len(load_database(varied)) == RECORDS


def test_a_varied_corpus_is_not_mixed_with_another(varied: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="made with a different --varied"):
        write_corpus(varied, RECORDS, SEED, workers=1)
    with pytest.raises(UserError, match="--varied"):
        main(["--out", str(tmp_path / "new"), "--noise-from", str(varied)])


def test_truth_survives_json_and_reports_state_the_findings(varied: Path) -> None:
    for truth, line in zip(_truths(varied), (varied / "truth.jsonl").read_text().splitlines(), strict=True):
        assert json.dumps(truth.to_json()) == line
        assert findings_in(report(truth)) == set(truth.findings)


def test_questions_are_worded_as_those_about_ptbxl(varied: Path) -> None:
    worded = {q.text for q in varied_questions()}
    about_ptbxl = {question.text for question in derived_questions.questions()}
    skipped = {f"Does this ECG show symptoms of {NAMES[code]}?" for code in NOT_SIMULATED}
    assert about_ptbxl - worded == skipped
    assert len(worded) == len(list(varied_questions()))


def test_what_is_open_is_neither_asked_nor_denied(varied: Path) -> None:
    truths = {t.record_id: t for t in _truths(varied)}
    rows = [row for path in sorted((varied / "questions").iterdir()) for row in json.loads(path.read_text())]
    checked = 0
    for row in rows:
        truth = truths[row["ecg_id"][0]]
        left_open = {NAMES.get(name, name) for name in truth.open}
        if row["question_type"] == "single-verify":
            assert row["attribute"][0] not in left_open, (row["question"], truth.open)
        for name, code in ((name, code) for code, name in NAMES.items() if [name] == row["attribute"]):
            if row["template_id"] == 1:
                assert row["answer"] == (["yes"] if code in truth.codes else ["no"]), (name, truth)
                checked += 1
    assert checked > 30


def _as_ptbxl(folder: Path) -> Path:
    write_corpus(folder, 40, seed=2, workers=1)
    return folder


def test_noise_comes_from_the_named_folds_only(tmp_path: Path) -> None:
    root = _as_ptbxl(tmp_path / "ptbxl")
    library = noise_library(root, parse_folds("1-5"))
    for ref in load_database(root).values():
        if ref.fold > 5:
            ref.path.with_suffix(".dat").unlink()
    assert np.array_equal(noise_library(root, parse_folds("1-5")), library)
    with pytest.raises(UserError, match="none of its"):
        noise_library(root, parse_folds("6-10"))

    out = tmp_path / "varied"
    write_corpus(out, 12, SEED, workers=1, variety=Variety(root, "1-5"))
    made = json.loads((out / "corpus.json").read_text())
    assert made["noise_folds"] == "1-5" and made["noise_recordings"] == len(library)
    with pytest.raises(UserError, match="noise"):
        write_corpus(out, 12, SEED, workers=1, variety=Variety(root, "1-4"))


def test_noise_of_a_recording_has_no_beats_in_it(cases: list[Case]) -> None:
    checked = 0
    for _, signal in cases[:40]:
        eight = signal[[0, 1, *range(6, 12)]]
        rng = np.random.default_rng(0)
        noise = without_beats(eight + 0.02 * rng.standard_normal(eight.shape))
        if noise is not None:
            peaks = _peaks(signal)
            at = np.zeros(noise.shape[1], dtype=bool)
            for p in peaks:
                at[max(p - 30, 0) : p + 30] = True
            assert noise[:, at].std() < 3 * noise[:, ~at].std() + 0.02
            checked += 1
    assert checked > 5


def test_noise_is_named_where_it_is_large() -> None:
    """Slow waves where drift is stated, fast ones where static noise is; less of both where no noise is."""
    slow, fast = (butter(2, hertz, kind, fs=FS, output="sos") for hertz, kind in ((0.6, "low"), (45, "high")))
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for i in range(120):
        truth, signal = simulate_varied(SEED, i, draw_patient(SEED, i, 1))
        assert set(truth.noise) <= set(NOISES)
        size = tuple(float(np.median(sosfiltfilt(sos, signal, axis=1).std(axis=1))) for sos in (slow, fast))
        for kind in truth.noise or ([] if set(truth.open) & set(NOISES) else ["none"]):
            found[kind].append(size)
    middle = {kind: np.median(sizes, axis=0) for kind, sizes in found.items()}
    assert middle["baseline drift"][0] > 2 * middle["none"][0]
    assert middle["static noise"][1] > 2 * middle["none"][1]
