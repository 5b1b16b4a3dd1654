"""A request larger than any upload may be is refused before its body is read."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class BodyLimit:
    """ASGI middleware; Gradio's own limit is per file, and a request may bring a thousand."""

    def __init__(self, app: ASGIApp, max_bytes: int):
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            headers = dict(scope["headers"])
            size = headers.get(b"content-length", b"0")
            if b"transfer-encoding" in headers or not size.isdigit() or int(size) > self.max_bytes:
                line = f"larger than {self.max_bytes // 2**20} MB: choose one recording, or cut it"
                await PlainTextResponse(line, status_code=413)(scope, receive, send)
                return
        await self.app(scope, receive, send)
