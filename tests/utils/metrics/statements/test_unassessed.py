"""What was not assessed, is asked for, or is of another time is neither stated nor denied; its reason is stated."""

import pytest

from cardiolect.data_provider.texts.english_reports import render
from tests.helpers.statements import said


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("LVH cannot be diagnosed", ""),
        ("Infarct not assessed", ""),
        ("Ischemia not assessable", ""),
        ("Atrial flutter can not be determined", ""),
        ("Unable to evaluate LVH", ""),
        ("Lead V1 missing, RBBB cannot be assessed", ""),
        ("RBBB cannot be assessed because lead V1 is missing", ""),
        ("interpretation made without knowing patient's gender/age, infarct criteria may not apply", ""),
        ("Pacemaker detection off, ventricular pacing could be missed", ""),
        ("Please check for LVH", ""),
        ("LVH and infarct cannot be assessed", ""),
        ("Unable to detect LVH or infarct", ""),
        ("Not assessed: LVH, infarct", ""),
        ("QT prolongation difficult to measure", ""),
        ("Linksschenkelblock nicht beurteilbar", ""),
        ("Infarkt kann nicht beurteilt werden", ""),
        ("Vorhofflimmern lässt sich nicht sicher beurteilen", ""),
        ("Förmaksflimmer kan ej bedömas", ""),
        ("Vänsterkammarhypertrofi ej bedömbar", ""),
    ],
)
def test_what_was_not_assessed_is_not_stated(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("ST elevation cannot be interpreted due to LBBB", "CLBBB"),
        ("infarct interpretation suspended due to WPW", "WPW"),
        ("Unable to evaluate LVH due to LBBB", "CLBBB"),
        ("Infarct in the presence of LBBB cannot be diagnosed", "CLBBB"),
        ("In LBBB LVH cannot be diagnosed", "CLBBB"),
        ("LBBB precludes assessment of LVH", "CLBBB"),
        ("Infarct may be masked by LBBB", "CLBBB"),
        ("Infarkt bei Linksschenkelblock nicht beurteilbar", "CLBBB"),
        ("Atrial fibrillation, infarct cannot be assessed", "AFIB"),
        ("Sinus rhythm with LVH that cannot be assessed", "SR"),
        ("LBBB, ST segments not assessed", "CLBBB"),
        ("LBBB, analysis suspended", "CLBBB"),
    ],
)
def test_the_reason_and_what_stands_next_to_it_are_stated(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("cannot rule out LVH", "LVH?"),
        ("cannot exclude infarct", "MI?"),
        ("LVH cannot be excluded", "LVH?"),
        ("LVH is not seen", "LVH-"),
        ("Infarct, age cannot be determined", "MI"),
        ("Infarct of which the age cannot be determined", "MI"),
        ("Unable to determine the age of the infarct", "MI"),
    ],
)
def test_doubt_denial_and_details_that_are_not_known_keep_their_meaning(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("was in atrial fibrillation", ""),
        ("Atrial fibrillation not seen on prior ECG", ""),
        ("Indication: syncope, long QT", ""),
        ("Indication: syncope. Sinus rhythm", "SR"),
        ("Indication: chest pain, sinus rhythm with LBBB", "CLBBB SR"),
        ("New atrial fibrillation not seen on prior ECG", "AFIB"),
        ("T wave inversion in V1-V3, not seen on prior ECG", "INVT"),
        ("ST elevation was in V1-V3", "STE_"),
    ],
)
def test_what_is_of_another_time_is_not_stated(text, codes):
    assert said(text) == codes


def test_the_english_rendering_does_not_state_it_either():
    rendered = render("Sinusrhythmus. Linksschenkelblock nicht beurteilbar").text
    assert rendered == "Sinus rhythm. Not assessed: left bundle branch block."
    assert said(rendered) == "SR"
