"""Simulated ECGs do not contradict themselves, and the check of the simulator finds those that do."""

from dataclasses import replace

import numpy as np
import pytest

from cardiolect.data_provider.ecgqa.findings import AXES, LBBB, NAMES, NORMAL
from cardiolect.data_provider.ecgqa.ranges import ABOVE, BELOW, WITHIN, range_of
from cardiolect.data_provider.simulator import Truth, simulate
from cardiolect.data_provider.simulator.check import __main__ as command
from cardiolect.data_provider.simulator.check.texts import (
    answer_contradictions,
    interval_contradictions,
    report_contradictions,
)
from cardiolect.data_provider.simulator.draw import draw_truth
from cardiolect.data_provider.simulator.patients import RECORD_STREAM, draw_patient, stream
from cardiolect.data_provider.simulator.plausibility import ImplausibleError
from cardiolect.data_provider.simulator.reports import report
from cardiolect.data_provider.simulator.varied.render import clean_varied
from cardiolect.data_provider.simulator.varied.truth import judge_axis

SEED = 11
LEFT = AXES[1]
INTERVALS = {
    "rr interval": 857.1,
    "p duration": 90.0,
    "pr interval": 160.0,
    "qrs duration": 92.0,
    "qt interval": 345.0,
    "qt corrected": 372.6,
}


def _normal(**changes) -> Truth:
    """A normal ECG at 70/min of a man of 60 years, with changes."""
    intervals = {
        **INTERVALS,
        **{name.replace("_", " "): changes.pop(name) for name in INTERVALS_AS_WORDS & set(changes)},
    }
    fields = {
        "record_id": 1,
        "patient_id": 1,
        "fold": 1,
        "age": 60,
        "sex": 0,
        "height": 175,
        "weight": 70,
        "heart_rate": 70.0,
        "rhythm": "sinus rhythm",
        "axis": AXES[0],
        "axis_degrees": 45.0,
    }
    return Truth(**{**fields, "intervals": intervals, **changes})


INTERVALS_AS_WORDS = {name.replace(" ", "_") for name in INTERVALS}
FIBRILLATING = {"rhythm": "atrial fibrillation", "p_duration": None, "pr_interval": None}


