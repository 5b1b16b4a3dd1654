"""Recordings that cannot be read, listed beside the codes: known for the next run, and for whoever mends them."""

import fcntl
import json
import re
from contextlib import suppress
from pathlib import Path

from cardiolect.data_provider.storage.shards import write_whole

# Reasons that lie with the disk or the machine, not with the file: such recordings are tried again.
PASSING = re.compile("cannot be read|does not fit in memory")


class BadRecords:
    """``bad_records.jsonl`` of a code cache: one recording per line with its id, the reason, and the key of its files.

    Several processes may write it. Deleting it makes every recording be tried again.
    """

    def __init__(self, folder: Path):
        self.path = folder / "bad_records.jsonl"
        self._lines = self._read()
        self._new: dict[int, dict] = {}
        self._listed = {line["record"] for line in self._lines.values()}
        self._mended: set[str] = set()

    def reason(self, key: int) -> str:
        """Why the recording of this key cannot be read; "" where that is not known, or may have passed."""
        reason = self._lines[key]["reason"] if key in self._lines else ""
        return "" if PASSING.match(reason) else reason

    def add(self, record_id: str, key: int, reason: str) -> None:
        self._new[key] = {"record": record_id, "reason": reason, "key": f"{key:016x}"}

    def mended(self, record_id: str) -> None:
        """The recording was read after all."""
        if record_id in self._listed:
            self._mended.add(record_id)

    def save(self) -> None:
        """Put what is new into the file, beside what other processes have put there."""
        if not self._new and not self._mended:
            return
        with open(self.path.with_name("bad_records.lock"), "a+") as lock:
            with suppress(OSError):  # a file system without locks: at worst a bad recording is read again
                fcntl.flock(lock, fcntl.LOCK_EX)
            lines = {**self._read(), **self._new}
            kept = [line for line in lines.values() if line["record"] not in self._mended]
            write_whole(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self._new, self._mended = {}, set()

    def _read(self) -> dict[int, dict]:
        lines = {}
        with suppress(OSError):
            for text in self.path.read_text().splitlines():
                with suppress(ValueError, KeyError, TypeError):
                    line = json.loads(text)
                    lines[int(line["key"], 16)] = {name: str(line[name]) for name in ("record", "reason", "key")}
        return lines
