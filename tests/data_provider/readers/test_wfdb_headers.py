"""Headers as recorders and people write them: what the standard allows is read, all else is named in a line."""

import time
from pathlib import Path

import numpy as np
import pytest
import wfdb

from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.readers.channels import FileError
from cardiolect.data_provider.readers.wfdb_header import count_samples
from cardiolect.data_provider.readers.wfdb_reader import read
from cardiolect.data_provider.record import LEADS
from tests.helpers.wfdb_records import assert_same, twelve_leads

SIGNAL = np.round(twelve_leads(1000), 3)


def write(
    folder: Path,
    record_line: str = "rec 12 500 1000",
    name: str = "rec",
    file: str = "rec.dat",
    fmt: str = "16",
    gain: str = "1000(0)/mV",
    fields: str = "16 0 {first} {checksum} 0 ",
    comments: bytes = b"",
    stored: str | None = None,
) -> Path:
    """A record of `SIGNAL` in steps of 1 uV; its signals are in ``stored``, by default ``file``."""
    digital = np.round(SIGNAL * 1000).astype("<i2")
    folder.mkdir(exist_ok=True)
    (folder / (stored or file)).write_bytes(digital.T.tobytes())
    lines = [record_line]
    for lead, row in zip(LEADS, digital.astype(int), strict=True):
        lines.append(f"{file} {fmt} {gain} {fields.format(first=row[0], checksum=row.sum() % 65536)}{lead}")
    (folder / f"{name}.hea").write_bytes("\n".join(lines).encode() + b"\n" + comments)
    return folder / name


@pytest.mark.parametrize(
    "record_line",
    [
        "rec 12 500 1000 10:30:00 24/12/2001",
        "rec 12 500 1000 24:00:00 31/02/2001",
        "rec 12 500 1000 10:30:00.125 12/31/2001",
        "rec 12 500 1000 9:5 2001-12-24",
        "rec 12 500 1000 unknown",
        "rec 12 500 10:30:00 24/12/2001",
        "rec 12 500.0/1000(17) 1000",
        "rec 12 5e2 1000",
        "rec 12 500. 1000.0",
        "rec 12 500",
        "rec\t12\t500\t0",
        "ward-3/rec 12 500 1000",
        "D:\\ecg\\rec 12 500 1000",
        "rec.v2 12 500 1000",
        "another_name 12 500 1000",
    ],
)
def test_record_lines_of_the_standard_and_beside_it(tmp_path, record_line):
    record = read_record(write(tmp_path, record_line))
    assert record.fs == 500
    assert_same(record, SIGNAL)


def test_a_folder_before_a_numeric_name_is_no_number_of_segments(tmp_path):
    assert_same(read_record(write(tmp_path, "mitdb/100 12 500 1000", name="100")), SIGNAL)


def test_a_rate_left_out_is_the_standards_default_and_noted(tmp_path):
    channels = read(write(tmp_path, "rec 12"))
    assert channels.fs == 250 and "no sampling rate, which means 250 Hz" in channels.notes[0]


@pytest.mark.parametrize(
    "fields", ["16 0 {first} {checksum} 0 ", "16 0 {first} {checksum} ", "16 0 {first} 0 0 ", "16 0 ", ""]
)
@pytest.mark.parametrize(
    "gain", ["1E3(0)/mV", "1e+03/mV", "1000.", "+1000(+0)/mV", "1000.0(0.0)/mV", "1.0(0)/uV", "1e6/V", "1E9/kV"]
)
def test_gains_and_fields_that_software_leaves_out(tmp_path, gain, fields):
    path = write(tmp_path, gain=gain, fields=fields)
    if gain == "1000." and fields.count(" ") < 5:  # any number might be the gain
        with pytest.raises(RecordError, match="some of its nine fields are missing"):
            read_record(path)
        return
    if "kV" in gain:
        with pytest.raises(RecordError, match="lead I has the unknown unit 'kV'"):
            read_record(path)
        return
    assert_same(read_record(path), SIGNAL)
    assert ("no checksums" in " ".join(read(path).notes)) == ("checksum" not in fields)


def test_a_missing_baseline_is_the_adc_zero(tmp_path):
    signal = read(write(tmp_path, gain="1000/mV", fields="16 250 {first} {checksum} 0 ")).leads["V1"]
    np.testing.assert_allclose(signal, SIGNAL[6] - 0.25, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "file", "stored"),
    [
        ("rec", "rec", "rec.dat"),
        ("rec", "rec", "rec.mat"),
        ("rec", "rec", "rec"),
        ("rec", "REC.DAT", "rec.dat"),
        ("rec", "rec.dat", "rec.DAT"),
        ("rec", "g1/rec.dat", "rec.dat"),
        ("rec", r"C:\export\rec.dat", "rec.dat"),
        ("a.b.1", "a.b.1.dat", "a.b.1.dat"),
        ("two words", "two words.dat", "two words.dat"),
        ("[x]*", "[x]*.dat", "[x]*.dat"),
    ],
)
def test_names_of_signal_files(tmp_path, name, file, stored):
    path = write(tmp_path, f"{name} 12 500 1000", name, file, stored=stored)
    assert_same(read_record(path), SIGNAL)
    notes = read(path).notes
    assert len(notes) == (file != stored)
    assert all(f"read from {stored}" in note and "export" not in note for note in notes)


