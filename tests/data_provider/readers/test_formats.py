"""Every format: what another tool wrote comes back in millivolts by lead; damage is named and never becomes an ECG."""

import base64
import json
import shutil
import zlib
from pathlib import Path

import h5py
import numpy as np
import pydicom
import pyedflib
import pytest
from pydicom.data import get_testdata_file

from cardiolect.data_provider.readers import RecordError, dicom_reader, numpy_reader, read_record
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator import simulate
from cardiolect.data_provider.simulator.patients import draw_patient
from tests.helpers import ROOT

FS = 500
EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def rows(signal: np.ndarray, leads: tuple[str, ...]) -> np.ndarray:
    return signal[[LEADS.index(lead) for lead in leads]]


def write_edf(folder: Path, signal: np.ndarray, kind: str = "edf") -> Path:
    path = folder / f"ecg.{kind}"
    file_type = pyedflib.FILETYPE_BDF if kind == "bdf" else pyedflib.FILETYPE_EDF
    top, bottom = (8388607, -8388608) if kind == "bdf" else (32767, -32768)
    with pyedflib.EdfWriter(str(path), len(LEADS), file_type) as writer:
        for channel, lead in enumerate(LEADS):
            writer.setSignalHeader(
                channel,
                {
                    "label": f"ECG {lead}",
                    "dimension": "uV",
                    "sample_frequency": FS,
                    "physical_max": 8000,
                    "physical_min": -8000,
                    "digital_max": top,
                    "digital_min": bottom,
                    "transducer": "",
                    "prefilter": "",
                },
            )
        writer.writeSamples(list(np.ascontiguousarray(signal.astype(float) * 1000)))
    return path


def write_bdf(folder: Path, signal: np.ndarray) -> Path:
    return write_edf(folder, signal, "bdf")


def write_dicom(folder: Path, signal: np.ndarray) -> Path:
    """The real file that pydicom brings, with this signal in its rhythm group at 2.5 uV a step."""
    dataset = pydicom.dcmread(get_testdata_file("waveform_ecg.dcm"))
    group = dataset.WaveformSequence[0]
    group.SamplingFrequency, group.NumberOfWaveformSamples = FS, signal.shape[1]
    order = [
        c.ChannelSourceSequence[0].CodeMeaning.split("(")[0].removeprefix("Lead ").strip()
        for c in group.ChannelDefinitionSequence
    ]
    for channel in group.ChannelDefinitionSequence:
        channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = 2.5, 1, 0
    digital = np.round(rows(signal, tuple(order)) * 400).astype("<i2")
    group.WaveformData = digital.T.tobytes()
    path = folder / "ecg.dcm"
    dataset.save_as(path)
    return path


def write_aecg(folder: Path, signal: np.ndarray) -> Path:
    sequences = "".join(
        f'<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}"/><value xsi:type="SLIST_PQ">'
        f'<origin value="0" unit="uV"/><scale value="2.5" unit="uV"/>'
        f"<digits>{' '.join(map(str, np.round(values * 400).astype(int)))}</digits></value></sequence></component>"
        for lead, values in zip(LEADS, signal, strict=True)
    )
    path = folder / "ecg.xml"
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><AnnotatedECG xmlns="urn:hl7-org:v3" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><component><series><component><sequenceSet>'
        '<component><sequence><code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS"><head value="20000101"/>'
        f'<increment value="{1 / FS}" unit="s"/></value></sequence></component>{sequences}'
        "</sequenceSet></component></series></component></AnnotatedECG>"
    )
    return path


def write_muse(folder: Path, signal: np.ndarray) -> Path:
    def lead(name: str, values: np.ndarray) -> str:
        raw = np.round(values / 0.00488).astype("<i2").tobytes()
        return (
            f"<LeadData><LeadSampleCountTotal>{len(values)}</LeadSampleCountTotal><LeadSampleSize>2</LeadSampleSize>"
            "<LeadAmplitudeUnitsPerBit>4.88</LeadAmplitudeUnitsPerBit><LeadAmplitudeUnits>MICROVOLTS"
            f"</LeadAmplitudeUnits><LeadID>{name}</LeadID><LeadDataCRC32>{zlib.crc32(raw)}</LeadDataCRC32>"
            f"<WaveFormData>\n{base64.b64encode(raw).decode()}\n</WaveFormData></LeadData>"
        )

    data = "".join(lead(name, values) for name, values in zip(EIGHT, rows(signal, EIGHT), strict=True))
    path = folder / "ecg.xml"
    path.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE RestingECG SYSTEM "restecg.dtd"><RestingECG><Waveform>'
        "<WaveformType>Median</WaveformType></Waveform><Waveform><WaveformType>Rhythm</WaveformType>"
        f"<SampleBase>{FS}</SampleBase><SampleExponent>0</SampleExponent>{data}</Waveform></RestingECG>"
    )
    return path


