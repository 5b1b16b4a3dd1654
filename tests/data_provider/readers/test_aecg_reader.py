"""HL7 aECG: all leads that were recorded together, however they are spread; the rhythm, not the beat."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from cardiolect.data_provider.readers import FileError
from cardiolect.data_provider.readers.channels import Channels
from cardiolect.data_provider.readers.xml_reader import read
from cardiolect.data_provider.record import LEADS
from tests.helpers.xml_files import aecg, aecg_series, aecg_set, of, simulated

RELATIVE = '<code code="TIME_RELATIVE"/><value><head value="{}" unit="s"/>'
BEAT = '<code code="REPRESENTATIVE_BEAT"/>'


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    return simulated()


def channels(folder: Path, *series: str) -> Channels:
    (folder / "ecg.xml").write_text(aecg(*series))
    return read(folder / "ecg.xml")


def assert_whole(found: Channels, ecg: np.ndarray) -> None:
    assert found.fs == 500 and set(found.leads) == set(LEADS)
    np.testing.assert_allclose(np.stack([found.leads[lead] for lead in LEADS]), ecg, atol=0.00126)


SPREAD = {
    "one set": lambda x: [aecg_series(aecg_set(x))],
    "a set per lead": lambda x: [aecg_series(*(aecg_set(x[i : i + 1], LEADS[i : i + 1]) for i in range(12)))],
    "limb and chest leads": lambda x: [aecg_series(aecg_set(x[:6], LEADS[:6]), aecg_set(x[6:], LEADS[6:]))],
    "a series each": lambda x: [aecg_series(aecg_set(x[:6], LEADS[:6])), aecg_series(aecg_set(x[6:], LEADS[6:]))],
    "a short set first": lambda x: [aecg_series(aecg_set(x[:, :1250]), aecg_set(x))],
    "a beat first": lambda x: [aecg_series(aecg_set(x[:, :600]), code=BEAT), aecg_series(aecg_set(x))],
    "a longer beat": lambda x: [aecg_series(aecg_set(np.tile(x, 2)), code=BEAT), aecg_series(aecg_set(x))],
    "rhythm not said": lambda x: [
        aecg_series(aecg_set(x[:, :600]), code='<code code="MEDIAN_BEAT"/>'),
        aecg_series(aecg_set(x), code=""),
    ],
    "lead II again": lambda x: [aecg_series(aecg_set(np.vstack([x, x[1:2]]), [*LEADS, "II"]))],
    "lead II in its own set": lambda x: [aecg_series(aecg_set(x), aecg_set(x[1:2], ["II"]))],
    "a minute of three leads": lambda x: [
        aecg_series(aecg_set(x), aecg_set(np.tile(of(x, ["II", "V1", "V5"]), 6), ["II", "V1", "V5"]))
    ],
    "the same twice": lambda x: [aecg_series(aecg_set(x)), aecg_series(aecg_set(x))],
    "other signals": lambda x: [aecg_series(aecg_set(x), aecg_set(x[:1], ["RESP"]))],
    "relative times": lambda x: [
        aecg_series(
            aecg_set(x[:6], LEADS[:6], head=RELATIVE.format(0)),
            aecg_set(x[6:], LEADS[6:], head=RELATIVE.format("0.000")),
        )
    ],
    "absolute and relative times": lambda x: [
        aecg_series(
            aecg_set(x[:6], LEADS[:6]),
            aecg_set(x[6:], LEADS[6:], head=RELATIVE.format("0")),
            code='<code code="RHYTHM"/><effectiveTime><low value="20200101120000"/></effectiveTime>',
        )
    ],
    "milliseconds": lambda x: [aecg_series(aecg_set(x, increment="ms"))],
    "microseconds": lambda x: [aecg_series(aecg_set(x, increment="us"))],
    "millivolts": lambda x: [aecg_series(aecg_set(x, unit="mV", step=0.0025))],
    "nanovolts": lambda x: [aecg_series(aecg_set(x, unit="nV", step=2500))],
    "commas": lambda x: [aecg_series(aecg_set(x, separator=","))],
    "commas and spaces": lambda x: [aecg_series(aecg_set(x, separator=", "))],
    "semicolons": lambda x: [aecg_series(aecg_set(x, separator=";"))],
    "line breaks": lambda x: [aecg_series(aecg_set(x, separator="\r\n\t"))],
    "numeric codes": lambda x: [
        aecg_series(aecg_set(x)).replace('code="MDC_ECG_LEAD_II"', 'code="131074" displayName="MDC_ECG_LEAD_II"')
    ],
}


@pytest.mark.parametrize("how", SPREAD)
def test_the_rhythm_is_read_whole(how, ecg, tmp_path):
    assert_whole(channels(tmp_path, *SPREAD[how](ecg)), ecg)


def test_format_names_steps_and_what_was_left_out_are_told(ecg, tmp_path):
    found = channels(tmp_path, aecg_series(aecg_set(ecg[:, :1250]), aecg_set(ecg), aecg_set(ecg[:1], ["RESP"])))
    assert found.kind == "HL7 aECG 2003-12"
    assert found.names["aVR"] == "MDC_ECG_LEAD_AVR" and set(found.scales.values()) == {"2.5 uV"}
    assert found.ignored == ("MDC_ECG_LEAD_RESP",)
    assert found.notes == ("left out: 12 leads of 2.5 s at 500 Hz",)


def test_a_lead_without_samples_was_not_recorded(ecg, tmp_path):
    start, _, end = aecg_set(ecg).rpartition("<digits>")
    found = channels(tmp_path, aecg_series(f"{start}<digits>{end[end.index('</digits>') :]}"))
    assert set(found.leads) == set(LEADS[:11]) and found.ignored == ("MDC_ECG_LEAD_V6",)
    assert found.notes == ("no samples are stored for MDC_ECG_LEAD_V6",)


def test_an_origin_is_added(ecg, tmp_path):
    text = aecg_series(aecg_set(ecg)).replace('<origin value="0" unit="uV"/>', '<origin value="0.1" unit="mV"/>')
    assert_whole(channels(tmp_path, text), ecg + 0.1)


REFUSED = {
    "leads recorded one after the other": (
        lambda x: aecg_series(
            *(
                aecg_set(x[i : i + 3, :1250], LEADS[i : i + 3], head=RELATIVE.format(2.5 * (i // 3)))
                for i in range(0, 12, 3)
            ),
            aecg_set(x[1:2], ["II"]),
        ),
        "leads V1, V2, V3, V4, V5, V6 differ from the other leads in start, rate",
    ),
    "two recordings": (
        lambda x: aecg_series(aecg_set(x)) + aecg_series(aecg_set(-x, head=RELATIVE.format(60))),
        "contains 2 recordings of 10 s and 12 leads, made one after the other; split the file",
    ),
    "a lead that ends early": (
        lambda x: aecg_series(aecg_set(x[:11], LEADS[:11]), aecg_set(x[11:, :4000], LEADS[11:])),
        "leads V6 differ from the other leads in start, rate or length",
    ),
    "a lead twice": (
        lambda x: aecg_series(aecg_set(np.vstack([x, x[:1]]), [*LEADS, "II"])),
        "lead II occurs twice",
    ),
    "beats only": (lambda x: aecg_series(aecg_set(x[:, :600]), code=BEAT), "contains representative beats only"),
    "no series": (lambda x: "", "without a series"),
    "no leads": (lambda x: aecg_series(), "without leads"),
    "decimal commas": (
        lambda x: aecg_series(aecg_set(x, separator=",5 ")).replace("</digits>", ",5</digits>"),
        "decimal commas",
    ),
    "no numbers": (lambda x: aecg_series(aecg_set(x, separator=" x ")), "digits that are not numbers"),
    "no rate": (
        lambda x: aecg_series(aecg_set(x).replace("TIME_ABSOLUTE", "OTHER_TIME")),
        "it gives no sampling rate",
    ),
    "an unknown unit of time": (lambda x: aecg_series(aecg_set(x).replace('unit="s"', 'unit="min"')), "time increment"),
    "an infinite step": (lambda x: aecg_series(aecg_set(x).replace('"2.5"', '"inf"')), "not a number"),
    "an unknown unit": (lambda x: aecg_series(aecg_set(x).replace("uV", "mmHg")), "unknown unit 'mmHg'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_single_recording_is_refused_with_the_reason(what, ecg, tmp_path):
    make, reason = REFUSED[what]
    with pytest.raises(FileError, match=reason):
        channels(tmp_path, make(ecg))


def test_the_aecg_of_a_recorder_obeys_einthoven_and_goldberger(shared_data):
    """Mortara's ELI 250, in steps of 2.5 uV; the augmented leads are rounded."""
    found = read(shared_data / "files/ecgtoolkit_Example.xml")
    assert found.fs == 500 and {len(values) for values in found.leads.values()} == {5000}
    one, two, three, right, left, foot = (found.leads[lead] for lead in LEADS[:6])
    np.testing.assert_allclose(one + three, two, atol=1e-9)
    for augmented, computed in ((right, -(one + two) / 2), (left, (one - three) / 2), (foot, (two + three) / 2)):
        np.testing.assert_allclose(augmented, computed, atol=0.00126)


def test_the_aecg_and_the_dicom_of_one_ecg_agree_in_every_sample(shared_data):
    """Both written by one program from the same SCP-ECG file; pydicom reads the other one."""
    found = read(shared_data / "files/ecgtoolkit_Example.xml")
    dataset = pydicom.dcmread(shared_data / "files/ecgtoolkit_Example.dcm")
    group = dataset.WaveformSequence[0]
    microvolts = pydicom.waveforms.multiplex_array(dataset, 0, as_raw=False)
    for column, channel in enumerate(group.ChannelDefinitionSequence):
        assert channel.ChannelSensitivityUnitsSequence[0].CodeValue == "uV"
        lead = channel.ChannelSourceSequence[0].CodeMeaning.removeprefix("Lead ").split()[0]
        np.testing.assert_allclose(found.leads[lead], microvolts[:, column] / 1000, atol=1e-9)
