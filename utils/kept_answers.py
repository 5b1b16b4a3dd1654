"""Answers of language models on disk: JSON lines, each written immediately, so that a killed run loses none."""

import errno
import fcntl
import json
import os
import threading
from pathlib import Path
from typing import Any, Self

from cardiolect.utils.errors import UserError


class KeptAnswers:
    """Answers by key, including those of earlier runs. A context manager; only one process at a time may use a file.

    what: what an answer is called, such as "verdict". An incomplete last line, left by a killed run, is cut off.
    Raises `UserError` if another run uses the file, and for lines that are not answers.
    """

    def __init__(self, path: Path, what: str):
        self.path, self.what = path, what
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b", buffering=0)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from None
        try:
            self._by_key = self._read()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()  # this also releases the lock

    def get(self, key: str) -> dict[str, Any] | None:
        with self._lock:
            return self._by_key.get(key)

    def add(self, key: str, answer: dict[str, Any]) -> None:
        line = json.dumps({"key": key, **answer}).encode() + b"\n"
        with self._lock:
            try:
                if self._file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(self._file.fileno())
            except OSError as error:
                raise UserError(f"{self.path}: cannot be written: {error.strerror}") from None
            self._by_key[key] = answer

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{self.path}: another run is using it; wait for that run, or choose another file"
            ) from None
        self._file.seek(0)
        data = self._file.read()
        whole = data.rfind(b"\n") + 1
        self._file.truncate(whole)
        found = {}
        for number, line in enumerate(data[:whole].splitlines(), 1):
            try:
                answer = json.loads(line)
                found[answer.pop("key")] = answer
            except (ValueError, KeyError, AttributeError, TypeError):
                raise UserError(
                    f"{self.path}: line {number} is not a {self.what}; delete it to request it again"
                ) from None
        return found