def state_layout(folder: Path, **more) -> None:
    said = {"sampling_rate": FS, "unit": "mV", "leads": list(LEADS), **more}
    (folder / "layout.json").write_text(json.dumps(said))


def write_csv(folder: Path, signal: np.ndarray) -> Path:
    state_layout(folder, leads=None, samples=signal.shape[1])
    path = folder / "ecg.csv"
    time = np.arange(signal.shape[1]) / FS
    np.savetxt(path, np.column_stack([time, signal.T]), "%.5f", ",", header="time," + ",".join(LEADS), comments="")
    return path


def write_npy(folder: Path, signal: np.ndarray) -> Path:
    state_layout(folder)
    np.save(folder / "ecg.npy", signal.T)
    return folder / "ecg.npy"


def write_npz(folder: Path, signal: np.ndarray) -> Path:
    np.savez(folder / "ecg.npz", signal=signal * 1000, fs=FS, leads=LEADS, unit="uV")
    return folder / "ecg.npz"


def write_hdf5(folder: Path, signal: np.ndarray) -> Path:
    """As CODE-15 lays it out: padded with zeros on both sides, ids beside."""
    state_layout(folder)
    padded = np.pad(signal.T, ((48, 48), (0, 0)))
    with h5py.File(folder / "exams.hdf5", "w") as file:
        file["tracings"] = np.stack([padded * 0.5, padded]).astype(np.float32)
        file["exam_id"] = [17, 42]
    return folder / "exams.hdf5#42"


WRITERS = {
    "edf": write_edf,
    "bdf": write_bdf,
    "dicom": write_dicom,
    "aecg": write_aecg,
    "muse": write_muse,
    "csv": write_csv,
    "npy": write_npy,
    "npz": write_npz,
    "hdf5": write_hdf5,
}


@pytest.fixture(scope="module")
def ecg(shared_data) -> np.ndarray:
    """10 s of a real recording, 500 Hz."""
    return read_record(shared_data / "ptb-xl/records500/00000/00005_hr").signal


@pytest.mark.parametrize("kind", WRITERS)
def test_a_real_ecg_written_by_another_tool_comes_back(kind, ecg, tmp_path):
    record = read_record(WRITERS[kind](tmp_path, ecg))
    assert record.fs == FS and record.good.all()
    assert record.record_id == ("42" if kind == "hdf5" else "ecg")
    # Steps of 2.5 or 4.88 uV; III of MUSE is the difference of two rounded leads, PTB-XL's own has been rounded too.
    np.testing.assert_allclose(record.signal, ecg, atol=0.0082 if kind == "muse" else 0.0013)


def test_the_12_lead_dicom_that_pydicom_brings_matches_its_bytes():
    path = get_testdata_file("waveform_ecg.dcm")
    record = read_record(path)
    assert record.fs == 1000 and record.signal.shape == (12, 10_000)
    group = pydicom.dcmread(path).WaveformSequence[0]
    raw = np.frombuffer(group.WaveformData, "<i2").reshape(-1, 12)
    for row, channel in enumerate(group.ChannelDefinitionSequence):
        name = channel.ChannelSourceSequence[0].CodeMeaning.split()[1]
        assert channel.ChannelSensitivityUnitsSequence[0].CodeValue == "uV"
        expected = raw[:, row] * float(channel.ChannelSensitivity) / 1000
        np.testing.assert_allclose(record.signal[LEADS.index(name)], expected, atol=1e-5)


def test_an_aecg_that_biosig_wrote_matches_the_ecg_it_was_given():
    """Two seconds of a simulated recording, written by save2gdf of BioSig 2.5.0 from EDF in steps of 0.15 uV."""
    record = read_record(ROOT / "tests/data/biosig_aecg.xml")
    _, signal = simulate(5, 0, draw_patient(5, 0, 1))
    assert record.fs == 500 and record.lead_present.all()
    np.testing.assert_allclose(record.signal, signal[:, :1000], atol=2e-4)


def test_leads_stay_apart_whatever_order_the_file_has(ecg, tmp_path):
    order = LEADS[::-1]
    np.savez(tmp_path / "turned.npz", signal=rows(ecg, order), fs=FS, leads=order, unit="mV")
    np.testing.assert_array_equal(read_record(tmp_path / "turned.npz").signal, ecg)


@pytest.mark.parametrize("unit", ["mmHg", "", "bit", "mV/mm"])
def test_an_unknown_unit_is_named_not_guessed(unit, ecg, tmp_path):
    np.savez(tmp_path / "ecg.npz", signal=ecg, fs=FS, leads=LEADS, unit=unit)
    with pytest.raises(RecordError, match=r"ecg\.npz: the unknown unit '.*'; use uV"):
        read_record(tmp_path / "ecg.npz")


