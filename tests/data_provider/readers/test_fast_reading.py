"""What is read without wfdb, or not looked at twice, is what the generic way gives, bit by bit."""

import itertools

import numpy as np
import pytest

from cardiolect.data_provider.readers import assembly, read_record, wfdb_reader
from cardiolect.data_provider.readers.usable import plainly_usable, unusable_runs
from cardiolect.data_provider.record import LEADS
from cardiolect.utils.errors import UserError
from tests.helpers.wfdb_records import twelve_leads, write

FS = 500.0


def outcome(path, monkeypatch, generic: bool):
    """All that reading gives, or the error."""
    with monkeypatch.context() as patch:
        if generic:
            patch.setattr(wfdb_reader, "_plain", lambda *_: None)
            patch.setattr(assembly, "plainly_usable", lambda values, fs: np.zeros(len(values), dtype=bool))
        try:
            record = read_record(path, check_leads=False)
        except UserError as error:
            return str(error)
        return record.signal.tobytes(), record.good.tobytes(), record.fs, record.computed, record.notes


def store(folder, digital, fmt="16", gain="1000.0(0)/mV", head=b"", cuts=(12,), record="rec 12 500 5000", names=LEADS):
    """A record of int16 ``(12, T)`` with a header of these fields, its signals in as many files as there are cuts."""
    lines = []
    for k, (first, end) in enumerate(itertools.pairwise((0, *cuts))):
        (folder / f"rec{k}.dat").write_bytes(head + np.ascontiguousarray(digital[first:end].T).astype("<i2").tobytes())
        lines += [
            f"rec{k}.dat {fmt} {gain} 16 0 {digital[row, 0]} {int(digital[row].sum()) % 65536} 0 {names[row]}"
            for row in range(first, end)
        ]
    (folder / "rec.hea").write_text("\n".join([record, *lines, "# Age: 50", "# Dx: unknown"]))
    return folder / "rec"


@pytest.fixture
def digital(shared_data):
    stored = np.fromfile(shared_data / "ptb-xl/records500/00000/00001_hr.dat", "<i2").reshape(-1, 12).T
    return stored.astype(np.int16)


def test_real_and_simulated_records_read_as_the_generic_way_reads_them(shared_data, corpus, monkeypatch):
    headers = sorted(shared_data.glob("ptb-xl/records*/*/*.hea"))[::12] + sorted(corpus.rglob("*.hea"))[:20]
    assert len(headers) > 40
    for header in headers:
        assert outcome(header, monkeypatch, True) == outcome(header, monkeypatch, False), header


@pytest.mark.parametrize(
    "fields",
    [
        {"cuts": (1, 7, 12)},
        {"gain": "200(12)/mV"},
        {"gain": "1.0(-3)/uV"},
        {"gain": "-1000/mV"},
        {"gain": "1e6(7)/V"},
        {"gain": "1e300/mV"},
        {"fmt": "16+24", "head": b"x" * 24},
        {"fmt": "16+25", "head": b"x" * 25, "cuts": (6, 12)},
        {"fmt": "16:7"},
        {"fmt": "16x2", "record": "rec 12 500 2500"},
        {"fmt": "61"},
        {"fmt": "160"},
        {"record": "rec 12 500"},
        {"record": "rec 12 15 5000"},
        {"record": "rec 12 500 4999"},
        {"record": "rec 12 500 5001"},
        {"names": (*LEADS[:5], "resp", *LEADS[6:])},
        {"names": [lead.upper() for lead in reversed(LEADS)]},
    ],
    ids=str,
)
def test_odd_headers_read_as_the_generic_way_reads_them(digital, tmp_path, monkeypatch, fields):
    path = store(tmp_path, digital, **fields)
    assert outcome(path, monkeypatch, True) == outcome(path, monkeypatch, False)


@pytest.mark.parametrize("first", [0, 1, 2437, 4900])
@pytest.mark.parametrize("length", [1, 3, 98, 99, 100, 101, 124, 260, 600])
@pytest.mark.parametrize("value", [-32768, 32767, 0, None, 9000])
def test_damage_is_found_wherever_it_lies(digital, tmp_path, monkeypatch, first, length, value):
    """Lengths around 0.2 s, on and off the grid on which held values are looked for."""
    digital[8, first : first + length] = digital[8, first] if value is None else value
    if first == 4900:
        digital[:, 5000 - length :] = digital[:, [5000 - length]]
    path = store(tmp_path, digital)
    assert outcome(path, monkeypatch, True) == outcome(path, monkeypatch, False)


@pytest.mark.parametrize("factor", [0.02, 0.1, 1, 5, 20])
def test_amplitudes_that_are_unusual_are_still_noticed(digital, tmp_path, factor):
    scaled = np.clip(digital * factor, -32767, 32767).astype(np.int16)
    scaled[3, 1000:1030] = 30_000  # too short for a percentile
    record = read_record(store(tmp_path, scaled), check_leads=False)
    largest = np.ptp(np.percentile(np.where(record.good, record.signal, 0), (1, 99), axis=1), axis=0).max()
    assert any("spans" in note for note in record.notes) == (not 0.1 <= largest <= 20)


def test_a_lead_that_counts_as_plain_has_no_unusable_run():
    rng, plain = np.random.default_rng(0), 0
    for _ in range(300):
        values = rng.normal(0, rng.choice([0.02, 0.3, 1.5]), 3000).round(rng.integers(0, 3))
        first, length = rng.integers(0, 2900), rng.integers(1, 140)
        values[first : first + length] = values[first] if rng.random() < 0.7 else rng.choice([12.0, -60.0, np.nan])
        if plainly_usable(values[None], FS)[0]:
            plain += 1
            assert unusable_runs(values, FS, "V1") == [] and np.isfinite(values).all()
    assert 50 < plain < 250


def test_only_plain_16_bit_files_are_read_without_wfdb(digital, tmp_path, monkeypatch):
    decoded = []
    real = wfdb_reader._decode
    monkeypatch.setattr(wfdb_reader, "_decode", lambda path, *rest: decoded.append(path.name) or real(path, *rest))
    for fields, by_wfdb in (
        ({}, 0),
        ({"cuts": (1, 12)}, 0),
        ({"fmt": "16+24", "head": b"x" * 24}, 0),
        ({"fmt": "16:7"}, 0),
        ({"fmt": "16x2", "record": "rec 12 500 2500"}, 1),
        ({"fmt": "61"}, 1),
    ):
        decoded.clear()
        outcome(store(tmp_path, digital, **fields), monkeypatch, False)
        assert len(decoded) == by_wfdb, fields


def test_a_wrong_checksum_or_first_value_is_found_without_wfdb(tmp_path):
    path = write(tmp_path, twelve_leads())
    for at in (0, 60_000, 119_998):
        data = bytearray(path.with_suffix(".dat").read_bytes())
        data[at] ^= 4
        (tmp_path / "rec.dat").write_bytes(data)
        with pytest.raises(UserError, match="does not match the header's checksum"):
            read_record(path)
        data[at] ^= 4
        (tmp_path / "rec.dat").write_bytes(data)
