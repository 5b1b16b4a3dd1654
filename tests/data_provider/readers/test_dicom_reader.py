"""DICOM waveforms: which groups are the recording, what names a lead, and what a stored number means."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.readers.formats import read_channels
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator import simulate
from cardiolect.data_provider.simulator.patients import draw_patient

CODES = dict(zip(LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))
DTYPES = {"SB": "<i1", "UB": "<u1", "SS": "<i2", "US": "<u2", "SL": "<i4"}


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    """10 s at 500 Hz, in steps of 5 uV."""
    return np.round(simulate(5, 0, draw_patient(5, 0, 1))[1].astype(float) * 200) / 200


def code(value: str, meaning: str = "") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = value, meaning
    return item


def group(
    ecg: np.ndarray,
    leads=LEADS,
    *,
    label: str = "RHYTHM",
    original: bool = True,
    raw: np.ndarray | None = None,
    coding: str = "SS",
    bits: int | None = None,
    sensitivity: float = 5.0,
    correction: float = 1.0,
    baseline: float = 0.0,
    padding: int | None = None,
    offset: float = 0.0,
    source=lambda lead: code(f"5.6.3-9-{CODES[lead]}", f"Lead {lead}"),
    unit: Dataset | None = None,
    dtype: str | None = None,
) -> Dataset:
    item = Dataset()
    item.WaveformOriginality = "ORIGINAL" if original else "DERIVED"
    item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = len(leads), ecg.shape[1]
    item.SamplingFrequency, item.MultiplexGroupTimeOffset, item.MultiplexGroupLabel = "500", str(offset), label
    item.ChannelDefinitionSequence = []
    dtype = dtype or DTYPES[coding]
    for lead in leads:
        channel = Dataset()
        if (found := source(lead)) is not None:
            channel.ChannelSourceSequence = [found]
        channel.ChannelLabel = f"Lead {lead}"
        channel.ChannelSensitivity, channel.ChannelBaseline = str(sensitivity), str(baseline)
        channel.ChannelSensitivityCorrectionFactor = str(correction)
        channel.ChannelSensitivityUnitsSequence = [unit or code("uV")]
        channel.WaveformBitsStored = bits or 8 * np.dtype(dtype).itemsize
        item.ChannelDefinitionSequence.append(channel)
    item.WaveformBitsAllocated, item.WaveformSampleInterpretation = 8 * np.dtype(dtype).itemsize, coding
    steps = np.round((ecg * 1000 - baseline) / sensitivity / correction).astype(int) if raw is None else raw
    data = steps.T.astype(dtype).tobytes()
    item.add_new(0x54001010, "OB" if dtype[-1] == "1" else "OW", data + b"\0" * (len(data) % 2))
    if padding is not None:
        item.add_new(0x5400100A, "OW", np.array([padding], dtype).tobytes())
    return item


def save(path, *groups: Dataset, syntax=ExplicitVRLittleEndian):
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.1"
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = pydicom.uid.generate_uid(), syntax
    dataset = pydicom.dataset.FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    dataset.set_original_encoding(False, syntax.is_little_endian)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.WaveformSequence = list(groups)
    dataset.save_as(path, enforce_file_format=True)
    return path


def expect(path, ecg: np.ndarray, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(read_record(path).signal, ecg, atol=tolerance)


def beat(ecg: np.ndarray, **said) -> Dataset:
    return group(ecg[:, 200:800] * 2, **said)


@pytest.mark.parametrize(
    "others",
    [
        [{"label": "MEDIAN BEAT", "original": False}],
        [{"label": "MEDIAN BEAT"}],
        [{"label": "MEDIAN COMPLEX"}],
        [{"label": ""}],
    ],
)
@pytest.mark.parametrize("original", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_the_rhythm_is_chosen_whatever_the_marks_of_the_beat(others, original, first, ecg, tmp_path):
    groups = [group(ecg, original=original), *(beat(ecg, **said) for said in others)]
    path = save(tmp_path / "ecg.dcm", *(groups if first else groups[::-1]))
    expect(path, ecg)
    assert read_channels(path).notes == (() if original else ("some or all leads are marked as derived",))


def test_a_strip_beside_the_recording_is_left_out(ecg, tmp_path):
    long, strip = np.tile(ecg[1:2], 3), group(ecg[1:2], ["II"], label="RHYTHM STRIP")
    expect(save(tmp_path / "long.dcm", group(ecg), group(long, ["II"], label="RHYTHM")), ecg)
    expect(save(tmp_path / "same.dcm", strip, group(ecg)), ecg)


def test_groups_of_one_time_are_put_together(ecg, tmp_path):
    quarters = [group(ecg[n : n + 3], LEADS[n : n + 3]) for n in (0, 3, 6, 9)]
    expect(save(tmp_path / "four.dcm", *quarters), ecg)
    eight = [0, 1, 6, 7, 8, 9, 10, 11]
    derived = group(ecg[2:6], LEADS[2:6], original=False)
    expect(save(tmp_path / "derived.dcm", group(ecg[eight], [LEADS[n] for n in eight]), derived), ecg)


def test_two_recordings_are_refused_if_neither_is_meant(ecg, tmp_path):
    path = save(tmp_path / "two.dcm", group(ecg), group(ecg, offset=10_000))
    with pytest.raises(RecordError, match="contains 2 groups of 12 leads recorded one after the other; split the file"):
        read_record(path)
    expect(save(tmp_path / "longer.dcm", group(ecg[:, :2500], offset=20_000), group(ecg)), ecg)
    assert read_channels(tmp_path / "longer.dcm").notes == ("another recording was left out, of 12 leads and 5 s",)
    with pytest.raises(RecordError, match="contains only median beats"):
        read_record(save(tmp_path / "beat.dcm", beat(ecg, label="MEDIAN BEAT")))


def test_zeros_are_voltages_even_if_they_are_the_padding_value(ecg, tmp_path):
    record = read_record(save(tmp_path / "ecg.dcm", group(ecg, padding=0)))
    assert (ecg == 0).mean() > 0.01 and record.good.all()
    np.testing.assert_allclose(record.signal, ecg, atol=1e-6)


def test_padding_is_masked_at_the_ends_of_a_channel_only(ecg, tmp_path):
    raw = np.round(ecg * 200).astype(int)
    raw[11, 4000:] = raw[0, :50] = raw[3, 2000:2003] = -4000
    leads = read_channels(save(tmp_path / "ecg.dcm", group(ecg, raw=raw, padding=-4000))).leads
    gaps = {lead: np.flatnonzero(np.isnan(values)) for lead, values in leads.items()}
    assert gaps["V6"].tolist() == list(range(4000, 5000)) and gaps["I"].tolist() == list(range(50))
    assert gaps["aVR"].size == 0 and leads["aVR"][2001] == -20


@pytest.mark.parametrize(
    "source",
    [
        lambda lead: code(f"2:{CODES[lead]}", f"MDC_ECG_LEAD_{lead}"),
        lambda lead: code(str(131072 + CODES[lead])),
        lambda lead: code(f"MDC_ECG_LEAD_{lead.upper()}", "a lead"),
        lambda lead: code("0", lead),
        lambda lead: code("X", f"Lead {lead} (Einthoven)"),
        lambda lead: code("X", f"{lead}, augmented voltage"),
        lambda lead: code("X", "channel"),  # only its label says it
        lambda lead: None,
    ],
)
def test_a_lead_is_known_by_code_meaning_or_label(source, ecg, tmp_path):
    expect(save(tmp_path / "ecg.dcm", group(ecg, source=source)), ecg)


@pytest.mark.parametrize(
    "said",
    [
        {"sensitivity": 2.5, "correction": 0.5, "baseline": 12.5},
        {"coding": "US", "baseline": -20_000.0, "sensitivity": 2.5},
        {"coding": "SB", "sensitivity": 50.0},
        {"coding": "UB", "sensitivity": 50.0, "baseline": -5000.0},
        {"coding": "SL", "sensitivity": 0.1},
        {"unit": code("", "microvolt")},
        {"bits": 12},
    ],
)
def test_a_stored_number_means_what_the_file_says(said, ecg, tmp_path):
    tolerance = said.get("sensitivity", 5) * said.get("correction", 1) / 2000 + 1e-6
    expect(save(tmp_path / "ecg.dcm", group(ecg, **said)), ecg, tolerance)


def test_negative_numbers_that_were_not_extended_to_16_bits_are_negative(ecg, tmp_path):
    raw = np.round(ecg * 200).astype(int) & 0xFFF
    expect(save(tmp_path / "ecg.dcm", group(ecg, raw=raw, bits=12)), ecg)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_every_order_of_bytes_is_read(syntax, ecg, tmp_path):
    dtype = ">i2" if syntax == ExplicitVRBigEndian else "<i2"
    expect(save(tmp_path / "ecg.dcm", group(ecg, dtype=dtype), syntax=syntax), ecg)


def test_what_gives_no_voltage_is_named(ecg, tmp_path):
    for said, reason in (
        ({"unit": code("mmHg")}, "lead I has the unknown unit 'mmHg'"),
        ({"sensitivity": 0.0, "raw": np.ones((12, 5000))}, "lead I is uncalibrated"),
    ):
        with pytest.raises(RecordError, match=reason):
            read_record(save(tmp_path / "ecg.dcm", group(ecg, **said)))
    companded = group(ecg)
    companded.WaveformSampleInterpretation = "MB"
    with pytest.raises(RecordError, match="coded as MB in 16 bits"):
        read_record(save(tmp_path / "ecg.dcm", companded))
    few = group(ecg)
    few.NumberOfWaveformChannels = 8
    with pytest.raises(RecordError, match="declares 8 channels and describes 12"):
        read_record(save(tmp_path / "ecg.dcm", few))
    short = group(ecg)
    short.NumberOfWaveformSamples = 6000
    with pytest.raises(RecordError, match="truncated: a waveform has 120000 of 144000 bytes"):
        read_record(save(tmp_path / "ecg.dcm", short))


@pytest.mark.parametrize(
    ("name", "fs", "step"),
    [("ecgplot_anonymous", 1000, 1.25e-3), ("ecgviewer_test_ecg", 240, 1.22e-3), ("ecgtoolkit_Example", 500, 2.5e-3)],
)
def test_real_files_equal_their_bytes(name, fs, step, shared_data):
    """A Mortara ELI 250, a haemodynamic system of GE, and a converter that states a padding value of 0."""
    path = shared_data / f"files/{name}.dcm"
    record, group = read_record(path), pydicom.dcmread(path).WaveformSequence[0]
    raw = np.frombuffer(group.WaveformData, "<i2").reshape(-1, 12)
    order = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
    assert record.fs == fs and record.signal.shape[1] == len(raw)
    expected = raw[:, [order.index(lead) for lead in LEADS]].T * step
    np.testing.assert_allclose(record.signal[record.good], expected[record.good], atol=1e-5)
    assert record.good.mean() > 0.99


@pytest.mark.parametrize("sensitivity", [1.0, 5.0])
def test_gaps_at_the_smallest_number_without_a_padding_value_are_masked(sensitivity, ecg, tmp_path):
    """So ecg2dcm 1.3.1 writes the gaps of a WFDB record."""
    raw = np.round(ecg * 1000 / sensitivity).astype(int)
    raw[:, 1000:1050] = -32768
    save(tmp_path / "ecg.dcm", group(ecg, raw=raw, sensitivity=sensitivity))
    record = read_record(tmp_path / "ecg.dcm")
    assert not record.good[:, 1000:1050].any() and record.good.mean() > 0.98
    assert np.abs(record.signal - ecg)[record.good].max() < 1e-5
