"""Damaged files of every format are refused in one line, or read as the ECG that they still hold."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from bench.fuzz import Damage, damage, fuzz, judge
from bench.fuzz_files import SAMPLES, SCP_UNCHECKED, Region, Specimen, specimens
from bench.fuzz_reader import Answer, Reader

FILES = 50
FORMATS = ("csv", "npy", "npz", "hdf5", "wfdb", "edf", "edf+", "bdf", "dicom", "ishne", "scp", "mat")
FORMATS += (SCP_UNCHECKED, "aecg", "muse", "cardiosoft", "philips")


@pytest.fixture(scope="module")
def by_format(tmp_path_factory) -> dict[str, list[Specimen]]:
    found: dict[str, list[Specimen]] = {}
    for specimen in specimens(tmp_path_factory.mktemp("clean")):
        found.setdefault(specimen.format, []).append(specimen)
    return found


@pytest.fixture(scope="module")
def reader():
    with Reader() as started:
        yield started


def test_every_format_is_there(by_format):
    assert set(by_format) == set(FORMATS)


@pytest.mark.parametrize("kind", FORMATS)
def test_damage_is_refused_said_or_no_larger_than_what_was_damaged(kind, by_format, reader, tmp_path):
    results = [result for *_, result in fuzz(by_format[kind], FILES, 0, reader, tmp_path)]
    assert [result.text for result in results if result.outcome == "failures"] == []
    assert sum(result.outcome == "refused" for result in results) > FILES / 5


def test_an_undamaged_file_reads_as_itself(by_format, reader):
    for found in by_format.values():
        assert [reader.ask(each.path, each.path) for each in found] == [Answer("read")] * len(found)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer("read", "", 0), "unchanged"),
        (Answer("read", "", 3), "within"),
        (Answer("read", "Something is odd.", 4), "said"),
        (Answer("read", "", 4), "failures"),
        (Answer("refused", "record x: truncated"), "refused"),
        (Answer("traceback", "KeyError"), "failures"),
        (Answer("hang"), "failures"),
    ],
)
def test_an_answer_is_judged_by_what_was_damaged(answer, outcome):
    assert judge(Damage("bytes", b"", 3, frozenset({"label"})), answer, set()).outcome == outcome


def test_a_field_that_nothing_checks_is_counted_apart():
    result = judge(Damage("field", b"", 0, frozenset({"rate"})), Answer("read", "", 9), {"rate", "gain"})
    assert (result.outcome, result.fields) == ("unchecked field", {"rate"})


def test_damage_counts_the_samples_that_it_can_reach():
    data = bytes(range(100)) * 40
    regions = [Region(0, 100, "head"), Region(100, len(data), SAMPLES)]
    for seed in range(200):
        damaged = damage(data, regions, 1, np.random.default_rng(seed))
        if len(damaged.data) == len(data):
            changed = np.frombuffer(damaged.data, np.uint8) != np.frombuffer(data, np.uint8)
            assert damaged.samples == changed[100:].sum()
            assert damaged.fields == ({"head"} if changed[:100].any() else set())
        elif damaged.kind == "truncated":
            assert (damaged.samples, damaged.fields) == (0, {"length"})
        else:
            assert damaged.samples == abs(len(damaged.data) - len(data))


def test_a_process_that_does_not_answer_is_ended_and_another_one_reads_on(by_format, monkeypatch):
    clean = by_format["edf"][0].path
    with Reader() as reader:
        assert reader.ask(clean, clean).outcome == "read"
        os.kill(reader._process.pid, signal.SIGSTOP)
        monkeypatch.setattr("bench.fuzz_reader.SECONDS", 0.01)
        assert reader.ask(clean, clean).outcome == "hang"
        monkeypatch.undo()
        assert reader.ask(clean, clean).outcome == "read"


def test_a_missing_file_is_refused(by_format, reader):
    clean = by_format["edf"][0].path
    assert reader.ask(clean, Path("none.edf")) == Answer("refused", "record none.edf: no such file")
