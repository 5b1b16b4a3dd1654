"""Fetches files over HTTP: sizes, lists, and one file at a time, resumed after a broken connection."""

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError, ReadTimeoutError

from cardiolect.data_provider.corpora.download.sources import RemoteFile
from cardiolect.utils.errors import UserError
from cardiolect.utils.servers import TEMPORARY, check_address, failure_reason, retry_after

TRIES = 5  # in a row without a new byte
WRONG = 3  # times that a file may arrive with a wrong checksum
TIMEOUT = (15, 30)  # seconds to connect, and between two chunks
CHUNK = 1 << 18
T = TypeVar("T")


class FileFailedError(Exception):
    """This file cannot be downloaded; others may still succeed."""


class StoppedError(Exception):
    """The run was stopped, by an error elsewhere or by the user."""


class _TemporaryError(Exception):
    """Worth another try, after ``wait`` seconds if the server says so."""

    def __init__(self, what: str, wait: float | None = None):
        super().__init__(what)
        self.wait = wait


class Server:
    """Files below one address. Each thread keeps its connection open, because a corpus has many small files.

    pause: seconds before the second try; doubled for each further one. Raises `UserError` if the address is neither
    https nor loopback.
    """

    def __init__(self, base: str, stop: threading.Event, pause: float = 1.0):
        self.base = base.rstrip("/")
        check_address(self.base, f"--base {base}")
        self.stop = stop
        self.pause = pause
        self._local = threading.local()

    def size(self, remote: str) -> int | None:
        """Size of a file in bytes; None if the server does not say."""

        def ask() -> int | None:
            with self._open("HEAD", quote(remote)) as response:
                length = response.headers.get("Content-Length", "")
                return int(length) if length.isdigit() else None

        try:
            return self._retry(ask, remote)
        except FileFailedError:
            return None  # the error is reported when the file itself is fetched

    def save(self, address: str, target: Path) -> None:
        """Fetch a list of files, which has no checksum. Raises `UserError` if that fails."""

        def fetch() -> None:
            with self._open("GET", address) as response, target.open("wb") as out:
                for chunk in self._chunks(response):
                    out.write(chunk)

        try:
            self._retry(fetch, address)
        except FileFailedError as error:
            raise UserError(f"{self.base}: {error}; is --base right?") from None

    def fetch(self, file: RemoteFile, part: Path, received: Callable[[int], None]) -> None:
        """Fetch a file into ``part``, resuming an earlier try, until it has the right checksum.

        received: called with the number of new bytes. Raises `FileFailedError` if the file cannot be fetched or its
        checksum stays wrong.
        """
        for _ in range(WRONG):
            if self._resume(file, part, received) == file.checksum:
                return
            part.unlink()
        raise FileFailedError(f"{file.path}: its checksum differs from the server's list, {WRONG} times")

    def _resume(self, file: RemoteFile, part: Path, received: Callable[[int], None]) -> str:
        """The checksum of ``part`` after the server has sent all of it."""
        digest = Checksum(file.checksum, file.size)
        if part.is_file():
            digest.read(part)
            if digest.text() == file.checksum:  # an earlier run ended just before renaming it
                return file.checksum
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as out:

            def fetch_rest() -> None:
                start = out.tell()
                with self._open("GET", quote(file.remote), start) as response:
                    if start and not _continues(response, start):
                        out.seek(0)
                        out.truncate()
                        digest.reset()
                        if response.status_code != 200:  # 416, or a range other than the requested one
                            raise _TemporaryError("the server does not resume from there")
                    for chunk in self._chunks(response):
                        out.write(chunk)
                        digest.update(chunk)
                        received(len(chunk))

            self._retry(fetch_rest, file.path, out.tell)
        return digest.text()

    def _retry(self, act: Callable[[], T], name: str, progress: Callable[[], int] = lambda: 0) -> T:
        """Call ``act``, and again after temporary failures; a try that brings new bytes is not counted."""
        tries = 0
        while True:
            before = progress()
            try:
                return act()
            except _TemporaryError as error:
                tries = 0 if progress() > before else tries + 1
                if tries >= TRIES:
                    raise UserError(
                        f"{self.base}: {name}: {error}, {TRIES} times; check the network, then run the same "
                        "command to resume"
                    ) from None
                wait = self.pause * 2 ** max(tries - 1, 0) if error.wait is None else error.wait
                if wait >= 1:
                    tqdm.write(f"{name}: {error}; retrying in {wait:.0f} s", file=sys.stderr)
                if self.stop.wait(wait):
                    raise StoppedError from None

    def _open(self, method: str, address: str, start: int = 0) -> requests.Response:
        """A response to read. Raises `_TemporaryError`, `FileFailedError`, and `UserError` for unsafe redirects."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            response = self._session().request(
                method, f"{self.base}/{address}", headers=headers, stream=True, timeout=TIMEOUT, allow_redirects=True
            )
        except requests.RequestException as error:
            raise _TemporaryError(failure_reason(error)) from None
        for step in [*response.history, response]:
            check_address(step.url, f"{self.base}/{address} is redirected to {step.url}")
        status = response.status_code
        if status in (200, 206, 416):
            return response
        response.close()
        if status in TEMPORARY:
            raise _TemporaryError(f"the server returned {status}", retry_after(response))
        raise FileFailedError(f"{address}: the server returned {status} {response.reason}")

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """The body as it arrives; unlike ``iter_content``, keeps what came before a connection broke."""
        try:
            while chunk := response.raw.read1(CHUNK, decode_content=False):
                if self.stop.is_set():
                    raise StoppedError
                yield chunk
        except ReadTimeoutError:
            raise _TemporaryError("no answer in time") from None
        except HTTPError:
            raise _TemporaryError("the connection broke") from None

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            session = requests.Session()
            # No compression in transit, because checksums are those of the files. Zenodo asks clients for a name of
            # their own and slows down those that have a library's.
            session.headers.update(
                {
                    "Accept-Encoding": "identity",
                    "User-Agent": "Cardiolect/0.1 cardiolect.data_provider.corpora.download",
                }
            )
            session.trust_env = urlsplit(self.base).scheme == "https"  # no proxy for loopback addresses
            self._local.session = session
        return self._local.session


class Checksum:
    """A running "algorithm:digest": sha256, md5, or git (SHA-1 of a header with the size, then the bytes)."""

    def __init__(self, like: str, size: int | None = None):
        self._name = like.partition(":")[0]
        self._size = size
        self.reset()

    def reset(self) -> None:
        self._hash = hashlib.new("sha1" if self._name == "git" else self._name, usedforsecurity=False)
        if self._name == "git":
            self._hash.update(b"blob %d\0" % self._size)

    def update(self, data: bytes) -> None:
        self._hash.update(data)

    def read(self, path: Path) -> None:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                self._hash.update(chunk)

    def text(self) -> str:
        return f"{self._name}:{self._hash.hexdigest()}"


def _continues(response: requests.Response, start: int) -> bool:
    return response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
