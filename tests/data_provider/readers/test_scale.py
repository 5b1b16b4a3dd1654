"""Rates, gains and amplitudes that no ECG is likely to have are read and said."""

import numpy as np
import pytest

from cardiolect.data_provider.readers.assembly import assemble
from cardiolect.data_provider.readers.channels import Channels
from cardiolect.data_provider.record import LEADS
from tests.helpers.wfdb_records import twelve_leads


def notes(factor: float = 1, fs: float = 500, scales: dict[str, str] | None = None) -> tuple[str, ...]:
    signal = twelve_leads(3000) * factor
    return assemble(Channels(dict(zip(LEADS, signal, strict=True)), fs, scales=scales or {})).notes


def test_a_usual_ecg_needs_no_word():
    assert notes() == ()


@pytest.mark.parametrize("fs", [50, 99])
def test_an_unusual_rate_is_said(fs):
    assert f"a sampling rate of {fs} Hz is unusual; check it" in notes(fs=fs)


@pytest.mark.parametrize("factor", [0.001, 9])
def test_an_unusual_amplitude_is_said(factor):
    assert any("which is unusual; check gain and unit" in note for note in notes(factor))


def test_a_lead_with_another_step_than_all_others_is_said():
    scales = dict.fromkeys(LEADS, "5 uV") | {"V3": "0.5 uV"}
    assert notes(scales=scales) == ("V3 in steps of 0.5 uV, the other leads in steps of 5 uV; check their gain",)


@pytest.mark.parametrize(
    "scales",
    [
        dict.fromkeys(LEADS, "5 uV") | {"V3": "0.005 mV"},
        {lead: f"{row + 1} uV" for row, lead in enumerate(LEADS)},
        dict.fromkeys(LEADS[:6], "5 uV") | dict.fromkeys(LEADS[6:], "2.5 uV"),
    ],
)
def test_steps_of_their_own_in_all_or_many_leads_need_no_word(scales):
    assert notes(scales=scales) == ()


def test_gaps_and_absent_leads_have_no_amplitude():
    signal = twelve_leads(3000)
    signal[6, 100:200] = np.nan
    leads = dict(zip(LEADS[:11], signal, strict=False))
    assert assemble(Channels(leads, 500)).notes == ("no value in V1: 0.20-0.40 s",)
