"""The code cache: every recording encoded once, bad ones counted against all and listed, nothing lost by a kill."""

import json
import multiprocessing
import os
import select
import shutil
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import CONTRADICTION, ECGRecord
from cardiolect.data_provider.simulator.wfdb_write import write_wfdb
from cardiolect.data_provider.storage import item_cache, stream
from cardiolect.data_provider.storage import shards as code_shards
from cardiolect.data_provider.storage.item_cache import ItemCache, fill_cache
from cardiolect.data_provider.storage.shards import open_shards
from cardiolect.data_provider.storage.signal_cache import record_key
from cardiolect.data_provider.storage.stream import report_bad, stream_signals
from cardiolect.utils.errors import UserError
from cardiolect.utils.parallel import CHUNK, CHUNKS_PER_WORKER

FORK = multiprocessing.get_context("fork")


def encode(signals):
    encode.calls += len(signals)
    return [(np.abs(s[1, ::16]) * 1000).astype(int) % 1000 for s in signals]


@pytest.fixture
def refs(corpus):
    encode.calls = 0
    return list(load_database(corpus).values())[:40]


@pytest.fixture
def copies(refs, tmp_path):
    """Recordings in a folder of their own, to be damaged."""
    for ref in refs[:10]:
        for suffix in (".hea", ".dat"):
            shutil.copy(ref.path.with_name(ref.path.name + suffix), tmp_path)
    return [replace(ref, path=tmp_path / ref.path.name) for ref in refs[:10]]


def fill(folder, refs, max_bad=4, workers=0):
    cache, bad = ItemCache(folder), {}
    fill_cache(cache, refs, encode, 250, workers, bad, max_bad)
    report_bad(bad, len(refs), max_bad)
    cache.close()
    return ItemCache(folder)


def stored(folder):
    """Every key of every shard."""
    return [key for shard in open_shards(folder).values() for key in shard.keys.tolist()]


def truncate(ref):
    path = ref.path.with_name(f"{ref.path.name}.dat")
    path.write_bytes(path.read_bytes()[:-100])


def test_a_second_fill_encodes_nothing(refs, tmp_path):
    fill(tmp_path, refs)
    cache = fill(tmp_path, refs)
    assert encode.calls == len(refs) and all(ref in cache for ref in refs)
    (_, seventh, *_), *_ = stream_signals([refs[7]], 250, 0, "")
    np.testing.assert_array_equal(cache.item(refs[7]), encode([seventh])[0])


def test_codes_that_uint16_cannot_hold_are_refused(refs, tmp_path):
    """Wrapped around, a coarse code of 65536 others would be read as a frame's."""
    with pytest.raises(UserError, match="codes range from 3 to 65536"):
        ItemCache(tmp_path).add(refs[:1], [np.array([3, 65536])])


def test_bad_recordings_are_counted_against_all_also_on_the_second_run(refs, tmp_path):
    bad = replace(refs[3], record_id="gone", path=refs[3].path.with_name("gone"))
    for _ in range(2):  # on the second run the bad one is all that is missing
        cache = fill(tmp_path, [*refs, bad])
        assert bad not in cache and refs[5] in cache


def test_too_many_bad_recordings_stop_but_keep_what_was_encoded(refs, tmp_path):
    bad = [replace(r, record_id=f"x{i}", path=r.path.with_name(f"x{i}")) for i, r in enumerate(refs[:9])]
    with pytest.raises(UserError, match=r"5 recordings could not be read.*allows 4"):
        fill(tmp_path, [*refs[:32], *bad])
    cache = ItemCache(tmp_path)
    assert all(ref in cache for ref in refs[:32])


def test_a_recording_that_changed_is_encoded_again(refs, tmp_path):
    cache = fill(tmp_path, refs[:2])
    moved = replace(refs[0], path=refs[5].path)
    assert moved not in cache


def test_a_wrong_folder_is_noticed_after_the_recordings_allowed_not_after_all(refs, tmp_path, monkeypatch):
    read = count_reads(monkeypatch)
    gone = [replace(ref, path=tmp_path / "nowhere" / ref.path.name) for ref in refs]
    with pytest.raises(UserError, match="5 recordings could not be read"):
        fill(tmp_path / "cache", gone)
    assert len(read) == 5


def test_bad_recordings_are_listed_and_not_read_again_until_their_files_change(copies, tmp_path, monkeypatch):
    whole = copies[2].path.with_name(f"{copies[2].path.name}.dat").read_bytes()
    truncate(copies[2])
    read = count_reads(monkeypatch)
    for _ in range(2):
        fill(tmp_path / "cache", copies)
        (line,) = map(json.loads, (tmp_path / "cache/bad_records.jsonl").read_text().splitlines())
        assert line["record"] == copies[2].record_id and "is truncated" in line["reason"]
        assert str(tmp_path) not in line["reason"]  # folders of MIMIC-IV-ECG are named after patients
    assert read.count(copies[2].path) == 1
    copies[2].path.with_name(f"{copies[2].path.name}.dat").write_bytes(whole)
    assert copies[2] in fill(tmp_path / "cache", copies)
    assert (tmp_path / "cache/bad_records.jsonl").read_text() == ""


