"""Run a stage as a process of its own: measured, recorded, and not run again if it is done."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from cardiolect.model.comparison.plan import EVAL, TOKENIZER, Stage
from cardiolect.model.evaluation.result import RESULT
from cardiolect.model.llm.checkpoint_folder import INFO

POLL = 0.2  # seconds between two looks at a running stage
SAVE = 10  # seconds between two records of a running stage
WRITES = {TOKENIZER: "config.json", EVAL: RESULT}  # written when a stage is done; others write INFO
RESUMES = ("pretrain", "finetune")  # by RESUME=true; an evaluation goes on by itself


class StageError(Exception):
    """A stage ended with an exit code other than 0; the message is the last line it printed."""


class Used(NamedTuple):
    """What a process and its descendants used; peak_bytes: of the largest of them."""

    cpu_seconds: float
    peak_bytes: int


class Record(NamedTuple):
    """What is known of a run of a stage.

    run: its name, a new one each time. after: the runs whose output it begins with. seconds: wall time. cpu_seconds: of
    all its processes and threads. peak_bytes: resident memory of its largest process.
    """

    settings: Mapping[str, Any]
    run: str
    after: list[str]
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    finished: bool = False

    @classmethod
    def read(cls, path: Path) -> "Record | None":
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self._asdict(), indent=2) + "\n")


def files_of(stage: Stage, folder: Path) -> tuple[Path, Path]:
    """Where the record and the output of a stage lie."""
    return folder / f"{stage.name}.json", folder / f"{stage.name}.log"


def settings_of(stage: Stage) -> dict[str, Any]:
    return stage.settings.model_dump(mode="json")


def finished(stage: Stage, folder: Path, after: list[str]) -> Record | None:
    """The record of a stage that is done with the same settings, begins with the same runs and left its output."""
    record = _same(stage, folder, after)
    there = (stage.output_dir / WRITES.get(stage.command, INFO)).is_file()
    return record if record and record.finished and there else None


def _same(stage: Stage, folder: Path, after: list[str]) -> Record | None:
    """The record of a stage, done or not, if it was started with these settings and from these runs."""
    record = Record.read(files_of(stage, folder)[0])
    return record if record and record.settings == settings_of(stage) and record.after == after else None


def run_stage(stage: Stage, folder: Path, after: list[str]) -> Record:
    """Run a stage and measure it; one that was interrupted goes on if it begins with the same runs.

    Its output goes to a log in ``folder``. Raises `StageError`; on Ctrl-C the stage ends first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, log = files_of(stage, folder)
    environment = dict(os.environ)
    record = _same(stage, folder, after)
    saved = stage.command == EVAL or (stage.command in RESUMES and (stage.output_dir / "resume").is_dir())
    goes_on = record is not None and not record.finished and saved
    if not goes_on:
        record = Record(settings_of(stage), uuid4().hex, after)
    if stage.command in RESUMES:
        environment["RESUME"] = "true" if goes_on else "false"  # steps and checkpoint may be of other settings
    record.write(path)
    command = [sys.executable, "-m", "cardiolect", stage.command, str(stage.env_file)]
    with log.open("ab" if goes_on else "wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            code, used = _wait(process, lambda seconds: _save(record, seconds, path), log)
        finally:
            seconds = record.seconds + time.perf_counter() - started
    record = record._replace(
        seconds=seconds,
        cpu_seconds=record.cpu_seconds + used.cpu_seconds,
        peak_bytes=max(record.peak_bytes, used.peak_bytes),
        finished=code == 0,
    )
    record.write(path)
    if code:
        raise StageError(_last_line(log) or f"exit code {code}")
    return record


def _save(record: Record, seconds: float, path: Path) -> None:
    record._replace(seconds=record.seconds + seconds).write(path)


def _wait(process: subprocess.Popen, save: Callable[[float], None], log: Path) -> tuple[int, Used]:
    """Exit code of a process and what it and its descendants used; shows what it prints on a terminal."""
    started = saved = time.perf_counter()
    shows = sys.stderr.isatty()
    while True:
        try:
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                process.returncode = os.waitstatus_to_exitcode(status)
                if shows:
                    print("\r\033[K", end="", file=sys.stderr, flush=True)
                in_bytes = 1 if sys.platform == "darwin" else 1024
                return process.returncode, Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * in_bytes)
            if time.perf_counter() - saved > SAVE:
                saved = time.perf_counter()
                save(saved - started)
            if shows:
                print(f"\r\033[K{_last_line(log)[:110]}", end="", file=sys.stderr, flush=True)
            time.sleep(POLL)
        except KeyboardInterrupt:
            save(time.perf_counter() - started)
            process.wait()
            raise


def _last_line(log: Path) -> str:
    """The last line of a log that is not empty; a progress bar's newest state is a line of its own."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4000))
        lines = file.read().decode(errors="replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
