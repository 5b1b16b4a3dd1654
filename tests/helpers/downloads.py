"""A server of corpora that fails as servers do, and downloads from it."""

import hashlib
import sys
import time
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cardiolect.data_provider.corpora.download.fetch import download
from tests.helpers.servers import LoopbackHandler, LoopbackServer


class FileServer(LoopbackServer):
    """Serves ``files`` on loopback; what it does wrong is set by path: how often, and it counts what it sends."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.base = self.address
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.breaks: Counter[str] = Counter()  # ends the connection in the middle
        self.hangs: Counter[str] = Counter()  # sends half, then nothing more
        self.damages: Counter[str] = Counter()  # sends other bytes
        self.refusals: dict[str, list[tuple[int, dict]]] = {}  # status and headers, one after the other
        self.requests: list[tuple[str, str, str]] = []  # method, path, Range
        self.sent: Counter[str] = Counter()  # bytes of bodies

    def fetched(self) -> list[str]:
        return [path for method, path, _ in self.requests if method == "GET"]


class Handler(LoopbackHandler):
    server: FileServer

    def do_HEAD(self) -> None:  # noqa: N802 - its name in http.server
        self.answer(body=False)

    def do_GET(self) -> None:  # noqa: N802 - its name in http.server
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        it, path, wanted = self.server, unquote(urlsplit(self.path).path).lstrip("/"), self.headers.get("Range", "")
        it.requests.append((self.command, path, wanted))
        if body and it.refusals.get(path):
            return self.head(*it.refusals[path].pop(0))
        if path not in it.files:
            return self.head(404, {})
        data, status, headers = it.files[path], 200, {}
        if wanted and it.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            status, headers = 206, {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
            data = data[start:]
        self.head(status, headers, len(data))
        if not body:
            return None
        if it.damages[path] > 0:
            it.damages[path] -= 1
            data = bytes([data[0] ^ 255]) + data[1:]
        part = len(data) // 2 if it.breaks[path] > 0 or it.hangs[path] > 0 else len(data)
        self.wfile.write(data[:part])
        it.sent[path] += part
        if it.hangs[path] > 0:
            it.hangs[path] -= 1
            self.wfile.flush()
            time.sleep(10)
            self.close_connection = True
        if it.breaks[path] > 0:
            it.breaks[path] -= 1
            self.close_connection = True
        return None


def physionet(server: FileServer, project: str, files: dict[str, bytes]) -> None:
    """Serve files and their SHA256SUMS.txt as PhysioNet does."""
    sums = "".join(f"{hashlib.sha256(data).hexdigest()} {path}\n" for path, data in sorted(files.items()))
    server.files |= {f"{project}/{path}": data for path, data in files.items()}
    server.files[f"{project}/SHA256SUMS.txt"] = sums.encode()


def get(server: FileServer, out: Path, name: str = "ptb-xl", **options) -> bool:
    return download(name, out, base=server.base, pause=0.01, **options)


SIGNAL = "records500/00000/00002_hr.dat"
URL = f"ptb-xl/1.0.3/{SIGNAL}"


def command(server: FileServer, out: Path, *options: str, name: str = "ptb-xl") -> list[str]:
    module = [sys.executable, "-m", "cardiolect.data_provider.corpora.download"]
    return [*module, name, "--out", str(out), "--base", server.base, *options]
