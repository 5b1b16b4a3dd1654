"""Progress in a file: whole lines, few of them, without control characters."""

import re

import pytest

from cardiolect.utils import progress as module
from cardiolect.utils.progress import LOG, StepLog, progress, time_in_words


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets forward; nothing here is a terminal."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: False, raising=False)
    return now


def test_a_line_comes_twice_a_minute_and_at_the_end(clock, capsys):
    for _ in progress(range(100), desc="encoding", unit="ECG", mininterval=1):
        clock[0] += 1.0
    assert capsys.readouterr().err.splitlines() == [
        "encoding: 30 of 100 (30%), 1.0 ECG/s, 70 s left",
        "encoding: 60 of 100 (60%), 1.0 ECG/s, 40 s left",
        "encoding: 90 of 100 (90%), 1.0 ECG/s, 10 s left",
        "encoding: 100 of 100 (100%), 1.0 ECG/s",
    ]


def test_short_work_and_other_ranks_print_nothing(clock, capsys):
    for _ in progress(range(20)):
        clock[0] += 1.0
    for _ in progress(range(100), disable=True):
        clock[0] += 1.0
    assert capsys.readouterr().err == ""


def test_what_was_done_before_counts_as_done_and_not_as_fast(clock, capsys):
    with progress(total=100, initial=60, desc="no_ecg", unit="answer") as bar:
        for _ in range(2):
            clock[0] += 40.0
            bar.update(10)
    assert capsys.readouterr().err.splitlines() == [
        "no_ecg: 70 of 100 (70%), 4.0 s per answer, 2 min left",
        "no_ecg: 80 of 100 (80%), 4.0 s per answer, 80 s left",
    ]


def test_a_generator_has_no_end_and_an_error_ends_the_lines(clock, capsys):
    with pytest.raises(ValueError):
        for number in progress(iter(range(100)), "reading", unit="ECG"):
            clock[0] += 20.0
            if number == 2:
                raise ValueError
    assert capsys.readouterr().err == "reading: 2, 20.0 s per ECG\n"


def test_training_is_logged_in_its_folder_and_a_resumed_run_goes_on_in_the_same_file(clock, tmp_path, capsys):
    log = StepLog(tmp_path, "training", 200)
    clock[0] += 50.0
    log.trained(100, "loss 0.93")
    log.validated(100, "validation loss 0.81, the lowest so far")
    log.close()
    log = StepLog(tmp_path, "training", 200, after=100)
    clock[0] += 60.0
    log.trained(150, "loss 0.72")
    log.trained(200, "loss 0.69")
    log.close()
    lines = [
        "training: 200 steps",
        "step 100 of 200: loss 0.93, 50 s left",
        "step 100 of 200: validation loss 0.81, the lowest so far",
        "training: 200 steps, going on after step 100",
        "step 150 of 200: loss 0.72, 60 s left",
        "step 200 of 200: loss 0.69",
    ]
    assert capsys.readouterr().err.splitlines() == lines
    written = (tmp_path / LOG).read_text().splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "", line) for line in written] == lines


def test_a_terminal_has_a_bar_and_the_file_has_the_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: True, raising=False)
    log = StepLog(tmp_path, "training", 2)
    for step in (1, 2):
        log.step(step)
        log.trained(step, f"loss {step}")
    log.validated(2, "validation loss 3")
    log.close()
    shown = capsys.readouterr().err
    assert "2/2" in shown and "loss 2" in shown and "step 2 of 2: validation loss 3\n" in shown
    assert "step 1 of 2" not in shown and "step 1 of 2: loss 1" in (tmp_path / LOG).read_text()


def test_times_are_said_as_people_say_them():
    assert [time_in_words(s) for s in (3.4, 89, 100, 5000, 5400, 12000)] == [
        "3 s",
        "89 s",
        "2 min",
        "83 min",
        "1 h 30 min",
        "3 h 20 min",
    ]