def test_known_bad_recordings_count_before_anything_is_encoded(copies, tmp_path):
    truncate(copies[2])
    fill(tmp_path / "cache", copies[:5], max_bad=1)
    with pytest.raises(UserError, match="1 recordings could not be read"):
        fill_cache(ItemCache(tmp_path / "cache"), copies, encode, 250, 0, {}, 0)
    assert encode.calls == 4


def test_a_recording_that_the_disk_did_not_give_is_tried_again(copies, tmp_path, monkeypatch):
    def failing(path, **ids):
        raise UserError(f"record {path}: cannot be read (Stale file handle)")

    monkeypatch.setattr(stream, "read_record", failing)
    fill(tmp_path / "cache", copies[:3])
    monkeypatch.undo()
    cache = fill(tmp_path / "cache", copies[:3])
    assert all(ref in cache for ref in copies[:3])


def test_readers_wait_for_a_slow_encoder(refs, monkeypatch):
    """Unbounded, the results of 800,000 recordings would pile up in memory."""
    read = FORK.Value("i", 0)

    def reading(path, **ids):
        with read:
            read.value += 1
        return ECGRecord(np.zeros((12, 500), np.float32), 500, np.ones((12, 500), bool), "")

    monkeypatch.setattr(stream, "read_record", reading)
    many = [replace(refs[0], record_id=str(i)) for i in range(1000)]
    signals = stream_signals(many, 250, 2, "reading")
    next(signals)
    before = 0
    while before != read.value:
        before = read.value
        time.sleep(0.3)
    assert read.value <= (2 * CHUNKS_PER_WORKER + 1) * CHUNK
    assert sum(1 for _ in signals) == 999


