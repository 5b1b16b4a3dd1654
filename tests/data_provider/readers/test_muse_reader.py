"""GE MUSE: the rhythm among several waveforms, at its rate and on its baseline."""

from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider.readers import FileError, read_record
from cardiolect.data_provider.readers.channels import Channels
from cardiolect.data_provider.readers.xml_reader import read
from cardiolect.data_provider.record import LEADS
from tests.helpers.xml_files import EIGHT, muse, muse_wave, of, simulated


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    return simulated()


@pytest.fixture(scope="module")
def eight(ecg) -> np.ndarray:
    return of(ecg, EIGHT)


def channels(folder: Path, *waves: str) -> Channels:
    (folder / "ecg.xml").write_text(muse(*waves))
    return read(folder / "ecg.xml")


def assert_eight(found: Channels, eight: np.ndarray) -> None:
    np.testing.assert_allclose(np.stack([found.leads[lead] for lead in EIGHT]), eight, atol=0.00245)


WAVES = {
    "the rhythm alone": lambda x: [muse_wave(x)],
    "a median first": lambda x: [muse_wave(x[:, :600], kind="Median"), muse_wave(x)],
    "in capitals": lambda x: [muse_wave(x, kind=" RHYTHM ")],
    "two rates": lambda x: [muse_wave(x[:, ::2], fs=250), muse_wave(x)],
    "a short rhythm first": lambda x: [muse_wave(x[:, :1250]), muse_wave(x)],
    "the same rhythm twice": lambda x: [muse_wave(x), muse_wave(x)],
    "limb and chest leads apart": lambda x: [muse_wave(x[:2], EIGHT[:2]), muse_wave(x[2:], EIGHT[2:])],
    "a type missing": lambda x: [muse_wave(x, kind=None)],
    "both types missing": lambda x: [muse_wave(x[:, :600], kind=None), muse_wave(x, kind=None)],
    "a rate with an exponent": lambda x: [muse_wave(x, fs=5, exponent=2)],
    "15 leads": lambda x: [muse_wave(np.vstack([x, x[:3]]), [*EIGHT, "V3R", "V4R", "V7"])],
}


@pytest.mark.parametrize("what", WAVES)
def test_the_rhythm_is_read_whole(what, eight, tmp_path):
    found = channels(tmp_path, *WAVES[what](eight))
    assert found.fs == 500
    assert_eight(found, eight)


def test_all_twelve_leads_are_taken_as_stored_and_the_others_computed(ecg, eight, tmp_path):
    (tmp_path / "ecg.xml").write_text(muse(muse_wave(ecg, LEADS)))
    np.testing.assert_allclose(read_record(tmp_path / "ecg.xml").signal, ecg, atol=0.00245)
    (tmp_path / "ecg.xml").write_text(muse(muse_wave(eight)))
    np.testing.assert_allclose(read_record(tmp_path / "ecg.xml").signal, ecg, atol=0.0075)


def test_format_names_steps_and_assumptions_are_told(eight, tmp_path):
    found = channels(tmp_path, muse_wave(np.vstack([eight, eight[:1]]), [*EIGHT, "V3R"], kind=None))
    assert found.kind == "GE MUSE XML 9.0.9"
    assert found.names["V1"] == "V1" and found.scales["V1"] == "4.88 uV" and found.ignored == ("V3R",)
    assert found.notes == ("no waveform is said to be the rhythm; the one without a type is taken for it",)


@pytest.mark.parametrize(("sign", "how"), [(1, "added to"), (-1, "subtracted from")])
@pytest.mark.parametrize("baseline", [400, -37])
def test_the_baseline_of_the_first_sample_shifts_no_lead(sign, how, baseline, eight, tmp_path):
    """Whichever way a file means it: with the wrong sign, leads would lie twice its value from zero."""
    found = channels(tmp_path, muse_wave(eight, baseline=baseline, sign=sign))
    assert_eight(found, eight)
    assert found.notes[0].startswith(f"FirstSampleBaseline, up to {abs(baseline)} steps, is {how} the samples")


def test_a_negative_baseline_may_be_written_without_its_sign(eight, tmp_path):
    text = muse_wave(eight, baseline=-100).replace("<FirstSampleBaseline>-100", f"<FirstSampleBaseline>{2**32 - 100}")
    assert_eight(channels(tmp_path, text), eight)


def test_a_baseline_that_the_samples_do_not_have_is_not_applied(eight, tmp_path):
    found = channels(tmp_path, muse_wave(eight, baseline=100, sign=0))
    assert_eight(found, eight)
    assert "is not applied to the samples" in found.notes[0]


def test_a_lost_lead_among_others_does_not_turn_the_baseline_around(eight, tmp_path):
    eight = eight.copy()
    eight[3] = -150
    found = channels(tmp_path, muse_wave(eight, baseline=400))
    assert_eight(found, eight)


def test_an_electrode_that_was_off_is_told(eight, tmp_path):
    text = muse_wave(eight)
    place = text.index("<LeadOff>FALSE", text.index("<LeadID>V3"))
    found = channels(tmp_path, f"{text[:place]}<LeadOff>TRUE{text[place + 14 :]}")
    assert found.notes == ("the recorder states that the electrode of V3 was off",)


REFUSED = {
    "a median beat only": (lambda x: [muse_wave(x[:, :600], kind="Median")], "no waveform of type Rhythm"),
    "a short wave of no type": (lambda x: [muse_wave(x[:, :600], kind=None)], "as short as a median beat"),
    "two rhythms": (
        lambda x: [muse_wave(x), muse_wave(-x, start=60)],
        "contains 2 recordings of 10 s and 8 leads, made one after the other",
    ),
    "leads at two times": (
        lambda x: [muse_wave(x[:2], EIGHT[:2]), muse_wave(x[2:], EIGHT[2:], start=5)],
        "leads V1, V2, V3, V4, V5, V6 differ from the other leads in start, rate",
    ),
    "an absurd exponent": (lambda x: [muse_wave(x, exponent=10**9)], "SampleExponent is"),
    "no rate": (lambda x: [muse_wave(x).replace("<SampleBase>500", "<SampleBase>0")], "sampling rate is 0"),
    "bytes before the first sample": (
        lambda x: [muse_wave(x).replace("<LeadID>V1", "<LeadOffsetFirstSample>20</LeadOffsetFirstSample><LeadID>V1")],
        "lead V1 does not start with its first sample",
    ),
    "no base64": (lambda x: [muse_wave(x).replace("<WaveFormData>", "<WaveFormData>1,2,3")], "not base64"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_single_rhythm_is_refused_with_the_reason(what, eight, tmp_path):
    make, reason = REFUSED[what]
    with pytest.raises(FileError, match=reason):
        channels(tmp_path, *make(eight))