@pytest.mark.parametrize("folder", ["a::b", "~", "s3:", "#7", "[a]*"])
def test_folders_whose_names_mean_something_elsewhere(tmp_path, folder):
    assert_same(read_record(write(tmp_path / folder)), SIGNAL)


def test_only_the_records_own_folder_is_searched(tmp_path):
    write(tmp_path / "other")
    (tmp_path / "rec.hea").write_text((tmp_path / "other/rec.hea").read_text().replace("rec.dat", "other/rec.dat"))
    with pytest.raises(RecordError, match=r"signal file rec\.dat is not in the record's folder"):
        read_record(tmp_path / "rec")


@pytest.mark.parametrize(
    "comments",
    ["# Größe: 170 … kg".encode("cp1252"), "# Größe".encode(), b"#\x85 16 1/mV", b"\r\n\r\n#Age: 5\r\n", b"#\n#\n"],
)
def test_comments_in_any_encoding(tmp_path, comments):
    assert_same(read_record(write(tmp_path, comments=comments)), SIGNAL)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("eol", ["\n", "\r\n", "\r"])
def test_headers_that_windows_wrote(tmp_path, encoding, eol):
    path = write(tmp_path)
    text = path.with_suffix(".hea").read_text()
    path.with_suffix(".hea").write_bytes(text.replace("\n", eol).encode(encoding))
    assert_same(read_record(path), SIGNAL)


def write_format(folder: Path, digital: np.ndarray, fmt: str, gain: float) -> None:
    """Samples ``(T, 12)``; the formats that wfdb only reads are packed as signal(5) describes them."""
    written = "16" if fmt in ("61", "160", "310", "311") else fmt
    wfdb.wrsamp(
        "rec",
        500,
        ["mV"] * 12,
        list(LEADS),
        d_signal=digital,
        fmt=[written] * 12,
        adc_gain=[gain] * 12,
        baseline=[0] * 12,
        write_dir=str(folder),
    )
    header = folder / "rec.hea"
    header.write_text(header.read_text().replace(f".dat {written} ", f".dat {fmt} "))
    first, second, third = (digital.reshape(-1)[i::3] & 1023 for i in range(3))
    packed = {
        "61": lambda: digital.astype(">i2"),
        "160": lambda: (digital + 32768).astype("<u2"),
        "310": lambda: np.stack([first << 1 | (third & 31) << 11, second << 1 | third >> 5 << 11], -1).astype("<u2"),
        "311": lambda: (first | second << 10 | third << 20).astype("<u4"),
    }
    if fmt in packed:
        (folder / "rec.dat").write_bytes(packed[fmt]().tobytes())


@pytest.mark.parametrize("fmt", ["16", "24", "32", "61", "80", "160", "212", "310", "311", "508", "516", "524"])
@pytest.mark.parametrize("length", ["given", "left out"])
def test_every_format_that_the_docs_promise(tmp_path, fmt, length):
    """What wfdb wrote comes back, gaps included, as they were stored."""
    bits = {"80": 8, "508": 8, "310": 10, "311": 10, "212": 12}.get(fmt, 16)
    digital = np.round(twelve_leads(999).T / 2 * (2 ** (bits - 1) - 2)).astype(int)  # no multiple of 2 or 4
    digital[100:120, 3] = -(2 ** ({"24": 24, "524": 24, "32": 32}.get(fmt, bits) - 1))  # the mark for no value
    gain = 2.0 ** (bits - 2)
    write_format(tmp_path, digital, fmt, gain)
    header = tmp_path / "rec.hea"
    if length == "left out":
        header.write_text(header.read_text().replace("rec 12 500 999", "rec 12 500"))
    channels = read(tmp_path / "rec")
    expected = digital / gain
    expected[100:120, 3] = np.nan
    np.testing.assert_array_equal(np.stack([channels.leads[lead] for lead in LEADS]), expected.T)
    assert channels.kind == f"WFDB format {fmt}" and channels.scales["V1"] == f"{1000 / gain:g} uV"
    if fmt not in ("508", "516", "524") or length == "given":
        assert count_samples(header) == 999 * 12


