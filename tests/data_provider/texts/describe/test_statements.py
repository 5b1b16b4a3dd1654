"""Statements are classified before anything is said about their waveforms; hedges and denials are kept."""

from collections import Counter

import pytest

from cardiolect.data_provider.texts.describe.corpus import name_of, statements_of_codes, statements_of_report
from cardiolect.data_provider.texts.describe.statements import read_statement
from cardiolect.utils.scp_codes import SCP_CODES

ADMINISTRATIVE = (
    "Unconfirmed analysis",
    "UnconfirmedAnalysis",
    "INTERPRETATION MADE WITHOUT KNOWING PATIENT'S GENDER/AGE",
    "*** report made without knowing patient's sex or age ***",
    "age unknown",
    "Age not entered, assumed to be  50 years old for purpose of ECG interpretation",
    "Poor data quality, interpretation may be adversely affected",
    "--- Warning: Data quality may affect interpretation ---",
    "No previous ECG available for comparison",
    "No significant change since previous tracing",
    "Technically limited study",
    "Suspect arm lead reversal",
    "--- Suspect limb lead reversal - only aVF, V1-V6 analyzed ---",
    "Lead(s) unsuitable for analysis: V3",
    "Pacer detection suspended due to external noise-REVIEW ADVISED",
    "Baseline wander in lead(s) V1",
    "Muscle artifact",
    "All 12 leads are missing",
    "Trace only requested",
    "4.46 unbestätigter bericht",
    "Pediatric ECG analysis",
)


@pytest.mark.parametrize("text", ADMINISTRATIVE)
def test_what_is_about_the_recording_is_administrative(text):
    statement = read_statement(text)
    assert (statement.kind, statement.findings) == ("administrative", ())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Left bundle branch block", "finding"),
        ("Possible anterior infarct - age undetermined", "finding"),
        ("Poor R wave progression - probable normal variant", "finding"),
        ("Sinus rhythm", "normal"),
        ("Normal ECG based on available leads", "normal"),
        ("Abnormal ECG", "comment"),
        ("Otherwise normal ECG", "comment"),
        ("This is probably a normal variant", "comment"),
        ("Findings are likely to be due to ischaemic heart disease", "comment"),
        ("No evidence of acute ischaemia", "negated"),
        ("Rhythm was previously atrial flutter", "negated"),
        ("Holiday on Tuesday", "unknown"),
    ],
)
def test_other_classes(text, kind):
    assert read_statement(text).kind == kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sinus rhythm with borderline 1st degree A-V block", {"SR": "present", "1AVB": "possible"}),
        ("Cannot rule out inferior infarct", {"IMI": "possible"}),
        ("No LVH, but possible left atrial enlargement", {"LVH": "absent", "LAO/LAE": "possible"}),
        (
            "Inferior ST elevation - possible early repolarization",
            {"STE_": "present", "early repolarization": "possible"},
        ),
        ("No evidence of pericarditis", {"pericarditis": "absent"}),
        ("Patient may be at increased risk of developing complete heart block", {"3AVB": "past"}),
        ("Kein sicherer Hinterwandinfarkt", {"IMI": "absent"}),
    ],
)
def test_certainty_is_kept(text, expected):
    found = {one.code or one.name: one.status for one in read_statement(text).findings}
    assert found == expected


def test_only_present_and_possible_findings_are_described():
    described = {one.code: one.described for one in read_statement("No LVH, possible inferior infarct").findings}
    assert described == {"LVH": False, "IMI": True}
    assert not read_statement("Otherwise normal ECG").findings[0].described
    assert not read_statement("Consistent with ischaemic heart disease").findings[0].described  # a cause


@pytest.mark.parametrize(
    "text", ["LVH cannot be diagnosed", "Please check for LVH", "Linksschenkelblock nicht beurteilbar"]
)
def test_what_was_not_assessed_is_about_the_analysis_and_never_described(text):
    statement = read_statement(text)
    assert statement.kind == "administrative"
    assert [(one.status, one.described) for one in statement.findings] == [("unassessed", False)]


def test_only_the_reason_is_described_if_a_finding_was_not_assessed():
    statement = read_statement("ST elevation cannot be interpreted due to LBBB")
    assert {one.code: one.described for one in statement.findings} == {"STE_": False, "CLBBB": True}


def test_doubt_about_the_age_of_an_infarct_does_not_make_it_acute():
    assert "acute" in read_statement("Acute inferior infarct").findings[0].stated
    assert "acute" not in read_statement("Inferior infarct - possibly acute").findings[0].stated


def test_walls_are_kept_for_changes_whose_code_names_none():
    assert read_statement("Inferior/lateral T wave changes are nonspecific").findings[0].places == (
        "inferior",
        "lateral",
    )
    assert read_statement("Left anterior fascicular block").findings[0].places == ()
    assert read_statement("Inferior ischemia").findings[0].places == ()


@pytest.mark.parametrize("code", sorted(SCP_CODES))
def test_scp_codes_become_statements_that_read_back_as_the_code(code):
    assert code in {one.code for one in read_statement(name_of(code)).findings if one.status == "present"}


def test_codes_are_added_unless_the_report_states_or_denies_them():
    reported = [*read_statement("Sinus rhythm").findings, *read_statement("No inferior infarct").findings]
    left_out = Counter()
    found = statements_of_codes({"SR": 0, "IMI": 100, "LVH": 50, "CLBBB": 100, "LMI": 0}, reported, left_out)
    assert found == ["possible left ventricular hypertrophy", "left bundle branch block"]
    assert sum(left_out.values()) == 2  # the denied one, and one of unknown likelihood


def test_reports_become_english_statements():
    german = "sinusrhythmus. linkstyp. möglicher hinterwandinfarkt. 4.46 unbestätigter bericht"
    assert statements_of_report(german) == ["Sinus rhythm", "Left axis", "Possible inferior infarct"]
    english = "Sinus rhythm. Normal ECG.\nExcept for LVH. ST depression 0.5 mV. Edit: NORM 100"
    assert statements_of_report(english) == ["Sinus rhythm", "Normal ECG Except for LVH", "ST depression 0.5 mV"]
