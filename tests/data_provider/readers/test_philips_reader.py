"""Philips' ECG files: compressed samples, limb leads from their remainders, no calibration pulse.

The real files carry what the recorder itself measured: an independent second reading of every lead.
"""

import base64
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from cardiolect.data_provider.readers import FileError
from cardiolect.data_provider.readers.channels import Channels
from cardiolect.data_provider.readers.xml_reader import read
from cardiolect.data_provider.readers.xml_tree import parse
from cardiolect.data_provider.record import LEADS
from tests.helpers.xml_files import EIGHT, of, philips, simulated, xli_block

FS = 500


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    return simulated()


def channels(folder: Path, text: str) -> Channels:
    (folder / "ecg.xml").write_text(text)
    return read(folder / "ecg.xml")


def assert_whole(found: Channels, ecg: np.ndarray) -> None:
    assert found.fs == FS
    np.testing.assert_allclose(np.stack([found.leads[lead] for lead in LEADS]), ecg, atol=0.00251)


def with_calibration(ecg: np.ndarray) -> np.ndarray:
    """As PageWriter stores it: 0.1 s of zeros, 0.2 s of 1 mV in every lead, 0.1 s of zeros at the end."""
    pulse = np.concatenate([np.zeros(50), np.ones(100), np.zeros(50)])
    return np.hstack([ecg, np.tile(pulse, (12, 1))])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("version", ["1.03", "1.04"])
def test_leads_are_read_from_either_version(version, packed, ecg, tmp_path):
    found = channels(tmp_path, philips(ecg, version=version, packed=packed))
    assert_whole(found, ecg)
    assert found.kind == f"Philips Sierra XML {version}"
    assert found.scales["V1"] == "5 uV" and not found.notes


def test_leads_in_another_order_and_other_leads_are_kept_apart(ecg, tmp_path):
    order = (*LEADS[::-1], "V3R")
    found = channels(tmp_path, philips(np.vstack([ecg[::-1], ecg[:1]]), order))
    assert_whole(found, ecg)
    assert found.ignored == ("V3R",)


def test_the_calibration_pulse_is_cut_off_by_what_it_is(ecg, tmp_path):
    for samples in (5000, 3210):
        found = channels(tmp_path, philips(with_calibration(ecg[:, :samples])))
        assert_whole(found, ecg[:, :samples])
        assert found.notes == ("the last 0.4 s were cut off: zeros and a calibration pulse",)


def test_zeros_at_the_end_without_a_pulse_stay(ecg, tmp_path):
    """They are padding as in any format, which is dealt with for all formats alike."""
    padded = np.hstack([ecg, np.zeros((12, 100))])
    assert_whole(channels(tmp_path, philips(padded)), padded)


