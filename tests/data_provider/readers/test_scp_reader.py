"""SCP-ECG: every compression of the standard comes back sample by sample; what is damaged or cut off is named."""

import struct

import numpy as np
import pytest

from cardiolect.data_provider.readers import RecordError, read_record, scp_huffman, scp_reader
from cardiolect.data_provider.readers.formats import read_channels
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator import simulate
from cardiolect.data_provider.simulator.patients import draw_patient
from tests.helpers.scp import Beats, assemble, write_scp


@pytest.fixture(scope="module")
def steps() -> np.ndarray:
    """10 s at 500 Hz in uV."""
    return np.round(simulate(5, 0, draw_patient(5, 0, 1))[1] * 1000).astype(int)


def read_steps(path, nanovolts: int = 1000) -> np.ndarray:
    channels = read_channels(path)
    return np.stack([channels.leads[lead] for lead in LEADS]) / (nanovolts * 1e-6)


@pytest.mark.parametrize("huffman", [True, False])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_every_coding_of_samples_comes_back(huffman, order, steps, tmp_path):
    path = write_scp(tmp_path / "ecg.scp", steps, order=order, huffman=huffman)
    np.testing.assert_allclose(read_steps(path), steps, atol=1e-6)


def test_the_file_says_version_rate_and_step(steps, tmp_path):
    path = write_scp(tmp_path / "ecg.scp", steps // 5, nanovolts=4880, interval=1953, protocol=13)
    channels = read_channels(path)
    assert (channels.kind, channels.fs, channels.scales["aVL"]) == ("SCP-ECG 1.3", 512, "4.88 uV")
    assert not channels.notes and not channels.ignored
    np.testing.assert_allclose(channels.leads["V4"], steps[9] // 5 * 4.88e-3)


def test_a_table_of_the_writer_is_used(steps, tmp_path):
    """Two codes for 0 and 1, and one for 16 bits that follow it, given as the standard does: first bit lowest."""
    codes = [(1, 1, 1, 0, 0b0), (2, 2, 1, 1, 0b01), (2, 18, 1, 0, 0b11)]
    table = struct.pack("<HH", 1, len(codes)) + b"".join(struct.pack("<BBBhI", *code) for code in codes)
    path = write_scp(tmp_path / "ecg.scp", steps, table=table)
    np.testing.assert_allclose(read_steps(path), steps, atol=1e-6)


def test_a_code_that_switches_tables_is_followed():
    to_second, zero, seven = (2, 2, 0, 2, 0b11), (1, 1, 1, 0, 0b0), (1, 1, 1, 7, 0b0)
    body = struct.pack("<H", 2)
    for codes in ((zero, to_second), (seven,)):
        body += struct.pack("<H", len(codes)) + b"".join(struct.pack("<BBBhI", *code) for code in codes)
    values = scp_huffman.decode(bytes([0b00110000]), 4, scp_huffman.read_tables(body))
    assert values.tolist() == [0, 0, 7, 7]


def test_subtracted_reference_beats_are_added_again(steps, tmp_path):
    rng = np.random.default_rng(0)
    beats = Beats(rng.integers(-300, 300, (12, 300)), before=100, fiducials=[400, 900, 1500, 4700])
    path = write_scp(tmp_path / "ecg.scp", steps, beats=beats)
    np.testing.assert_allclose(read_steps(path), steps, atol=1e-6)


def test_what_was_thinned_out_between_the_complexes_is_interpolated(tmp_path):
    """Every sample of a zone is exact; between zones, a line through the means is one again where the ECG is a line."""
    ramp = np.tile(np.arange(2000) * 4, (12, 1))
    zones = [(200, 400), (1000, 1200)]
    beats = Beats(np.zeros((12, 100), int), before=50, fiducials=[300, 1100], zones=zones)
    bumps = ramp.copy()
    for start, stop in zones:
        bumps[:, start:stop] += np.random.default_rng(0).integers(-900, 900, stop - start)
    path = write_scp(tmp_path / "ecg.scp", bumps, beats=beats, thin=4)
    read = read_steps(path)
    for start, stop in zones:
        np.testing.assert_allclose(read[:, start:stop], bumps[:, start:stop], atol=1e-6)
    middle = [*range(2, 198), *range(402, 998), *range(1202, 1998)]
    np.testing.assert_allclose(read[:, middle], bumps[:, middle], atol=1)
    channels = read_channels(path)
    assert channels.fs == 500 and "one sample of 4 is stored" in channels.notes[0]


def test_zones_that_do_not_fit_the_thinning_are_refused(tmp_path):
    beats = Beats(np.zeros((12, 100), int), before=50, fiducials=[300], zones=[(200, 400)])
    path = write_scp(tmp_path / "ecg.scp", np.zeros((12, 2000), int), beats=beats, thin=4)
    data = path.read_bytes()
    zone = struct.pack("<II", 201, 400)
    assert data.count(zone) == 1
    damaged = data.replace(zone, struct.pack("<II", 203, 400))
    path.write_bytes(with_checksums_blank(damaged))
    with pytest.raises(RecordError, match=r"no multiple of 4; export it as DICOM"):
        read_record(path)


def test_leads_recorded_at_different_times_keep_their_place(steps, tmp_path):
    starts = [0] * 6 + [250] * 6
    channels = read_channels(write_scp(tmp_path / "ecg.scp", steps, starts=starts))
    for row, (lead, start) in enumerate(zip(LEADS, starts, strict=True)):
        np.testing.assert_allclose(channels.leads[lead][start : start + 5000] * 1000, steps[row], atol=1e-6)
        assert np.isnan(channels.leads[lead]).sum() == 250
    assert "different times" in channels.notes[0]


def with_checksums_blank(data: bytes) -> bytes:
    """The record with 0 for all checksums, as writers leave them that compute none."""
    out = bytearray(data)
    for at in range(22, 6 + struct.unpack_from("<I", data, 10)[0], 10):
        index = struct.unpack_from("<I", data, at + 6)[0]
        out[index - 1 : index + 1] = b"\0\0"
    return bytes(out)


def test_a_wrong_checksum_is_damage_and_a_missing_one_is_said(steps, tmp_path):
    path = write_scp(tmp_path / "ecg.scp", steps)
    data = path.read_bytes()
    path.write_bytes(with_checksums_blank(data))
    assert "checksum of section" in read_channels(path).notes[0]
    path.write_bytes(data[:-1000] + bytes([data[-1000] ^ 1]) + data[-999:])
    with pytest.raises(RecordError, match="section 6 does not match its checksum"):
        read_record(path)


def test_names_of_patients_may_be_blanked_without_new_checksums(steps, tmp_path):
    sections = {1: b"\x01\x08\x00Nobody\0\0", **sections_of(write_scp(tmp_path / "a.scp", steps).read_bytes())}
    data = assemble(sections).replace(b"Nobody", b"XXXXXX")
    (tmp_path / "ecg.scp").write_bytes(data)
    np.testing.assert_allclose(read_steps(tmp_path / "ecg.scp"), steps, atol=1e-6)


def sections_of(data: bytes) -> dict[int, bytes]:
    entries = [struct.unpack_from("<HII", data, at) for at in range(22, 6 + struct.unpack_from("<I", data, 10)[0], 10)]
    return {number: data[index + 15 : index - 1 + length] for number, length, index in entries if number}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: s.pop(6), "without a rhythm recording"),
        (lambda s: s.update({6: b"\0\0" + s[6][2:]}), "uncalibrated"),
        (lambda s: s.update({6: s[6][:2] + b"\0\0" + s[6][4:]}), "a sample every 0 us"),
        (lambda s: s.update({3: s[3][:6] + struct.pack("<I", 10**9) + s[3][10:]}), "more than it may hold"),
        (lambda s: s.update({3: s[3][:6] + struct.pack("<I", 250_000) + s[3][10:]}), "cut off"),
        (lambda s: s.update({3: s[3][:1] + b"\1" + s[3][2:]}), "reference beat|where the beats are"),
        (lambda s: s.update({2: b"\0\0"}), "Huffman tables are empty"),
        (lambda s: s.update({2: b"\1\0\5\0"}), "Huffman tables are cut off"),
    ],
)
def test_what_is_missing_is_named(change, reason, steps, tmp_path):
    sections = sections_of(write_scp(tmp_path / "ecg.scp", steps).read_bytes())
    change(sections)
    (tmp_path / "ecg.scp").write_bytes(assemble(sections))
    with pytest.raises(RecordError, match=reason):
        read_record(tmp_path / "ecg.scp")


def test_large_files_are_refused_unread(steps, tmp_path, monkeypatch):
    path = write_scp(tmp_path / "ecg.scp", steps)
    monkeypatch.setattr(scp_reader, "MAX_BYTES", 1000)
    with pytest.raises(RecordError, match="too large"):
        read_record(path)


def test_a_real_file_equals_its_twins_in_dicom_and_aecg(shared_data):
    """One ECG as the same software wrote it in three formats, at 2.5 uV a step."""
    scp, dicom, aecg = (read_channels(shared_data / f"files/ecgtoolkit_Example.{s}") for s in ("scp", "dcm", "xml"))
    assert (scp.kind, scp.fs) == ("SCP-ECG 2.0", 500)
    for lead in LEADS:
        np.testing.assert_allclose(scp.leads[lead], aecg.leads[lead], atol=1e-9)
        np.testing.assert_allclose(scp.leads[lead], dicom.leads[lead], atol=1e-9)