def test_microvolts_taken_for_millivolts_are_refused(ecg, tmp_path):
    np.savez(tmp_path / "ecg.npz", signal=ecg * 1000, fs=FS, leads=LEADS, unit="mV")
    with pytest.raises(RecordError, match="check gain and unit"):
        read_record(tmp_path / "ecg.npz")


@pytest.mark.parametrize("kind", ["npy", "csv"])
def test_numbers_without_a_rate_say_what_to_state_where(kind, ecg, tmp_path):
    path = WRITERS[kind](tmp_path, ecg)
    (tmp_path / "layout.json").unlink()
    with pytest.raises(
        RecordError, match=r"(neither sampling rate nor unit; give both|no unit; give it) in ecg\.layout\.json"
    ):
        read_record(path)
    (tmp_path / "ecg.layout.json").write_text('{"sampling_rate": -1, "unit": "mV"}')
    with pytest.raises(RecordError, match=r"ecg\.layout\.json next to it: sampling_rate: "):
        read_record(path)


def test_xml_with_entities_or_another_root_is_refused_unread(tmp_path):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><AnnotatedECG>&b;</AnnotatedECG>'
    outside = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><RestingECG>&a;</RestingECG>'
    for text, reason in ((bomb, "EntitiesForbidden"), (outside, "Entit"), ("<html/>", "root element html")):
        (tmp_path / "ecg.xml").write_text(text)
        with pytest.raises(RecordError, match=reason):
            read_record(tmp_path / "ecg.xml")


def test_a_wrong_checksum_in_muse_is_damage(ecg, tmp_path):
    path = write_muse(tmp_path, ecg)
    text = path.read_text()
    place = text.index("<WaveFormData>") + 500
    path.write_text(text[:place] + ("B" if text[place] == "A" else "A") + text[place + 1 :])
    with pytest.raises(RecordError, match="lead I does not match its checksum"):
        read_record(path)


def test_an_hdf5_file_of_many_asks_which(ecg, tmp_path):
    write_hdf5(tmp_path, ecg)
    for name, reason in (("exams.hdf5", "contains 2 recordings; name one"), ("exams.hdf5#7", "has no exam_id 7")):
        with pytest.raises(RecordError, match=reason):
            read_record(tmp_path / name)


def test_an_hdf5_file_that_unpacks_to_gigabytes_is_refused_unread(tmp_path):
    state_layout(tmp_path)
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("tracings", (1, 10**9, 12), "f4", compression="gzip", chunks=(1, 10**6, 12))
    with h5py.File(tmp_path / "ids.h5", "w") as file:
        file["tracings"] = np.zeros((1, 10, 12))
        file.create_dataset("exam_id", (10**9,), "i8", compression="gzip", chunks=(10**6,))
    with h5py.File(tmp_path / "chunk.h5", "w") as file:  # a small array of one large chunk
        shape, chunk = (1, 5000, 12), (1, 30_000_000, 12)
        file.create_dataset("tracings", shape, "f4", maxshape=(1, None, 12), compression="gzip", chunks=chunk)
    assert sum(path.stat().st_size for path in tmp_path.glob("*.h5")) < 1_000_000
    for name in ("bomb.h5", "ids.h5#1", "chunk.h5"):
        with pytest.raises(RecordError, match="decompresses to more than 1 GB"):
            read_record(tmp_path / name)


def test_an_hdf5_file_reads_no_other_file(ecg, tmp_path):
    state_layout(tmp_path)
    values = np.ascontiguousarray(ecg.T[None], "<f4")
    (tmp_path / "secret.bin").write_bytes(values.tobytes())
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["tracings"] = values
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["tracings"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "tracings")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        stored = [(str(tmp_path / "secret.bin"), 0, values.nbytes)]
        file.create_dataset("tracings", values.shape, "<f4", external=stored)
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout(values.shape, "<f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "tracings", values.shape)
        file.create_virtual_dataset("tracings", layout)
    for name in ("link", "raw", "virtual"):
        with pytest.raises(RecordError, match="stores the array tracings in another file"):
            read_record(tmp_path / f"{name}.h5")


def test_archives_are_refused_by_what_they_unpack_to(tmp_path, monkeypatch):
    monkeypatch.setattr(numpy_reader, "MAX_BYTES", 1_000_000)
    np.savez_compressed(tmp_path / "bomb.npz", signal=np.zeros((12, 20_000)), fs=FS, leads=LEADS, unit="mV")
    assert (tmp_path / "bomb.npz").stat().st_size < 10_000
    with pytest.raises(RecordError, match="decompresses to more than"):
        read_record(tmp_path / "bomb.npz")


def test_a_deflated_dicom_file_is_read_unless_it_is_a_bomb(tmp_path, monkeypatch):
    dataset = pydicom.dcmread(get_testdata_file("waveform_ecg.dcm"))
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "ecg.dcm")
    assert read_record(tmp_path / "ecg.dcm").signal.shape == (12, 10_000)
    monkeypatch.setattr(dicom_reader, "MAX_BYTES", 200_000)
    with pytest.raises(RecordError, match="decompresses to more than"):
        read_record(tmp_path / "ecg.dcm")
    data = bytearray((tmp_path / "ecg.dcm").read_bytes())
    data[140:144] = (0x7FFFFFFF).to_bytes(4, "little")  # the length that the meta group states of itself
    (tmp_path / "lies.dcm").write_bytes(data)
    with pytest.raises(RecordError, match="decompresses to more than"):
        read_record(tmp_path / "lies.dcm")


