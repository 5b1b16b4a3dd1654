"""A normal ECG with a hedge, lists that go on with "and no", statements of short texts and their language."""

import pytest

from cardiolect.data_provider.texts.english_reports import render
from cardiolect.utils.metrics.statements.extraction import language
from tests.helpers.statements import said


@pytest.mark.parametrize(
    "text",
    [
        "Practically normal ECG",
        "Essentially normal tracing",
        "The ECG is virtually normal",
        "Practically normal",
        "ECG likely normal",
        "Probably normal ECG",
        "Praktisch normales EKG",
        "Im Wesentlichen unauffälliges EKG",
        "Noch normales EKG",
        "Praktiskt taget normalt EKG",
        "Sannolikt normalt EKG",
    ],
)
def test_a_hedged_normal_ecg_is_possible(text):
    assert said(text) == "NORM?"


@pytest.mark.parametrize("text", ["T waves are practically normal", "Probably normal variant", "Nearly normal ECG"])
def test_what_is_not_a_hedged_normal_ecg_does_not_state_it(text):
    assert said(text) in ("", "NORM-")


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("No MI, LVH, and no LBBB", "CLBBB- LVH- MI-"),
        ("No MI, LVH, RBBB and no LBBB", "CLBBB- CRBBB- LVH- MI-"),
        ("No MI, LVH, and no effusion", "LVH- MI-"),
        ("No evidence of MI, LVH, and without LBBB", "CLBBB- LVH- MI-"),
        ("Kein Infarkt, Linkshypertrophie und kein Linksschenkelblock", "CLBBB- LVH- MI-"),
        ("Ingen infarkt, vänsterkammarhypertrofi och inget vänstersidigt skänkelblock", "CLBBB- LVH- MI-"),
        ("No MI, sinus rhythm, and no LBBB", "CLBBB- MI- SR"),
        ("No MI, possible LVH, and no LBBB", "CLBBB- LVH? MI-"),
        ("No PVCs, LBBB, no LVH", "CLBBB LVH- PVC-"),
        ("No MI, LVH, but no LBBB", "CLBBB- LVH MI-"),
    ],
)
def test_a_denied_list_may_go_on_with_and_no(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("av-block III. grades", "German"),
        ("AV-Block II. Grades", "German"),
        ("Kein LVH", "German"),
        ("Kein LBBB oder RBBB", "German"),
        ("Bigeminus", "German"),
        ("LVH möglich", "German"),
        ("AV-block III och LVH", "Swedish"),
        ("Ingen LBBB", "Swedish"),
        ("Third degree AV block", "English"),
        ("No LVH", "English"),
        ("LVH", "English"),
    ],
)
def test_the_language_of_a_short_text(text, name):
    assert language(text) == name


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("av-block II. grades typ wenckebach", "Second degree AV block, Wenckebach type."),
        ("AV-Block II. Grades Typ Mobitz II", "Second degree AV block, Mobitz type II."),
        ("AV-Block II° Typ Mobitz", "Second degree AV block, Mobitz."),
        ("Kein AV-Block II. Grades, Typ 1", "No second degree AV block, type I."),
        ("Praktisch normales EKG", "Practically normal ECG."),
        ("Sonst normales EKG", "Otherwise normal ECG."),
    ],
)
def test_the_english_rendering_keeps_types_and_hedges(text, english):
    assert render(text).text == english
    assert said(english) == said(text)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("sinusrhythmus q in iii,avf", "QWAVE SR"),
        ("vorhof-es", "PAC"),
        ("av-es", "PRC(S)"),
        ("linkstyp überdreht", "ALAD"),
        ("ant. hemiblock", "LAFB"),
        ("vollständiger schenkelblock, rechts", "CRBBB"),
        ("schenkelblock vollständig links", "CLBBB"),
    ],
)
def test_short_german_forms_that_were_misread(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("may be due to strain or ischaemia and digitalis effect", "DIG? ISC_?"),
        ("ST depression may be due to ischemia and LVH", "ISC_? LVH? STD_"),
        ("may be due to ischemia and sinus rhythm", "ISC_? SR"),
        ("possible LVH and LBBB", "CLBBB LVH?"),
    ],
)
def test_of_two_causes_both_are_doubtful(text, codes):
    assert said(text) == codes
