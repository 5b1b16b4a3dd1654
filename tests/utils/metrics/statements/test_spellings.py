"""Reports are read alike however their umlauts, adjectives and hyphens are written."""

import pytest

from tests.helpers.statements import said


@pytest.mark.parametrize(
    ("text", "other", "codes"),
    [
        (
            "sinusrhythmus qrs(t) abnorm inferiorer myokardschaden moeglich",
            "sinusrhythmus qrs(t) abnormal inferiorer myokardschaden möglich",
            "ABQRS IMI? SR",
        ),
        ("unspezifisches abnormes t", "unspezifisches abnormales t", "NDT"),
        ("t abnorm in inferioren ableitungen", "t abnormal in inferioren ableitungen", "TAB_"),
        (
            "st & t abnorm, wahrscheinlich inferiore ischaemie oder linksbelastung",
            "st & t abnormal, wahrscheinlich inferiore ischämie oder linksbelastung",
            "ISCIN?",
        ),
        (
            "unspezifischer intraventrikulaerer block",
            "unspezifische intraventrikuläre leitungsstörung",
            "IVCD",
        ),
        (
            "sinus arytmi avvikande qrs(t) foerlopp qt foerlaengd",
            "sinus arytmi avvikande qrs(t) förlopp qt förlängd",
            "ABQRS LNGQT SARRH",
        ),
        ("LBBB - no", "LBBB: no", "CLBBB-"),
        ("schenkelblock links ant.", "linksanteriorer hemiblock", "LAFB"),
    ],
)
def test_two_spellings_of_a_statement_mean_the_same(text, other, codes):
    assert said(text) == said(other) == codes


def test_what_something_is_rather_than_is_denied_and_what_may_be_is_possible():
    text = "Deep but narrow Q waves may indicate septal hypertrophy rather than old infarction."
    assert said(text) == "MI- QWAVE SEHYP?"


def test_a_denied_elevation_or_depression_is_not_stated():
    assert said("No ST elevation or depression") in ("STE_-", "STD_- STE_-")
