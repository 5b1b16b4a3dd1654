"""The cache of training signals: recordings are read once, also if reading is interrupted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.storage import signal_cache, stream
from cardiolect.data_provider.storage.signal_cache import SignalCache, open_signal_cache


@pytest.fixture
def refs(corpus, tmp_path) -> list[RecordRef]:
    """Twelve recordings; the fifth cannot be read."""
    shutil.copytree(corpus / "records500/00000", tmp_path / "ecgs")
    refs = [RecordRef(str(i), tmp_path / f"ecgs/{i:05d}_hr", str(i)) for i in range(1, 13)]
    refs[4].path.with_suffix(".dat").write_bytes(b"")
    return refs


def open_cache(refs, folder: Path) -> SignalCache:
    return open_signal_cache(refs, 250, folder, 0, 0.5, "some recordings")


@pytest.fixture
def reading(monkeypatch):
    """Counts what is read, and dies at a chosen recording; every recording is flushed."""
    read, die_at = [], set()
    before = stream.read_record

    def read_record(path, **values):
        if values["record_id"] in die_at:
            raise KeyboardInterrupt
        read.append(values["record_id"])
        return before(path, **values)

    monkeypatch.setattr(stream, "read_record", read_record)
    monkeypatch.setattr(signal_cache, "FLUSH_SECONDS", -1)
    return read, die_at


def assert_equal(cache: SignalCache, expected: SignalCache) -> None:
    assert cache.record_ids == expected.record_ids and np.array_equal(cache.present, expected.present)
    assert all(np.array_equal(cache.signal(i), expected.signal(i)) for i in range(len(expected)))


def test_an_interrupted_reading_goes_on_where_it_ended(refs, tmp_path, reading, capsys):
    read, die_at = reading
    whole = open_cache(refs, tmp_path / "whole")
    assert len(whole) == 11
    for stop in ("8", "11"):
        die_at.add(stop)
        with pytest.raises(KeyboardInterrupt):
            open_cache(refs, tmp_path / "cache")
        die_at.clear()
    read.clear()
    assert_equal(open_cache(refs, tmp_path / "cache"), whole)
    assert read == ["5", "11", "12"]  # the unreadable one is tried again
    printed = capsys.readouterr().out
    assert "reading some recordings: going on after 10 of 12" in printed
    assert "of 12, 1 recordings could not be read" in printed
    assert {path.name for path in (tmp_path / "cache").rglob("*.*")} == {"signals.f16", "index.json"}


@pytest.mark.parametrize("damage", ["line", "signals"])
def test_half_a_part_left_by_a_kill_is_read_again(refs, tmp_path, reading, damage):
    whole, (_, die_at) = open_cache(refs, tmp_path / "whole"), reading
    die_at.add("9")
    with pytest.raises(KeyboardInterrupt):
        open_cache(refs, tmp_path / "cache")
    die_at.clear()
    suffix = {"line": "jsonl", "signals": "f16"}[damage]
    (file,) = (tmp_path / "cache").rglob(f"unfinished.{suffix}")
    file.write_bytes(file.read_bytes()[:-5])
    assert_equal(open_cache(refs, tmp_path / "cache"), whole)


def test_signals_after_the_last_line_are_dropped(refs, tmp_path, reading):
    whole, (_, die_at) = open_cache(refs, tmp_path / "whole"), reading
    die_at.add("9")
    with pytest.raises(KeyboardInterrupt):
        open_cache(refs, tmp_path / "cache")
    die_at.clear()
    (file,) = (tmp_path / "cache").rglob("unfinished.f16")
    file.write_bytes(file.read_bytes() + b"more")
    assert_equal(open_cache(refs, tmp_path / "cache"), whole)


def test_a_recording_that_can_be_read_again_is_not_left_out(refs, tmp_path, reading, monkeypatch):
    """What failed may have been the network drive."""
    _, die_at = reading
    die_at.add("9")
    healthy = refs[4].path.parent / "00006_hr.dat"
    moved = healthy.rename(tmp_path / "away")
    monkeypatch.setattr(signal_cache, "record_key", lambda ref: ref.record_id)  # as if files had been there
    with pytest.raises(KeyboardInterrupt):
        open_cache(refs, tmp_path / "cache")
    die_at.clear()
    moved.rename(healthy)
    cache = open_cache(refs, tmp_path / "cache")
    assert cache.record_ids == [ref.record_id for ref in refs if ref.record_id != "5"]


def test_a_filesystem_without_locks_still_gets_a_whole_cache(refs, tmp_path, monkeypatch):
    def refused(file, operation):
        raise OSError("no locks here")

    monkeypatch.setattr(signal_cache.fcntl, "flock", refused)
    open_cache(refs, tmp_path / "cache")
    (index,) = (tmp_path / "cache").rglob("index.json")
    assert len(json.loads(index.read_text())["record_ids"]) == 11


def test_a_crop_lies_within_its_recording_and_a_short_one_is_padded(refs, tmp_path):
    cache = open_cache(refs, tmp_path / "cache")
    signal = cache.signal(0)
    assert np.array_equal(cache.crop(0, 0.0, 100), signal[:, :100])
    assert np.array_equal(cache.crop(0, 0.9999, 100), signal[:, -100:])
    longer = cache.crop(0, 0.5, signal.shape[1] + 7)
    assert np.array_equal(longer[:, :-7], signal) and not longer[:, -7:].any()
