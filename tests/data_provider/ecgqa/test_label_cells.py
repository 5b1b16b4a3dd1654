"""Cells of PTB-XL's table as they are written, and what they leave open."""

import pytest

from cardiolect.data_provider.corpora.ptbxl_database import LABEL_COLUMNS
from cardiolect.data_provider.ecgqa import labels
from cardiolect.data_provider.ecgqa.labels import EXTRASYSTOLES, code_answer, has_code
from cardiolect.data_provider.record import LEADS

SVES = EXTRASYSTOLES["SVES"]


def row(codes, **columns):
    return {**dict.fromkeys(LABEL_COLUMNS, ""), "scp_codes": str(codes), **columns}


@pytest.mark.parametrize(
    ("cell", "leads"),
    [
        (" , alle", LEADS),
        (" , V1-6", LEADS[6:]),
        ("v5-6,  ", LEADS[10:]),
        (" , I-AVF, noisy recording,", LEADS[:6]),
    ],
)
def test_leads_are_read_with_separators_remarks_and_ranges_that_end_in_a_digit(cell, leads):
    assert labels.noisy_leads(cell) == set(leads)


def test_supraventricular_beats_that_only_the_column_names_are_left_open():
    recording = row({"NORM": 100.0, "SR": 0.0}, extra_beats="SVES")
    assert labels.any_extrasystole(recording) is labels.has_extrasystole(recording, SVES) is None
    assert has_code(recording, "PAC") is None
    assert labels.extrasystoles(row({}, extra_beats="SVES3,alles")) == (SVES,)


@pytest.mark.parametrize("likelihood", [15.0, 35.0, 50.0, 80.0])
@pytest.mark.parametrize("code", ["NST_", "NDT", "DIG"])
def test_a_form_statement_of_middling_likelihood_is_not_sure(code, likelihood):
    recording = row({code: likelihood, "SR": 0.0})
    assert has_code(recording, code) is None and code_answer(recording, code) == ("not sure",)


@pytest.mark.parametrize("code", ["AXL", "AXR", "SAG"])
def test_a_position_of_the_heart_is_no_axis(code):
    recording = row({"SR": 0.0}, heart_axis=code)
    assert labels.axis_of(recording) is labels.clinical_axis_of(recording) is None


def test_bradycardia_alone_does_not_say_whether_the_rhythm_is_a_sinus_rhythm():
    assert has_code(row({"SBRAD": 0.0, "NORM": 80.0}), "SR") is None
