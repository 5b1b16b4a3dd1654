"""A request that is larger than any upload may be, or finds the folder full, is refused before its body is read."""

from pathlib import Path

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from cardiolect.model.demo.storage import stored_bytes


class BodyLimit:
    """ASGI middleware; Gradio's own limit is per file, and a request may bring a thousand.

    max_stored: bytes of the files of all visitors in ``folder``.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, folder: Path, max_stored: int):
        self.app, self.max_bytes = app, max_bytes
        self.folder, self.max_stored = folder, max_stored

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        headers = dict(scope["headers"])
        size = headers.get(b"content-length", b"0")
        if b"transfer-encoding" in headers or not size.isdigit() or int(size) > self.max_bytes:
            line = f"larger than {self.max_bytes // 2**20} MB: choose one recording, or cut it"
            return PlainTextResponse(line, status_code=413)
        if scope["path"].endswith("/upload") and stored_bytes(self.folder) + int(size) > self.max_stored:
            return PlainTextResponse("too many uploads at once: come again in a quarter of an hour", status_code=503)
        return None
