"""Denials after their subject, lists after a denial, comparisons with earlier ECGs, short forms; three languages."""

import pytest

from tests.helpers.statements import said


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("ST elevation is not seen in any lead.", "STE_-"),
        ("PVCs were not seen in any lead.", "PVC-"),
        ("AF was not seen at any point", "AFIB-"),
        ("LVH with strain is not present.", "LVH-"),
        ("AF with aberrancy is not present.", "AFIB-"),
        ("LVH is certainly not present.", "LVH-"),
        ("LVH is definitely not seen.", "LVH-"),
        ("LVH, RBBB, PVCs: none.", "CRBBB- LVH- PVC-"),
        ("Vorhofflimmern ist in keiner Ableitung zu sehen", "AFIB-"),
        ("ST-Hebung ist nicht in V1-V3 zu sehen", "STE_-"),
        ("Foermaksflimmer ses inte i någon avledning", "AFIB-"),
        ("Linkshypertrophie mit Belastung ist sicher nicht vorhanden", "LVH-"),
    ],
)
def test_a_denial_after_its_subject_holds_for_the_subject(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Sinus rhythm, no PVCs, LBBB, LVH.", "CLBBB LVH PVC- SR"),
        ("no ST changes, first degree AV block", "1AVB NST_-"),
        ("No acute MI, LVH with strain.", "LVH MI-"),
        ("no MI, LVH or LBBB", "CLBBB- LVH- MI-"),
        ("Fast normales EKG", "NORM-"),
        ("no MI, LVH, or any LBBB", "CLBBB- LVH- MI-"),
        ("Sinusrhythmus ohne Extrasystolen, Linksschenkelblock", "CLBBB PRC(S)- SR"),
        ("kein Infarkt, Linkshypertrophie", "LVH MI-"),
        ("kein Infarkt, Linkshypertrophie oder Vorhofflimmern", "AFIB- LVH- MI-"),
        ("Ingen infarkt, vänstersidigt skänkelblock", "CLBBB MI-"),
        ("Ingen infarkt, förmaksflimmer eller vänstersidigt skänkelblock", "AFIB- CLBBB- MI-"),
    ],
)
def test_a_bare_comma_after_a_denied_statement_ends_the_denial(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Ein Vorhofflimmern liegt nicht vor.", "AFIB-"),
        ("Ein Linksschenkelblock besteht nicht.", "CLBBB-"),
        ("Hinweise auf eine LVH finden sich nicht.", "LVH-"),
        ("Extrasystolen: keine.", "PRC(S)-"),
        ("Varken vänsterkammarhypertrofi eller infarkt.", "LVH- MI-"),
        ("Infarkt föreligger ej.", "MI-"),
        ("Infarkt föreligger inte.", "MI-"),
        ("Infarkt kan inte uteslutas", "MI?"),
        ("Infarkt kan ej säkert uteslutas", "MI?"),
        ("Infarkt kan uteslutas", "MI-"),
        ("Kan inte utesluta infarkt", "MI?"),
        ("För att utesluta infarkt", "MI?"),
        ("Extrasystoler: inga", "PRC(S)-"),
        ("z.A. Infarkt", "MI?"),
        ("Infarkt z.A.", "MI?"),
    ],
)
def test_german_and_swedish_denials_and_doubt(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Jämfört med tidigare EKG nytillkommet vänstersidigt skänkelblock", "CLBBB"),
        ("Linksschenkelblock wie im Vor-EKG", "CLBBB"),
        ("Linksschenkelblock wie im vorherigen EKG", "CLBBB"),
        ("Im Vor-EKG Linksschenkelblock", ""),
        ("No change from prior: LBBB.", "CLBBB"),
        ("No change from previous ECG: LBBB.", "CLBBB"),
        ("As previously, LBBB.", "CLBBB"),
        ("As before, LBBB", "CLBBB"),
        ("LBBB as previously", "CLBBB"),
        ("Oförändrat vänstersidigt skänkelblock sedan tidigare EKG", "CLBBB"),
        ("Unverändert Linksschenkelblock gegenüber dem Vor-EKG", "CLBBB"),
        ("Im Vergleich zum Vor-EKG neu aufgetretener Linksschenkelblock", "CLBBB"),
        ("Tidigare infarkt", "MI"),
        ("Tidigare inferior infarkt", "IMI"),
        ("Previous infarct", "MI"),
        ("Früherer Infarkt", "MI"),
    ],
)
def test_a_comparison_with_an_earlier_ecg_keeps_what_is_present(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("with or without actual infarction", "MI?"),
        ("Anamnestisch Vorhofflimmern", ""),
        ("Sinusrhythmus, anamnestisch Vorhofflimmern", "SR"),
        ("Linksschenkelblock, anamnestisch Vorhofflimmern", "CLBBB"),
        ("Vorhofflimmern in der Anamnese", ""),
        ("AF by history", ""),
        ("Patient was in AF", ""),
        ("Z.n. Vorhofflimmern", ""),
        ("Zustand nach Vorhofflimmern", ""),
        ("LAD ischemia", "ISC_"),
        ("LAD infarct", "MI"),
        ("LAD STEMI", "MI"),
        ("LIMA-LAD", ""),
        ("LIMA to LAD", ""),
        ("LAD, LVH", "LAD LVH"),
        ("Near normal ECG", "NORM-"),
        ("Almost normal ECG", "NORM-"),
        ("Nearly normal ECG", "NORM-"),
        ("Normal ECG. Except for LVH.", "LVH NORM-"),
        ("Normales EKG. Bis auf Linkstyp.", "LAD NORM-"),
        ("MI r/o", "MI?"),
        ("MI rule out", "MI?"),
        ("Doubtful LVH", "LVH?"),
        ("S/p MI", "MI"),
        ("S/p inferior infarct", "IMI"),
        ("Status post MI", "MI"),
        ("Zustand nach Infarkt", "MI"),
        ("Z.n. Infarkt", "MI"),
        ("Tillstånd efter infarkt", "MI"),
        ("LVH: none, PVCs: none", "LVH- PVC-"),
        ("normales ekg bis auf ves", "NORM- PVC"),
    ],
)
def test_doubt_and_past_in_short_forms(text, codes):
    assert said(text) == codes
