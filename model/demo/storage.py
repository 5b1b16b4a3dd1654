"""The private folder of the demo's files: how much lies there, and for how long."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

KEPT_SECONDS = 900.0


def stored_bytes(folder: Path) -> int:
    """Of all files together, those that are still coming included."""
    return sum(stat.st_size for _, stat in _files(folder))


class Sweeper:
    """Deletes every file that came or was made later than this, a quarter of an hour after it was last written.

    Gradio itself would delete only uploads that came whole.
    """

    def __init__(self, folder: Path, seconds: float = KEPT_SECONDS, every: float = 30.0):
        self.folder, self.seconds = folder, seconds
        self.kept = {path for path, _ in _files(folder)}  # the pictures that the page begins with
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(every,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._end.set()
        self._thread.join()

    def sweep(self) -> None:
        old = time.time() - self.seconds
        for path, stat in _files(self.folder):
            if path not in self.kept and stat.st_ctime <= old:
                path.unlink(missing_ok=True)
                if path.parent != self.folder:
                    with suppress(OSError):  # where others are in it
                        path.parent.rmdir()

    def _run(self, every: float) -> None:
        while not self._end.wait(every):
            self.sweep()


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            with suppress(FileNotFoundError):  # where somebody else has deleted it
                yield path, path.lstat()