def test_a_file_that_is_not_what_its_name_says_is_named(tmp_path):
    for suffix in ("csv", "tsv", "npy", "npz", "edf", "bdf", "dcm", "xml", "hdf5", "scp", "ecg"):
        path = tmp_path / f"noise.{suffix}"
        path.write_bytes(np.random.default_rng(0).bytes(4000))
        state_layout(tmp_path)
        with pytest.raises(RecordError, match=f"noise.{suffix}"):
            read_record(path)
        with pytest.raises(RecordError, match="no such file"):
            read_record(tmp_path / f"absent.{suffix}")


@pytest.mark.parametrize("kind", WRITERS)
def test_a_truncated_file_never_gives_an_ecg(kind, ecg, tmp_path):
    path = WRITERS[kind](tmp_path, ecg[:, : 4 * FS])
    file = path.with_name(path.name.split("#")[0])
    whole = file.read_bytes()
    for share in np.linspace(0, 0.999, 25):
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(RecordError):
            read_record(path)


@pytest.mark.parametrize("kind", WRITERS)
def test_flipped_bytes_give_a_named_error_or_a_plausible_ecg(kind, ecg, tmp_path):
    """Where a format has no checksum, a sample may change unseen; nothing else may, and nothing may crash."""
    path = WRITERS[kind](tmp_path, ecg[:, : 2 * FS])
    file = path.with_name(path.name.split("#")[0])
    whole, rng, refused = file.read_bytes(), np.random.default_rng(0), 0
    for trial in range(120):
        damaged = bytearray(whole)
        reach = 3000 if trial % 2 else len(whole)  # half of them in the header
        for place in rng.integers(0, min(reach, len(whole)), 8):
            damaged[place] = rng.integers(256)
        file.write_bytes(damaged)
        try:
            record = read_record(path)
        except RecordError as error:
            refused += 1
            assert file.name in str(error) and "\n" not in str(error)
        else:
            assert np.isfinite(record.signal).all() and np.abs(record.signal).max() <= 50.001
            assert record.signal.shape[0] == 12 and record.seconds >= 1
    assert refused or kind in ("npy", "bdf", "edf")


def test_readers_of_other_corpora_agree_on_rate_and_length(shared_data):
    """Real files of other kinds: .mat at 500 Hz, 400 Hz, and minutes at 1000 Hz."""
    folders = (shared_data / "other").iterdir()
    found = {folder.name: read_record(sorted(folder.glob("**/*.hea"))[0]) for folder in folders}
    assert {name: record.fs for name, record in found.items()} == {
        "cpsc2018_extra": 500,
        "code15": 400,
        "ptb_diag": 1000,
    }
    assert all(record.lead_present.all() for record in found.values())


def test_a_copy_under_another_name_reads_the_same(ecg, tmp_path):
    path = write_npz(tmp_path, ecg)
    shutil.copy(path, tmp_path / "Copy.NPZ")
    np.testing.assert_array_equal(read_record(tmp_path / "Copy.NPZ").signal, read_record(path).signal)


def test_a_file_of_another_kind_and_a_folder_are_named(tmp_path):
    (tmp_path / "README").write_text("x")
    (tmp_path / "notes.md").write_text("x")
    for name, reason in (
        ("README", "files without a suffix are not supported"),
        ("notes.md", ".md files are not supported"),
        ("", "a folder; name a recording in it"),
        ("nothing", "no such"),
    ):
        with pytest.raises(RecordError, match=reason):
            read_record(tmp_path / name)


def test_a_name_that_cannot_be_looked_up_is_one_line():
    for name in ("x" * 300, "x" * 300 + ".csv"):
        with pytest.raises(RecordError, match=r"too long|no such file"):
            read_record(name)
