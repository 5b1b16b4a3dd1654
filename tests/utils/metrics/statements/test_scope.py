"""What is denied, past, excepted or doubted, at a distance and in short forms, in three languages."""

import pytest

from cardiolect.utils.metrics.statements.extraction import read, sentences
from tests.helpers.statements import said


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Sinus rhythm. Rhythm was previously atrial flutter.", "SR"),
        ("Compared with tracing of yesterday, rhythm was previously atrial fibrillation.", ""),
        ("Sinus rhythm has replaced atrial fibrillation.", "SR"),
        ("Atrial fibrillation has been replaced by sinus rhythm", "SR"),
        ("Converted from AF to sinus rhythm", "SR"),
        ("Atrial fibrillation previously, now sinus rhythm", "SR"),
        ("Previously, atrial fibrillation was seen", ""),
        ("h/o AF, now in sinus rhythm", "SR"),
        ("History: MI, AF. Sinus rhythm", "SR"),
        ("Status post cardioversion for AF, now NSR", "SR"),
        ("Previous ECG showed LBBB.", ""),
        ("LBBB was present on the previous ECG", ""),
        ("Zuvor Vorhofflimmern, jetzt Sinusrhythmus", "SR"),
        ("Tidigare förmaksflimmer, nu sinusrytm", "SR"),
    ],
)
def test_what_was_is_not_stated(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Previous inferior infarct", "IMI"),
        ("Previously noted T wave inversions persist", "INVT"),
        ("LBBB is unchanged from previous ECG", "CLBBB"),
        ("Compared with previous ECG, atrial fibrillation is now present", "AFIB"),
        ("No change in LBBB", "CLBBB"),
    ],
)
def test_what_was_and_still_is_is_stated(text, codes):
    assert said(text) == codes


def test_a_reading_tells_what_is_past():
    assert read(sentences("Rhythm was previously atrial flutter")[0]).codes == (("AFLT", "past"),)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Normal ECG except for left anterior fascicular block.", "LAFB NORM-"),
        ("Normal ECG apart from first degree AV block", "1AVB NORM-"),
        ("Normal ECG with the exception of RBBB", "CRBBB NORM-"),
        ("Apart from PVCs the ECG is normal", "NORM- PVC"),
        ("No abnormality except LBBB", "CLBBB"),
        ("Otherwise normal ECG", "NORM?"),
        ("The ECG is not normal", "NORM-"),
        ("Normales EKG bis auf Linkstyp", "LAD NORM-"),
        ("normalt ekg förutom vänster el-axel", "LAD NORM-"),
    ],
)
def test_an_ecg_with_an_exception_is_not_normal(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Atrial fibrillation with PVCs is not seen.", "AFIB- PVC-"),
        ("Atrial fibrillation with rapid ventricular response is not seen", "AFIB-"),
        ("RBBB, LVH and PVCs are not seen", "CRBBB- LVH- PVC-"),
        ("LVH is not seen, RBBB is present", "CRBBB LVH-"),
        ("RBBB is present and LVH is not seen", "CRBBB LVH-"),
        ("No ST changes to suggest ischemia", "ISC_- NST_-"),
        ("There is no LVH or RBBB, but LBBB is seen", "CLBBB CRBBB- LVH-"),
        ("Criteria for LVH are not met", "LVH-"),
        ("Atrial flutter rather than atrial fibrillation", "AFIB- AFLT"),
        ("No MI, atrial fibrillation", "AFIB MI-"),
        ("No LVH, possible infarct", "LVH- MI?"),
        ("Vorhofflimmern nicht mehr nachweisbar", "AFIB-"),
        ("Vorhofflattern statt Vorhofflimmern", "AFIB- AFLT"),
    ],
)
def test_a_denial_reaches_its_whole_subject(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    "text",
    [
        "LVH: negative",
        "LVH - no",
        "LVH no",
        "LVH (no)",
        "LVH: none",
        "LVH = no",
        "LVH ruled out",
        "LVH resolved",
        "LVH is lacking",
        "Not seen: LVH",
        "No longer LVH",
        "LVH is thought unlikely",
        "Resolution of LVH",
        "Linkshypertrophie: nein",
    ],
)
def test_short_denials(text):
    assert said(text) == "LVH-"


@pytest.mark.parametrize(
    "text",
    [
        "r/o MI",
        "Rule out MI",
        "MI cannot be ruled out",
        "MI can't be excluded",
        "Unable to exclude MI",
        "? MI",
        "MI?",
        "May represent MI",
        "Suspicious for MI",
        "MI is not excluded",
        "MI versus normal variant",
        "MI to be excluded",
    ],
)
def test_what_is_to_be_ruled_out_is_possible(text):
    assert said(text) == "MI?"


def test_both_sides_of_versus_are_possible():
    assert said("Atrial fibrillation versus atrial flutter") == "AFIB? AFLT?"


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("CAD in LAD territory", ""),
        ("Ischemia in the LAD territory", "ISC_"),
        ("Stent to LAD", ""),
        ("Left axis deviation (LAD)", "LAD"),
        ("SR, LAD, LVH", "LAD LVH SR"),
    ],
)
def test_a_coronary_artery_is_no_axis(text, codes):
    assert said(text) == codes