def test_a_reader_that_is_killed_is_an_error_not_a_hang(refs, monkeypatch):
    monkeypatch.setattr(stream, "read_record", lambda path, **ids: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(UserError, match="a reading process was killed"):
        list(stream_signals(refs * 2, 250, 1, "reading"))


def test_a_killed_run_loses_what_was_in_flight_and_leaves_no_process(corpus, tmp_path, monkeypatch):
    refs = list(load_database(corpus).values())
    monkeypatch.setattr(item_cache, "FLUSH_RECORDS", 8)
    monkeypatch.setattr(item_cache, "ENCODE_BATCH", 4)
    log, (ends, held) = tmp_path / "log", os.pipe()

    def encode_slowly(signals):
        with open(log, "ab") as file:
            file.write(b"." * len(signals))
        time.sleep(0.02)
        return encode(signals)

    def run():
        fill_cache(ItemCache(tmp_path / "cache"), refs, encode_slowly, 250, 2, {})

    for encoded in (20, 60):
        process = FORK.Process(target=run)
        process.start()
        while not log.is_file() or log.stat().st_size < encoded:
            assert process.is_alive()
            time.sleep(0.005)
        process.kill()
        process.join()
    os.close(held)
    assert select.select([ends], [], [], 10)[0], "its readers are still there"
    (tmp_path / "cache/half.npy").write_bytes(b"codes without an index")
    run()
    assert len(refs) <= log.stat().st_size <= len(refs) + 2 * (8 + 4)
    cache = ItemCache(tmp_path / "cache")
    assert sorted(stored(tmp_path / "cache")) == sorted(map(cache.key, refs))
    assert not (tmp_path / "cache/half.npy").exists()
    whole = fill(tmp_path / "whole", refs)
    for ref in refs:
        np.testing.assert_array_equal(cache.item(ref), whole.item(ref))


def test_codes_are_stored_in_time_where_the_encoder_is_slow(refs, tmp_path, monkeypatch):
    monkeypatch.setattr(item_cache, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(item_cache, "ENCODE_BATCH", 5)
    fill_cache(ItemCache(tmp_path), refs, encode, 250, 0, {})
    assert len(open_shards(tmp_path)) == len(refs) / 5


def test_an_interrupted_run_keeps_what_it_encoded(refs, tmp_path, monkeypatch):
    monkeypatch.setattr(item_cache, "ENCODE_BATCH", 5)

    def encode_some(signals):
        if encode.calls == 15:
            raise KeyboardInterrupt
        return encode(signals)

    with pytest.raises(KeyboardInterrupt):
        fill_cache(ItemCache(tmp_path), refs, encode_some, 250, 0, {})
    assert len(ItemCache(tmp_path)) == 15


def test_small_shards_are_joined_when_nobody_else_has_the_cache_open(refs, tmp_path, monkeypatch):
    monkeypatch.setattr(code_shards, "JOINED_RECORDS", 16)
    filling = ItemCache(tmp_path)
    for ref, signal_, *_ in stream_signals(refs, 250, 0, ""):
        filling.add([ref], encode([signal_]))
    (tmp_path / "half.npy").touch()
    reader = ItemCache(tmp_path)
    assert len(open_shards(tmp_path)) == len(refs) and (tmp_path / "half.npy").exists()
    expected = [reader.item(ref).copy() for ref in refs]
    filling.close()
    reader.close()
    cache = ItemCache(tmp_path)
    assert len(open_shards(tmp_path)) == 3 and not (tmp_path / "half.npy").exists()
    assert len(stored(tmp_path)) == len(refs)
    for ref, codes in zip(refs, expected, strict=True):
        np.testing.assert_array_equal(cache.item(ref), codes)


def test_two_runs_may_fill_a_cache_at_once(refs, tmp_path, monkeypatch):
    monkeypatch.setattr(item_cache, "FLUSH_RECORDS", 4)
    monkeypatch.setattr(item_cache, "ENCODE_BATCH", 4)
    both = FORK.Barrier(2)

    def run(folder):
        cache = ItemCache(folder)
        both.wait()
        fill_cache(cache, refs, encode, 250, 0, {})

    runs = [FORK.Process(target=run, args=(tmp_path / "cache",)) for _ in range(2)]
    for process in runs:
        process.start()
    for process in runs:
        process.join()
    assert [process.exitcode for process in runs] == [0, 0] and len(stored(tmp_path / "cache")) == 2 * len(refs)
    cache, whole = ItemCache(tmp_path / "cache"), fill(tmp_path / "whole", refs)
    assert len(stored(tmp_path / "cache")) == len(refs)  # joined: each once
    for ref in refs:
        np.testing.assert_array_equal(cache.item(ref), whole.item(ref))


def test_a_cache_whose_index_holds_file_names_still_opens(refs, tmp_path):
    """As earlier versions wrote it."""
    np.save(tmp_path / "old.npy", np.arange(10, dtype=np.uint16))
    (tmp_path / "old.json").write_text(json.dumps({"keys": [record_key(r) for r in refs[:2]], "lengths": [3, 7]}))
    np.testing.assert_array_equal(ItemCache(tmp_path).item(refs[1]), np.arange(3, 10))


@pytest.mark.parametrize("damage", ("codes cut off", "index of other codes", "index cut off"))
def test_a_damaged_shard_is_encoded_again(refs, tmp_path, damage):
    fill(tmp_path, refs)
    (index,) = open_shards(tmp_path)
    codes, text = index.with_suffix(".npy"), index.read_text()
    if damage == "codes cut off":
        codes.write_bytes(codes.read_bytes()[:-50])
    elif damage == "index of other codes":
        np.save(codes, np.load(codes)[:-7])
    else:
        index.write_text(text[: len(text) // 2])
    cache = fill(tmp_path, refs)
    assert encode.calls == 2 * len(refs) and all(ref in cache for ref in refs)


def count_reads(monkeypatch):
    """Paths of the recordings read from now on, by this process."""
    paths, real = [], stream.read_record
    monkeypatch.setattr(stream, "read_record", lambda path, **ids: (paths.append(path), real(path, **ids))[1])
    return paths


def test_contradicting_leads_are_used_and_remembered_only_if_allowed(refs, tmp_path):
    """What a run with LEAD_LAW=warn has encoded does not count for a run without it."""
    signal = read_record(refs[0]).signal.copy()
    signal[[3, 4]] = signal[[4, 3]]
    write_wfdb(tmp_path / "swapped", signal)
    wrong = replace(refs[0], path=tmp_path / "swapped")

    def filled(check_leads: bool) -> tuple[ItemCache, dict[str, str]]:
        cache, bad = ItemCache(tmp_path / "cache"), {}
        fill_cache(cache, [wrong], encode, 250, 0, bad, check_leads=check_leads)
        cache.close()
        return cache, bad

    cache, bad = filled(check_leads=True)
    assert wrong not in cache and bad[wrong.record_id].startswith(CONTRADICTION)
    cache, bad = filled(check_leads=False)  # the list of unreadable recordings does not hold it back
    assert wrong in cache and not bad
    assert ItemCache(tmp_path / "cache").remarks[cache.key(wrong)].contradicts
    assert filled(check_leads=True)[1] == {wrong.record_id: CONTRADICTION}
