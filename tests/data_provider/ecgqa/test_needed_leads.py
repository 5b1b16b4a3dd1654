"""A recording that lacks what a question is about is not asked about it."""

import numpy as np
import pytest

from cardiolect.data_provider.ecgqa import derived
from cardiolect.data_provider.ecgqa.asked import asked
from cardiolect.data_provider.ecgqa.needed_leads import unseen_walls, usable_leads, why_unanswerable
from cardiolect.data_provider.record import LEADS, ECGRecord
from cardiolect.data_provider.simulator.questions import questions as simulated_questions
from cardiolect.data_provider.texts.numbers import QUANTITIES

SYMPTOM = "Does this ECG show symptoms of {}?"
AF, LBBB, ST = (
    SYMPTOM.format(name)
    for name in ("atrial fibrillation", "complete left bundle branch block", "non-specific st depression")
)
INFERIOR, ANTERIOR = (SYMPTOM.format(f"myocardial infarction in {wall} leads") for wall in ("inferior", "anterior"))
AXIS, RATE, PR = (
    "What direction is this ECG deviated to?",
    "What is the heart rate?",
    "Does the pr interval of this ECG fall within the normal range?",
)
BEATS, NOISE_V1 = "Does this ECG show any kind of extra systoles?", "Does this ECG show baseline drift in lead V1?"
LIMBS = LEADS[:6]


def ecg(leads=LEADS, seconds: float = 10.0, flat=(), masked: float = 0.0) -> ECGRecord:
    """Noise in ``leads``; masked: share of their samples without a voltage."""
    signal = np.random.default_rng(0).normal(0, 0.2, (12, round(seconds * 100))).astype(np.float32)
    good = np.array([[lead in leads] for lead in LEADS]) & (np.arange(signal.shape[1]) >= masked * signal.shape[1])
    signal[[LEADS.index(lead) for lead in flat]] = 0.01
    return ECGRecord(np.where(good, signal, 0), 100, good, "a")


@pytest.mark.parametrize(
    ("recording", "answered", "refused"),
    [
        ({}, (AF, LBBB, ST, INFERIOR, ANTERIOR, AXIS, RATE, PR, BEATS, NOISE_V1, "Report", "Why?"), ()),
        ({"leads": LIMBS}, (AF, INFERIOR, AXIS, RATE, PR, BEATS, "Report"), (LBBB, ST, ANTERIOR, NOISE_V1)),
        ({"leads": ("I",)}, (AF, RATE, BEATS), (LBBB, ST, INFERIOR, ANTERIOR, AXIS, PR)),
        ({"flat": ("aVF",)}, (AF, LBBB, ST, ANTERIOR, PR), (AXIS, INFERIOR)),
        ({"seconds": 3.0}, (LBBB, ST, AXIS, PR), (AF, RATE, BEATS)),
        ({"masked": 0.6}, (), (AF, LBBB, RATE, "Report", "Why?")),
        ({"flat": LEADS}, (), (AF, RATE, NOISE_V1, "Report")),
    ],
)
def test_a_question_needs_its_leads(recording, answered, refused):
    record = ecg(**recording)
    reasons = {question: why_unanswerable(record, question) for question in (*answered, *refused)}
    assert [question for question, reason in reasons.items() if reason] == list(refused)


def test_reasons_name_the_leads_and_the_length():
    limbs = ecg(LIMBS)
    assert why_unanswerable(limbs, LBBB) == "this needs leads V1, V6, which have no usable signal"
    assert why_unanswerable(limbs, NOISE_V1) == "this needs lead V1, which has no usable signal"
    assert why_unanswerable(ecg(seconds=3.0), AF) == "3.0 s are too short; this needs 5 s"
    assert why_unanswerable(ecg(masked=0.6), AF) == "no lead of this recording has a usable signal"
    assert usable_leads(limbs) == LIMBS


def test_a_report_says_which_walls_it_has_not_seen():
    assert unseen_walls(ecg()) is None
    assert unseen_walls(ecg(LIMBS)) == "findings that need leads V1, V2, V3, V4, V5, V6, which have no usable signal"


def test_every_question_of_a_corpus_is_recognised():
    rows = [*derived.questions(), *simulated_questions()]
    assert [q.text for q in rows if (about := asked(q.text)) is None or about.template_id != q.template_id] == []
    assert [asked(quantity.question).names for quantity in QUANTITIES] == [(quantity.name,) for quantity in QUANTITIES]
    assert asked("Why?") is None and asked("Does this ECG show atrial fibrillation?") is None
