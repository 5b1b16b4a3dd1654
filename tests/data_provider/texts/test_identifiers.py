"""Texts that may identify somebody are told from statements with measurements, leads and ages."""

import pytest

from cardiolect.data_provider.texts.identifiers import MARK, mask_identifiers, may_identify


@pytest.mark.parametrize(
    "text",
    [
        "atrial fibrillation for Mr John Smith 12.03.1992",
        "atrial fibrillation for Mr",
        "RBBB pat 1234567",
        "confirmed by Dr X",
        "Confirmed by SMITH, JOHN",
        "Overread by J",
        "Befundet von Meier",
        "Patient John Smith has AF",
        "Ms Miller has AF",
        "Name: Miller",
        "MRN 123",
        "LBBB since March 12, 1992",
        "LBBB since 3. März 1992",
        "no change since 24/1/92.",
        "AF, call 555-123-4567",
        "LBBB, see a.b@example.org",
    ],
)
def test_names_dates_numbers_and_addresses_may_identify(text):
    assert may_identify(text)


@pytest.mark.parametrize(
    "text",
    [
        "QRS 120 ms Left axis",
        "4.46 unbestätigter bericht",
        "Unconfirmed analysis",
        "LVH confirmed by echo",
        "Must be confirmed by a physician",
        "ST depression 0.5 mV in V2-3-4",
        "12 may be due to ischemia",
        "Age not entered, assumed to be  50 years old for purpose of ECG interpretation",
        "INTERPRETATION MADE WITHOUT KNOWING PATIENT'S GENDER/AGE",
        "Patient has trifascicular block",
    ],
)
def test_statements_of_recorders_pass(text):
    assert not may_identify(text)


def test_a_mask_takes_the_full_stops_of_titles_and_dates_with_it():
    masked = mask_identifiers("AF for Mr. Smith. LVH since 3. March 1992. Sinus rhythm.")
    assert masked == f"AF for {MARK} Smith. LVH since {MARK}. Sinus rhythm."
    assert may_identify(masked)
