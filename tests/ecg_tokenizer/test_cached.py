"""Windows of long recordings: their items are those of files that hold nothing else, for every representation."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import ECGRecord, windows_of
from cardiolect.data_provider.settings import DataSettings
from cardiolect.data_provider.simulator.wfdb_write import write_wfdb
from cardiolect.data_provider.storage import item_cache
from cardiolect.ecg_tokenizer.bpe.levels import LevelSymbols
from cardiolect.ecg_tokenizer.bpe.merges import Merges
from cardiolect.ecg_tokenizer.bpe.tokenizer import BPETokenizer
from cardiolect.ecg_tokenizer.cached import prepare_corpus
from cardiolect.ecg_tokenizer.patches.representation import ECGPatches
from cardiolect.ecg_tokenizer.patches.settings import PatchConfig
from cardiolect.utils import parallel
from tests.ecg_tokenizer.test_every_representation import SMALL
from tests.helpers.signals import some_ecg

SECONDS = 4.0
LONG = {"a": 2.5, "b": 4.0, "c": 4.3, "d": 10.0, "e": 30.1}
WINDOWS = {"a": 1, "b": 1, "c": 1, "d": 3, "e": 8}


def levels() -> BPETokenizer:
    """Whole leads one after the other, scaled by the range of the ECG: no part of the tokens is that of a part."""
    symbols = LevelSymbols(100, "instance", 26, -2.0, 2.0)
    pieces = symbols.pieces(some_ecg(4, 100))
    return BPETokenizer(symbols, Merges.learn(pieces, symbols.alphabet, 20))


REPRESENTATIONS = {
    **SMALL,
    "levels": levels,
    "base": lambda: ECGPatches(PatchConfig("base", patch=1500, scaling="minmax")),
}


@pytest.fixture
def refs(tmp_path) -> list[RecordRef]:
    """Recordings of several lengths, with a baseline that wanders from window to window."""
    for name, seconds in LONG.items():
        signal = some_ecg(seconds)
        write_wfdb(tmp_path / name, signal + np.linspace(0, 1, signal.shape[1]) * signal[:, :1])
    return [RecordRef(name, tmp_path / name) for name in LONG]


def prepared(representation, refs, folder: Path, **options):
    settings = DataSettings(data_root=[folder], output_dir=folder, cache_dir=folder / "cache", workers=0, device="cpu")
    return prepare_corpus(representation, refs, settings, **options)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_a_window_has_the_item_of_a_file_that_holds_nothing_else(name, refs, tmp_path, monkeypatch):
    monkeypatch.setattr(item_cache, "ENCODE_BATCH", 3)  # windows of one recording come in several batches
    monkeypatch.setattr(item_cache, "FLUSH_SECONDS", 0.0)
    representation = REPRESENTATIONS[name]()
    ecgs = prepared(representation, refs, tmp_path, seconds=SECONDS, every_window=True)
    assert {ref.record_id: ecgs.windows(ref) for ref in refs} == WINDOWS and ecgs.cropped(refs) == 3
    for ref in refs:
        record = read_record(ref.path)
        windows = windows_of(record, SECONDS)
        for number, window in enumerate(windows):
            write_wfdb(tmp_path / "alone", window.signal)
            alone = read_record(tmp_path / "alone")
            np.testing.assert_array_equal(alone.signal, window.signal)
            expected = representation.prepare([alone.signal], alone.fs)[0]
            np.testing.assert_array_equal(ecgs.item(ref, number), expected)
            assert ecgs.ecg(ref, number).token_ids == representation.token_ids(expected)
            assert ecgs.num_tokens(ref, number) == representation.num_tokens(expected)
    keys = [ecgs.ecg(ref, number).key for ref in refs for number in range(ecgs.windows(ref))]
    assert len(set(keys)) == len(keys), "equal keys mean equal ECGs"


def test_only_the_first_window_is_encoded_where_no_other_is_used(refs, tmp_path):
    representation = SMALL["codes"]()
    every = prepared(representation, refs, tmp_path, seconds=SECONDS, every_window=True)
    first = prepared(representation, refs, tmp_path, seconds=SECONDS)
    whole = prepared(representation, refs, tmp_path)
    assert len(first.cache) == len(whole.cache) == len(refs) and len(every.cache) == sum(WINDOWS.values())
    for ref in refs:
        np.testing.assert_array_equal(first.item(ref), every.item(ref))
        np.testing.assert_array_equal(whole.item(ref), representation.prepare([read_record(ref.path).signal], 500)[0])
        assert first.windows(ref) == whole.windows(ref) == 1
    assert first.cropped(refs) == 3 and whole.cropped(refs) == 0
    assert {ref.record_id: first.remark(ref).cropped for ref in refs} == {"a": 0, "b": 0, "c": 0.3, "d": 6, "e": 26.1}


def test_an_interrupted_run_keeps_no_recording_without_all_its_windows(refs, tmp_path, monkeypatch):
    monkeypatch.setattr(item_cache, "ENCODE_BATCH", 2)
    representation, encoded = SMALL["codes"](), []
    prepare = representation.prepare

    def until(signals, fs):
        if len(encoded) >= 9:
            raise KeyboardInterrupt
        encoded.extend(signals)
        return prepare(signals, fs)

    monkeypatch.setattr(representation, "prepare", until)
    with pytest.raises(KeyboardInterrupt):
        prepared(representation, refs, tmp_path, seconds=SECONDS, every_window=True)
    monkeypatch.undo()
    folder = next((tmp_path / "cache").rglob("every-4.0s"))
    kept = item_cache.ItemCache(folder)
    assert [ref.record_id for ref in refs if ref in kept] == ["a", "b", "c", "d"] and len(kept) == 6
    kept.close()
    again = prepared(representation, refs, tmp_path, seconds=SECONDS, every_window=True)
    assert {ref.record_id: again.windows(ref) for ref in refs} == WINDOWS


@pytest.mark.parametrize(
    ("samples", "seconds"), [(5000, 10), (5001, 10), (5499, 10), (5501, 10), (60123, 10), (900, 7)]
)
def test_windows_cover_a_recording_up_to_a_tenth(samples, seconds):
    signal = np.tile(np.arange(samples, dtype=np.float32), (12, 1))
    record = ECGRecord(signal, 500, np.ones((12, samples), bool), "x")
    windows = windows_of(record, seconds)
    covered = np.unique(np.concatenate([window.signal[0] for window in windows]))
    assert {window.signal.shape[1] for window in windows} == {min(samples, 500 * seconds)}
    assert windows[0].signal[0, 0] == 0 and samples - len(covered) <= 0.1 * 500 * seconds
    assert len(windows) == 1 or windows[-1].signal[0, -1] == samples - 1
    assert windows_of(record, 0) == [record]
    assert np.array_equal(windows_of(record, seconds, every=False)[0].signal, windows[0].signal)


@pytest.mark.parametrize("name", SMALL)
def test_processes_that_read_and_encode_fill_the_same_cache(name, refs, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "FEW", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    representation, gone, encoders = SMALL[name](), RecordRef("gone", tmp_path / "gone"), []
    prepare = representation.prepare
    monkeypatch.setattr(representation, "prepare", lambda *given, **fs: encoders.append(1) or prepare(*given, **fs))
    filled = []
    for workers in (0, 2):
        settings = DataSettings(
            data_root=[tmp_path],
            output_dir=tmp_path,
            cache_dir=tmp_path / f"{workers}",
            workers=workers,
            device="cpu",
            max_bad_records=0.5,
        )
        filled.append(prepare_corpus(representation, [*refs, gone], settings, SECONDS, every_window=True))
        assert bool(encoders) == (not workers)  # in this process
        encoders.clear()
    alone, spread = filled
    assert alone.bad == spread.bad == {"gone"}
    for ref in refs:
        assert alone.windows(ref) == spread.windows(ref) and alone.remark(ref) == spread.remark(ref)
        for window in range(alone.windows(ref)):
            np.testing.assert_array_equal(alone.item(ref, window), spread.item(ref, window))