REFUSED = {
    "no waveforms": (lambda text: "<restingecgdata/>", "contains no recorded waveforms"),
    "another length": (lambda text: text.replace('"10000"', '"9000"'), "block 1 .* does not unpack to 4500 samples"),
    "a length without end": (lambda text: text.replace('"10000"', '"1e12"'), "which no resting ECG has"),
    "no rate": (lambda text: text.replace(">500<", "><"), "the sampling rate is ''"),
    "no resolution": (lambda text: text.replace("signalresolution", "x"), "the resolution is ''"),
    "another compression": (lambda text: text.replace('"XLI"', '"ZIP"'), "compressed by 'ZIP'; only XLI"),
    "samples as text": (lambda text: text.replace('"Base64"', '"Plain"'), "encoded as 'Plain'; only Base64"),
    "24 bits": (lambda text: text.replace(">16<", ">24<"), "samples of 24 bits"),
    "fewer leads": (lambda text: text.replace('V6" numberofleads="12"', 'V6 V7" numberofleads="13"'), "12 of 13 leads"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_read_is_refused_with_the_reason(what, ecg, tmp_path):
    change, reason = REFUSED[what]
    with pytest.raises(FileError, match=reason):
        channels(tmp_path, change(philips(ecg)))


def test_channels_without_names_are_not_guessed(ecg, tmp_path):
    text = philips(ecg, version="1.03").replace("STD-12", "PED-15")
    with pytest.raises(FileError, match="names no leads, and the order of 'PED-15' is not known"):
        channels(tmp_path, text)


def test_remainders_without_the_leads_they_refer_to_are_refused(ecg, tmp_path):
    text = philips(ecg).replace('"I II III', '"X II III')
    with pytest.raises(FileError, match="differences to leads I and II, which are not there"):
        channels(tmp_path, text)


def test_eight_leads_are_enough(ecg, tmp_path):
    found = channels(tmp_path, philips(ecg).replace('numberofleads="12"', 'numberofleads="2"'))
    assert list(found.leads) == ["I", "II"]
    found = channels(tmp_path, philips(of(ecg, EIGHT), EIGHT, packed=False))
    assert list(found.leads) == list(EIGHT)


def test_damaged_samples_are_refused_or_keep_their_shape(ecg, tmp_path):
    whole, rng = philips(ecg[:, :1000]), np.random.default_rng(0)
    start, end = whole.index("<parsedwaveforms"), whole.index("</parsedwaveforms")
    refused = 0
    for place in rng.integers(whole.index(">", start) + 1, end, 60):
        damaged = whole[:place] + rng.choice(list("ABCxyz019+/")) + whole[place + 1 :]
        try:
            found = channels(tmp_path, damaged)
        except FileError:
            refused += 1
        else:
            assert {len(values) for values in found.leads.values()} == {1000}
            assert max(np.abs(values).max() for values in found.leads.values()) <= 2 * 32768 * 0.005
    assert refused > 30


def test_a_small_file_does_not_unpack_to_gigabytes(ecg, tmp_path):
    """LZW packs a constant lead of 50,000 samples into 1 kB, and a file may hold any number of such blocks."""
    block = xli_block(np.zeros(50_000, np.int64))
    assert len(block) < 1000
    text = philips(ecg).replace('durationperchannel="10000"', 'durationperchannel="100000"')
    start, end = text.index(">", text.index("<parsedwaveforms")) + 1, text.index("</parsedwaveforms")
    many = text[:start] + base64.b64encode(40 * block).decode() + text[end:]
    with pytest.raises(FileError, match="more than 32 blocks"):
        channels(tmp_path, many)
    with pytest.raises(FileError, match="which no resting ECG has"):
        channels(tmp_path, many.replace('"100000"', '"10000000"'))


def beat(leads: np.ndarray) -> np.ndarray:
    """The median beat of all leads, ``(12, 600)``: 0.5 s before the steepest point, 0.7 s after it."""
    steep = np.convolve(np.abs(np.diff(leads, axis=1)).sum(axis=0), np.ones(30), "same")
    places, least = [], 0.5 * np.percentile(steep, 99.5)
    while steep.max() > least:
        place = int(steep.argmax())
        places.append(place)
        steep[max(place - 200, 0) : place + 200] = 0
    reference, beats = None, []
    for place in sorted(place for place in places if 300 < place < leads.shape[1] - 400):
        shifts = [leads[:, place + shift - 250 : place + shift + 350] for shift in range(-20, 21)]
        reference = shifts[20] if reference is None else reference
        middle = reference[:, 200:300] - reference[:, 200:300].mean(axis=1, keepdims=True)
        beats.append(max(shifts, key=lambda each: (each[:, 200:300] * middle).sum()))
    return np.median(beats, axis=0)


def measured(root: Element, lead: str, name: str) -> float:
    found = next(each for each in root.iter("leadmeasurement") if each.get("leadname") == lead)
    return float(found.findtext(name))


@pytest.mark.parametrize(("name", "samples"), [("sierra_103", 5300), ("sierra_10401", 5300)])
def test_amplitudes_are_those_that_the_recorder_measured(name, samples, shared_data):
    """R, the deeper of Q and S, the dominant T and the P wave of every lead, against the file's own: 30 uV or 2 %."""
    path = shared_data / f"files/{name}.xml"
    found, root = read(path), parse(path)
    assert found.fs == FS and {len(values) for values in found.leads.values()} == {samples}
    assert found.notes[0].endswith("zeros and a calibration pulse")
    leads = np.stack([found.leads[lead] for lead in LEADS]) * 1000
    np.testing.assert_allclose(leads[0] + leads[2], leads[1], atol=10.1)  # two steps
    differences = {}
    for lead, wave in zip(LEADS, beat(leads), strict=True):
        wave = wave - np.median(wave[190:215])
        qrs, st_t, p = wave[205:300], wave[300:520], wave[120:200]
        by_device = {part: measured(root, lead, part) for part in ("pamp", "qamp", "ramp", "samp", "tamp")}
        ours = {
            "ramp": qrs.max(),
            "qamp": qrs.min(),
            "samp": qrs.min(),
            "tamp": st_t[np.abs(st_t).argmax()],
            "pamp": p.max() if by_device["pamp"] > 0 else p.min(),
        }
        deeper = min(("qamp", "samp"), key=by_device.get)
        for part in ("ramp", deeper, "tamp", "pamp"):
            if by_device[part] and not (part == "tamp" and abs(by_device[part]) < 100):
                differences[lead, part] = ours[part] - by_device[part]
                assert abs(differences[lead, part]) < max(30, 0.02 * abs(by_device[part])), (lead, part)
    assert len(differences) >= 40
    assert np.median(np.abs(list(differences.values()))) < 10
