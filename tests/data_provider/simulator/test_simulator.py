"""The simulator: what it labels is in the signal, and what it writes is what others read."""

import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import wfdb

from cardiolect.data_provider.ecgqa.findings import FINDINGS, LBBB
from cardiolect.data_provider.ecgqa.ranges import NORMAL_RANGES_MS, RANGES
from cardiolect.data_provider.ecgqa.templates import TEMPLATES
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator import Truth, clean_signal, simulate
from cardiolect.data_provider.simulator.beat_shapes import FS
from cardiolect.data_provider.simulator.comparisons import COMPARED
from cardiolect.data_provider.simulator.corpus import write_corpus
from cardiolect.data_provider.simulator.leads import frontal_axis
from cardiolect.data_provider.simulator.patients import draw_patient
from cardiolect.data_provider.simulator.reports import report
from cardiolect.data_provider.simulator.rhythm import Beat
from cardiolect.data_provider.simulator.truth import MARGINS_MS
from cardiolect.data_provider.simulator.wfdb_write import write_wfdb
from cardiolect.data_provider.texts.lexicon import LEXICON, findings_in
from cardiolect.utils.errors import UserError
from tests.helpers.files import digests

SEED, RECORDS = 5, 240
V1, V5, V6 = (LEADS.index(name) for name in ("V1", "V5", "V6"))
Case = tuple[Truth, np.ndarray, list[Beat]]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [clean_signal(SEED, i, draw_patient(SEED, i, 1)) for i in range(RECORDS)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "corpus"
    assert write_corpus(out, records=RECORDS, seed=SEED, workers=1)
    return out


def _truths(corpus: Path) -> list[Truth]:
    return [Truth.from_json(json.loads(line)) for line in (corpus / "truth.jsonl").read_text().splitlines()]


def _qrs(case: Case) -> np.ndarray:
    """``(12, T)``: the QRS of the first whole conducted beat against the level at its onset."""
    truth, signal, beats = case
    width = round((truth.intervals["qrs duration"] or 0) * FS / 1000)
    onset = next(round(b.onset * FS) for b in beats if b.kind == "normal" and b.onset > 0.3)
    return signal[:, onset : onset + width] - signal[:, onset : onset + 1]


def _sinus(cases: list[Case]) -> list[Case]:
    """Cases whose baseline carries no atrial waves and whose ST segment is level, so that QRS can be measured."""
    return [c for c in cases if c[0].rhythm.startswith("sinus") and not c[0].infarction]


def test_limb_leads_obey_einthoven_and_goldberger(cases: list[Case]) -> None:
    for _, signal, _ in cases:
        i, ii, iii, avr, avl, avf = signal[:6]
        assert np.abs(i + iii - ii).max() < 1e-9
        assert np.abs(avr + (i + ii) / 2).max() < 1e-9
        assert np.abs(avl - (i - iii) / 2).max() < 1e-9
        assert np.abs(avf - (ii + iii) / 2).max() < 1e-9


def test_heart_rate_is_that_of_the_r_peaks(cases: list[Case]) -> None:
    checked = 0
    for truth, signal, _ in cases:
        if truth.ectopy or not truth.rhythm.startswith("sinus"):
            continue
        slope = np.abs(np.diff(signal[6:], axis=1)).sum(axis=0)
        slope = np.convolve(slope, np.ones(60) / 60, mode="same")
        high = np.flatnonzero(slope > 0.5 * slope[100:-100].max())
        starts = high[np.r_[True, np.diff(high) > 80]]
        starts = starts[(starts > 10) & (starts < signal.shape[1] - 60)]
        assert 60 * FS / np.diff(starts).mean() == pytest.approx(truth.heart_rate, rel=0.04), truth.record_id
        checked += 1
    assert checked > 50


def test_fibrillation_is_irregular_and_sinus_rhythm_is_not(cases: list[Case]) -> None:
    for truth, _, beats in cases:
        if truth.ectopy:
            continue
        rr = np.diff([b.onset for b in beats if 0 < b.onset < 10])
        variation = rr.std() / rr.mean()
        assert variation > 0.08 if truth.rhythm == "atrial fibrillation" else variation < 0.05


def test_extrasystoles_are_seen_at_least_twice(cases: list[Case]) -> None:
    for truth, _, beats in cases:
        seen = [b for b in beats if b.kind != "normal" and 0.2 < b.onset < 9.6]
        assert len(seen) >= 2 if truth.ectopy else not seen, truth
        assert all(b.onset - a.onset > 0.25 for a, b in pairwise(beats))


def test_qrs_width_is_as_labelled(cases: list[Case]) -> None:
    errors = []
    for truth, signal, beats in _sinus(cases):
        if truth.low_voltage:  # T is as steep as QRS there, so slopes do not tell them apart
            continue
        onset = next(round(b.onset * FS) for b in beats if b.kind == "normal" and b.onset > 0.3)
        near = signal[:, onset - 10 : onset + 90]
        height = np.ptp(near[:, 10:80], axis=1, keepdims=True)
        steep = (np.abs(np.gradient(near, axis=1)) > 0.012 * height) & (height > 0.4 * height.max())
        fast = np.flatnonzero(steep.any(axis=0))
        width = (fast[-1] - fast[0]) * 1000 / FS
        assert (width > 113) == (truth.conduction is not None), (truth.record_id, width, truth.intervals)
        errors.append(width - (truth.intervals["qrs duration"] or 0))
    assert abs(np.median(errors)) < 8


def test_axis_is_that_of_the_net_qrs_area(cases: list[Case]) -> None:
    for case in _sinus(cases):
        truth = case[0]
        if truth.axis_degrees is None or truth.low_voltage:
            continue
        area = _qrs(case).sum(axis=1)
        off = (frontal_axis(area[LEADS.index("I")], area[LEADS.index("II")]) - truth.axis_degrees + 180) % 360 - 180
        assert abs(off) < 15, (truth.record_id, off)


def test_voltages_keep_their_criteria(cases: list[Case]) -> None:
    for case in _sinus(cases):
        truth, qrs = case[0], _qrs(case)
        sokolow = -qrs[V1].min() + max(qrs[V5].max(), qrs[V6].max())
        limb = np.ptp(qrs[:6], axis=1).max()
        if truth.conduction != LBBB:
            assert (sokolow > 3.5) == truth.left_ventricular_hypertrophy, (truth.record_id, sokolow)
        assert (limb < 0.5) == truth.low_voltage, (truth.record_id, limb)


def test_intervals_keep_off_their_limits(cases: list[Case]) -> None:
    for truth, _, _ in cases:
        for name, value in truth.intervals.items():
            if value is not None:
                assert min(abs(value - end) for end in NORMAL_RANGES_MS[name]) >= MARGINS_MS[name] - 0.1, (name, value)


def test_every_finding_is_common_enough() -> None:
    found: Counter[str] = Counter()
    for i in range(600):
        found.update(simulate(SEED, i, draw_patient(SEED, i, 1))[0].findings)
    assert min(found[f] for f in FINDINGS) > 0.06 * 600, found.most_common()[-4:]


def test_report_and_findings_are_inverse(cases: list[Case]) -> None:
    assert tuple(LEXICON) == FINDINGS
    for truth, _, _ in cases:
        assert findings_in(report(truth)) == set(truth.findings)
    assert findings_in("Poor R progression. sinus  RHYTHM; something else") == {"sinus rhythm"}


def test_a_report_states_the_intervals_out_of_range_and_no_other(cases: list[Case]) -> None:
    for truth, _, _ in cases:
        stated = {f: r for f in NORMAL_RANGES_MS for r in RANGES if f"{f} {r}." in report(truth).lower()}
        out = {f: r for f in NORMAL_RANGES_MS if (r := truth.range_of(f)) not in (None, RANGES[1])}
        assert stated == {f: r for f, r in out.items() if f != "qt interval"}


def test_truth_survives_json(corpus: Path) -> None:
    lines = (corpus / "truth.jsonl").read_text().splitlines()
    assert [json.dumps(Truth.from_json(json.loads(line)).to_json()) for line in lines] == lines


def test_same_seed_same_bytes_for_any_workers(corpus: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path / "again", records=RECORDS, seed=SEED, workers=2)
    assert digests(tmp_path / "again") == digests(corpus)


def test_wfdb_reads_what_was_simulated(corpus: Path) -> None:
    for truth in _truths(corpus)[:8]:
        path = corpus / f"records500/00000/{truth.record_id:05d}_hr"
        record = wfdb.rdrecord(str(path), physical=False)
        assert record.calc_checksum() == record.checksum
        assert record.init_value == record.d_signal[0].tolist()
        assert record.sig_name == [lead.upper() for lead in LEADS]
        physical = wfdb.rdrecord(str(path)).p_signal.T
        assert physical.shape == (12, 5000) and np.abs(physical[0] + physical[2] - physical[1]).max() < 0.002


def test_wfdb_is_within_one_step_of_the_signal(tmp_path: Path) -> None:
    _, signal = simulate(SEED, 3, draw_patient(SEED, 3, 1))
    write_wfdb(tmp_path / "00004_hr", signal)
    assert np.abs(wfdb.rdrecord(str(tmp_path / "00004_hr")).p_signal.T - signal).max() <= 0.001


def test_patients_do_not_cross_splits(corpus: Path) -> None:
    folds = defaultdict(set)
    for truth in _truths(corpus):
        folds[truth.patient_id].add(truth.fold)
    assert all(len(f) == 1 for f in folds.values())
    assert any(n > 1 for n in Counter(t.patient_id for t in _truths(corpus)).values())
    fold_of = {t.record_id: t.fold for t in _truths(corpus)}
    for split, members in {"train": range(1, 9), "valid": (9,), "test": (10,)}.items():
        for kind in ("questions", "reports"):
            for row in json.loads((corpus / kind / f"{split}.json").read_text()):
                ecg = row["ecg_id"][0] if kind == "questions" else row["ecg_id"]
                assert fold_of[ecg] in members


def test_questions_are_balanced(corpus: Path) -> None:
    rows = json.loads((corpus / "questions" / "train.json").read_text())
    assert len({row["sample_id"] for row in rows}) == len(rows)
    verify, per_template = defaultdict(Counter), defaultdict(Counter)
    for row in rows:
        if row["question_type"] == "single-verify":
            verify[row["question"]][row["answer"][0]] += 1
        else:
            per_template[row["template_id"]][tuple(row["answer"])] += 1
    assert all(count["yes"] == count["no"] for count in verify.values())
    assert all(max(c.values()) <= 0.5 * sum(c.values()) for c in per_template.values())
    assert len(rows) / sum(t.fold <= 8 for t in _truths(corpus)) > 6


def test_other_folders_are_not_overwritten(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not write_corpus(corpus, records=RECORDS, seed=SEED, workers=1)
    assert "nothing to do" in capsys.readouterr().out
    with pytest.raises(UserError, match="made with a different --seed"):
        write_corpus(corpus, records=RECORDS, seed=SEED + 1, workers=1)
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="neither empty nor a simulated corpus"):
        write_corpus(tmp_path, records=2, seed=1, workers=1)
    with pytest.raises(UserError, match="--records"):
        write_corpus(tmp_path / "new", records=0, seed=1, workers=1)


def test_comparisons_name_what_changed_between_two_patients(corpus):
    """Answers follow from the two truths; ECG-QA's templates 68 to 70, in the order of the question."""
    truths = {t.record_id: t for t in map(Truth.from_json, map(json.loads, (corpus / "truth.jsonl").open()))}
    asked = json.loads((corpus / "comparisons/train.json").read_text())
    assert {row["template_id"] for row in asked} == {68, 69, 70}
    for row in asked:
        first, second = (truths[i] for i in row["ecg_id"])
        assert first.patient_id != second.patient_id and {first.fold, second.fold} <= set(range(1, 9))
        was, now = (
            {f for f in NORMAL_RANGES_MS if t.range_of(f) != "within the normal range"} for t in (first, second)
        )
        named = {68: was - now, 69: now - was, 70: was & now}[row["template_id"]]
        assert set(row["answer"]) == (named or {"none"})


def test_comparison_templates_are_ecg_qas_own(shared_data):
    published = {}
    for file in (shared_data / "ecg-qa/ecgqa/ptbxl/template").rglob("*.json"):
        for row in json.loads(file.read_text()):
            published.setdefault(row["template_id"], set()).add(row["question"])
    assert {t: {TEMPLATES[t].text()} for t in COMPARED} == {t: published[t] for t in COMPARED}
