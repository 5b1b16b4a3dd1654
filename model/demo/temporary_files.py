"""The demo's private folder of temporary files: how much may be uploaded to it, and when files are deleted."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # comes with Gradio, which is optional
    from starlette.responses import PlainTextResponse
    from starlette.types import ASGIApp, Receive, Scope, Send

LIFETIME_SECONDS = 900.0


def stored_bytes(folder: Path) -> int:
    """Total size of all files, including uploads in progress."""
    return sum(stat.st_size for _, stat in _files(folder))


class Sweeper:
    """Deletes files 15 minutes after they were last written, except those that exist already when it starts.

    Gradio itself deletes only completed uploads.
    """

    def __init__(self, folder: Path, lifetime: float = LIFETIME_SECONDS, interval: float = 30.0):
        self.folder, self.lifetime = folder, lifetime
        self.permanent = {path for path, _ in _files(folder)}  # the pictures that the page starts with
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(interval,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def sweep(self) -> None:
        cutoff = time.time() - self.lifetime
        for path, stat in _files(self.folder):
            if path not in self.permanent and stat.st_ctime <= cutoff:
                path.unlink(missing_ok=True)
                if path.parent != self.folder:
                    with suppress(OSError):  # not empty
                        path.parent.rmdir()

    def _run(self, interval: float) -> None:
        while not self._closed.wait(interval):
            self.sweep()


class UploadLimit:
    """ASGI middleware that refuses a request before its body is read if it is too large or the folder is full.

    Gradio limits only the size of each file, and a request may hold a thousand.

    max_bytes: of one request. max_stored: bytes of the files of all visitors in ``folder``.
    """

    def __init__(self, app: "ASGIApp", max_bytes: int, folder: Path, max_stored: int):
        self.app, self.max_bytes = app, max_bytes
        self.folder, self.max_stored = folder, max_stored

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, send)

    def _refusal(self, scope: "Scope") -> "PlainTextResponse | None":
        from starlette.responses import PlainTextResponse

        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        headers = dict(scope["headers"])
        size = headers.get(b"content-length", b"0")
        if b"transfer-encoding" in headers or not size.isdigit() or int(size) > self.max_bytes:
            message = f"larger than {self.max_bytes // 2**20} MB: upload one recording, or a shorter part of it"
            return PlainTextResponse(message, status_code=413)
        if scope["path"].endswith("/upload") and stored_bytes(self.folder) + int(size) > self.max_stored:
            return PlainTextResponse("too many uploads at the moment: try again in 15 minutes", status_code=503)
        return None


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            with suppress(FileNotFoundError):  # deleted in the meantime
                yield path, path.lstat()