def test_differences_of_format_8_begin_at_the_first_value(tmp_path):
    digital = np.round(SIGNAL * 100).astype(int)
    steps = np.diff(digital, axis=1, prepend=digital[:, :1]).astype("i1")
    path = write(tmp_path, fmt="8", gain="100/mV", fields="16 0 {first} 0 0 ")
    lines = path.with_suffix(".hea").read_text().splitlines()
    for row, values in enumerate(digital, start=1):
        fields = lines[row].split()
        lines[row] = " ".join([*fields[:5], str(values[0]), *fields[6:]])
    path.with_suffix(".hea").write_text("\n".join(lines))
    path.with_suffix(".dat").write_bytes(steps.T.tobytes())
    np.testing.assert_allclose(read_record(path).signal, digital / 100, atol=1e-6)


def test_skew_aligns_leads_and_leaves_a_gap(tmp_path):
    path = write(tmp_path)
    text = path.with_suffix(".hea").read_text().splitlines()
    text[8] = text[8].replace(" 16 ", " 16:7 ", 1)  # V2
    path.with_suffix(".hea").write_text("\n".join(text))
    channels = read(path)
    np.testing.assert_allclose(channels.leads["V2"][:-7], SIGNAL[7, 7:], atol=1e-9)
    assert np.isnan(channels.leads["V2"][-7:]).all() and "skew" in channels.notes[-1]


@pytest.mark.parametrize(
    ("segments", "says"),
    [
        ("rec_1 500\nrec_2 500\n", r"2 segments\): name one of its segments, such as rec_1, or join"),
        ("rec_layout 0\n~ 10\nrec_1 990\n", r"3 segments\): .* such as rec_1"),
        ("~ 1000\n", r"1 segments\): name one of its segments, or join"),
    ],
)
def test_multi_segment_records_are_named_for_what_they_are(tmp_path, segments, says):
    (tmp_path / "rec.hea").write_text(f"rec/{segments.count(chr(10))} 12 500 1000\n{segments}")
    with pytest.raises(RecordError, match=f"multi-segment record \\({says}"):
        read_record(tmp_path / "rec")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("rec 12", "rec 0"), "declares 0 signals but describes 12"),
        (("1000(0)", "1e999(0)"), "uncalibrated"),
        (("1000(0)", "1,000(0)"), "signal line cannot be parsed"),
        (("500 1000", "5_00 1000"), "sampling rate '5_00'"),
        (("500 1000", "257,5 1000"), "sampling rate '257,5'"),
        (("rec.dat 16 1000(0)/mV", "rec.dat 16"), "cannot be parsed"),
        (("/mV 16 0", "/mV i6 0"), "some of its nine fields are missing"),
        (("rec.dat 16 ", "rec.dat 16x0 "), "no samples in a frame"),
        (("rec.dat 16 ", "rec.dat 16x9999999999 "), "truncated"),
        (("rec.dat 16 ", "rec.dat 516 "), "wfdb cannot read its signals|cannot be read"),
        (("500 1000", "500 99999999999999"), "truncated"),
        (("V6", "V6" + "6" * 3000), "longer than 2000 characters"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, change, reason):
    path = write(tmp_path)
    text = path.with_suffix(".hea").read_text()
    assert change[0] in text
    path.with_suffix(".hea").write_text(text.replace(*change))
    with pytest.raises(RecordError, match=reason) as caught:
        read_record(path)
    assert "\n" not in str(caught.value)


def test_a_wrong_offset_is_noticed_by_the_first_values(tmp_path):
    path = write(tmp_path, fields="16 0 {first} 0 0 ")
    path.with_suffix(".dat").write_bytes(b"MATLAB" * 4 + path.with_suffix(".dat").read_bytes())
    with pytest.raises(RecordError, match="lead I does not begin with the first value"):
        read_record(path)


def test_what_a_header_does_not_describe_is_noted(tmp_path):
    path = write(tmp_path)
    with path.with_suffix(".dat").open("ab") as file:
        file.write(b"more")
    assert_same(read_record(path), SIGNAL)
    assert read(path).notes == ("rec.dat has 4 bytes more than its header describes",)


def test_signals_of_two_files_must_not_be_mixed(tmp_path):
    path = write(tmp_path)
    lines = path.with_suffix(".hea").read_text().splitlines()
    lines[5] = lines[5].replace("rec.dat", "b.dat")
    (tmp_path / "b.dat").write_bytes(b"\0" * 2000)
    path.with_suffix(".hea").write_text("\n".join(lines))
    with pytest.raises(FileError, match=r"signals in rec\.dat are not listed one after the other"):
        read(path)


def test_a_hostile_header_is_refused_at_once(tmp_path):
    begun = time.perf_counter()
    for line in (f"rec.dat{' ' * 1900}16 x", "rec.dat 16 " + "1" * 1900, "a " * 900 + ".dat 16"):
        (tmp_path / "rec.hea").write_text(f"rec 1 500 10\n{line}\n")
        with pytest.raises(RecordError):
            read_record(tmp_path / "rec")
    (tmp_path / "rec.hea").write_bytes(b"rec 1 500 10\n" * 200_000)
    with pytest.raises(RecordError, match="larger than 1 MB"):
        read_record(tmp_path / "rec")
    assert time.perf_counter() - begun < 2
