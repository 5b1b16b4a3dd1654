"""A process that reads damaged files one after the other: a file that hangs it or takes its memory ends nothing else.

``python -m bench.fuzz_reader`` takes a line of JSON for each file and answers with one; `Reader` starts and asks it.
"""

import json
import os
import resource
import select
import subprocess
import sys
import traceback
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.record import LEADS, ECGRecord

SECONDS = 20.0  # a file may take
MEMORY = 1 << 30  # bytes beyond what the process has after its imports
LONGEST_LINE = 500
_TOLERANCE_MV = 1e-6


class Answer(NamedTuple):
    """What reading a file came to.

    outcome: "read", "refused", or how it failed. text: the error, or what is said of the ECG and not of the undamaged
    one. differing: samples of recorded leads that are not those of the undamaged file; all of them if rate or length
    differ.
    """

    outcome: str
    text: str = ""
    differing: int = 0


class Reader:
    """Asks a process to read files, and starts another one after it had to be ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def ask(self, clean: Path, damaged: Path) -> Answer:
        """How the damaged file reads, compared with the clean one."""
        if self._process is None:
            command = [sys.executable, "-m", "bench.fuzz_reader"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
            self._line(120)  # it says when its imports are done
        try:
            self._process.stdin.write(json.dumps([str(clean), str(damaged)]).encode() + b"\n")
            return Answer(*json.loads(self._line(SECONDS)))
        except TimeoutError:
            self._end()
            return Answer("hang", f"took more than {SECONDS:g} s")
        except (OSError, ValueError):
            code = self._process.wait()
            self._process = None
            return Answer("crash", f"the process ended with {code}")

    def _line(self, seconds: float) -> bytes:
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            raise TimeoutError
        return self._process.stdout.readline()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def answer(clean: Path, damaged: Path) -> Answer:
    """Read a damaged file in this process."""
    try:
        record = read_record(damaged)
    except RecordError as error:
        line = str(error).replace(str(damaged), damaged.name)
        if "does not fit in memory" in line:
            return Answer("memory", line)
        if not line.isprintable() or len(line) > LONGEST_LINE:
            return Answer("not one line", line[:1000])
        return Answer("refused", line)
    except MemoryError:
        return Answer("memory", "MemoryError")
    except Exception:
        return Answer("traceback", traceback.format_exc()[-1000:])
    return _compared(_read_once(clean), record)


@lru_cache(maxsize=4)
def _read_once(path: Path) -> ECGRecord:
    return read_record(path)


def _compared(clean: ECGRecord, record: ECGRecord) -> Answer:
    before = clean.remarks()
    said = " ".join(remark for remark in record.remarks() if remark not in before)
    if not said.isprintable():
        return Answer("not one line", said[:1000])
    recorded = [row for row, lead in enumerate(LEADS) if lead not in clean.computed]
    if record.signal.shape != clean.signal.shape or record.fs != clean.fs:
        return Answer("read", said, len(recorded) * clean.signal.shape[1])
    differs = (np.abs(record.signal - clean.signal) > _TOLERANCE_MV) | (record.good != clean.good)
    return Answer("read", said, int(differs[recorded].sum()))


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # what libraries print must not pass for an answer
    os.dup2(quiet, 2)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print("ready", file=answers)
    for line in sys.stdin:
        print(json.dumps(answer(*map(Path, json.loads(line)))), file=answers)


if __name__ == "__main__":
    main()
