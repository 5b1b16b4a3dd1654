"""A cache's list of unreadable recordings, for the next run and for people who repair them."""

import fcntl
import json
import re
from contextlib import suppress
from pathlib import Path

from cardiolect.data_provider.storage.shards import write_whole

# Failures of the disk or machine rather than the file; such recordings are tried again.
TEMPORARY = re.compile("cannot be read|does not fit in memory")


class BadRecords:
    """``bad_records.jsonl`` of a code cache: one recording per line with its id, the reason, and the key of its files.

    Several processes may write it. After deleting it, every recording is tried again.
    """

    def __init__(self, folder: Path):
        self.path = folder / "bad_records.jsonl"
        self._lines = self._read()
        self._new: dict[int, dict] = {}
        self._known_ids = {line["record"] for line in self._lines.values()}
        self._readable_again: set[str] = set()

    def reason(self, key: int) -> str:
        """Why the recording with this key cannot be read; "" if it is not listed, or the failure was temporary."""
        reason = self._lines[key]["reason"] if key in self._lines else ""
        return "" if TEMPORARY.match(reason) else reason

    def add(self, record_id: str, key: int, reason: str) -> None:
        self._new[key] = {"record": record_id, "reason": reason, "key": f"{key:016x}"}

    def remove(self, record_id: str) -> None:
        """Remove a recording from the list, because it could be read after all."""
        if record_id in self._known_ids:
            self._readable_again.add(record_id)

    def save(self) -> None:
        """Merge the changes into the file, which other processes may have changed as well."""
        if not self._new and not self._readable_again:
            return
        with open(self.path.with_name("bad_records.lock"), "a+") as lock:
            with suppress(OSError):  # without file locks, at worst a bad recording is read again
                fcntl.flock(lock, fcntl.LOCK_EX)
            lines = {**self._read(), **self._new}
            kept = [line for line in lines.values() if line["record"] not in self._readable_again]
            write_whole(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self._new, self._readable_again = {}, set()

    def _read(self) -> dict[int, dict]:
        lines = {}
        with suppress(OSError):
            for text in self.path.read_text().splitlines():
                with suppress(ValueError, KeyError, TypeError):
                    line = json.loads(text)
                    lines[int(line["key"], 16)] = {name: str(line[name]) for name in ("record", "reason", "key")}
        return lines