def _drawn(records: int = 400) -> list[Truth]:
    default = [draw_truth(stream(SEED, RECORD_STREAM, i), draw_patient(SEED, i, 1), i + 1) for i in range(2 * records)]
    return default + [clean_varied(SEED, i, draw_patient(SEED, i, 1))[0] for i in range(records // 4)]


@pytest.fixture(scope="module")
def truths() -> list[Truth]:
    return _drawn()


@pytest.mark.parametrize(
    "changes",
    [
        {"rhythm": "atrial fibrillation"},
        {**FIBRILLATING, "first_degree_av_block": True},
        {**FIBRILLATING, "ectopy": "supraventricular extrasystoles"},
        {"rhythm": "atrial flutter", "pr_interval": None},
        {"rhythm": NAMES["PACE"]},
        {"rhythm": "sinus bradycardia", "heart_rate": 110.0, "rr_interval": 545.5},
        {"rhythm": "sinus tachycardia"},
        {"rhythm": "sinus tachycardia", "heart_rate": 150.0, "rr_interval": 400.0, "age": 80, "qt_interval": 235.6},
        {"heart_rate": 90.0},
        {"conduction": LBBB},
        {"conduction": LBBB, "qrs_duration": 140.0, "infarction": "anterior"},
        {"conduction": LBBB, "qrs_duration": 140.0, "pr_interval": 95.0},
        {"qrs_duration": 140.0},
        {"low_voltage": True, "left_ventricular_hypertrophy": True},
        {"first_degree_av_block": True},
        {"pr_interval": 240.0},
        {"pr_interval": 85.0},
        {"qt_interval": 900.0, "qt_corrected": 972.1},
        {"qt_corrected": 420.0},
        {"axis": LEFT},
        {"axis_degrees": 120.0},
    ],
)
def test_what_no_heart_shows_is_refused(changes):
    _normal()
    with pytest.raises(ImplausibleError, match="record 1"):
        _normal(**changes)


def test_a_blocked_bundle_is_one_of_the_two():
    truth = next(t for i in range(99) if "CLBBB" in (t := clean_varied(SEED, i, draw_patient(SEED, i, 1))[0]).codes)
    for other in ("CRBBB", "LVOLT+LVH", "AFIB+1AVB"):
        with pytest.raises(ImplausibleError):
            replace(truth, codes=(*truth.codes, *other.split("+")))


def test_normal_ecgs_have_nothing_abnormal_beside_them(truths):
    normal = [truth for truth in truths if NORMAL in truth.findings]
    assert len(normal) > 0.05 * len(truths)
    for truth in normal:
        assert {range_of(f, v) for f, v in truth.intervals.items() if v is not None} == {WITHIN}
        assert set(report_contradictions(report(truth))) == set()
        assert BELOW not in report(truth) and ABOVE not in report(truth)
        assert truth.axis == AXES[0]


def test_an_interval_out_of_range_is_no_normal_ecg_even_without_a_finding():
    assert NORMAL in _normal().findings
    short = _normal(pr_interval=105.0)
    assert report(short) == "Sinus rhythm. Normal heart axis. PR interval below the normal range. Abnormal ECG."
    slow = _normal(qt_interval=397.0, heart_rate=61.0, rr_interval=983.6, qt_corrected=400.3 - 0.4)
    assert report(slow) == "Sinus rhythm. Normal heart axis."


def test_reports_state_no_interval_that_textbooks_call_normal_and_no_uncorrected_qt(truths):
    for truth in truths:
        assert not list(interval_contradictions(truth, report(truth)))
    assert any("QT corrected above" in report(truth) for truth in truths)
    slow = _normal(qt_interval=397.0, heart_rate=61.0, rr_interval=983.6, qt_corrected=400.3 - 0.4)
    for text in (
        "Sinus rhythm. QT interval above the normal range.",
        "QT interval below the normal range.",
        "QT corrected above the normal range.",
        "P duration below the normal range.",
        "PR interval above the normal range.",
    ):
        assert list(interval_contradictions(slow, text)), text
    assert not list(interval_contradictions(_normal(pr_interval=115.0), "PR interval below the normal range."))


def test_sinus_rates_do_not_exceed_220_minus_age(truths):
    rates = [(t.heart_rate, t.age) for t in truths if t.rhythm.startswith("sinus")]
    assert max(rate - (220 - age) for rate, age in rates) <= 0
    assert max(rate for rate, _ in rates) > 135


def test_left_axis_means_the_same_to_ptbxl_and_to_textbooks(truths):
    """PTB-XL calls the axis left from about 0 degrees, textbooks from -30: what is between is not called anything."""
    for degrees in (-5, -15, -20, -30, -39, 0, 5):
        assert judge_axis(degrees, False) == (None, set(AXES))
    assert [judge_axis(degrees, False)[0] for degrees in (-45, -60, 20, 60, 110)] == [
        LEFT,
        LEFT,
        AXES[0],
        AXES[0],
        AXES[2],
    ]
    for truth in truths:
        if truth.axis is not None:
            assert not -40 < truth.axis_degrees < 12
            assert (truth.axis == LEFT) == (-150 < truth.axis_degrees <= -40)


def test_reports_and_answers_that_contradict_themselves_are_found():
    for text in (
        "Sinus rhythm. Normal ECG. Inverted T-waves.",
        "Sinus rhythm. QT interval below the normal range. Normal ECG.",
        "Normal ECG. Abnormal ECG.",
        "Atrial fibrillation. First degree AV block. Abnormal ECG.",
        "Complete left bundle branch block. Complete right bundle branch block.",
        "Low QRS voltages in the frontal and horizontal leads. Left ventricular hypertrophy.",
        "Sinus rhythm. Atrial flutter.",
    ):
        assert list(report_contradictions(text)), text
    assert not list(report_contradictions("Sinus rhythm. Normal heart axis. Normal ECG. Baseline drift."))
    row = {"template_id": 1, "question": "Does this ECG show symptoms of X?", "attribute": [LBBB], "answer": ["yes"]}
    assert list(answer_contradictions(_normal(), [row]))
    row = {"template_id": 42, "question": "?", "attribute": None, "answer": ["qt interval"]}
    assert list(answer_contradictions(_normal(), [row]))


def test_the_check_passes_both_modes(capsys):
    command.main(["--records", "60", "--seed", "3"])
    out = capsys.readouterr().out
    assert "default: 60 recordings" in out and "varied: 60 recordings" in out
    assert out.count(": 0 of 60 recordings") == 2 and "OUT OF BOUNDS" not in out


def test_the_check_fails_if_signals_are_not_what_their_truth_says(monkeypatch, capsys):
    def stretched(seed, index, patient):
        """The signal of another recording."""
        return simulate(seed, index, patient)[0], simulate(seed, index + 1, draw_patient(seed, index + 1, 1))[1]

    monkeypatch.setitem(command.MODES, "default", stretched)
    with pytest.raises(SystemExit) as ended:
        command.main(["--records", "40", "--mode", "default"])
    assert ended.value.code == 1 and "OUT OF BOUNDS" in capsys.readouterr().out


def test_drawing_the_same_record_again_gives_the_same_truth_and_signal():
    for make in (clean_varied, simulate):
        (one, first), (two, second) = (make(SEED, 7, draw_patient(SEED, 7, 1)) for _ in range(2))
        assert one == two and np.array_equal(first, second)
