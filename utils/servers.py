"""Shared by all clients of servers: safe addresses and keys, temporary failures, and OpenAI's chat protocol."""

import errno
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from cardiolect.utils.errors import UserError

TEMPORARY = {408, 425, 429, 500, 502, 503, 504}  # status codes worth another try
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def check_address(url: str, what: str) -> None:
    """Raise `UserError`, with a message that begins with ``what``, if an address is neither https nor loopback."""
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")
    except ValueError:  # including UnicodeError: an empty or too long part of a host name
        raise UserError(f"{what}: is not an address") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise UserError(f"{what}: only https, or http on this machine, is accepted")


def check_free(host: str, port: int) -> None:
    """Raise `UserError` if no server can listen there; port 0 means any free port."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise UserError(f"--host {host}: not an address of this machine") from None
    try:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port} on {host} is in use; choose another") from None
        raise UserError(f"--host {host}, --port {port}: cannot listen there ({error.strerror})") from None


def check_key(key: str, name: str) -> None:
    """Raise `UserError` if ``key``, called ``name`` in the message, cannot be a key."""
    if not (key.isascii() and key.isprintable()) or key != key.strip():
        raise UserError(f"{name} contains characters that are invalid in a key, perhaps a line break")


def check_endpoint(url: str, what: str, key: str, key_name: str) -> None:
    """Raise `UserError` if a chat endpoint has an unsafe address, a key within the address, or an invalid key."""
    if set(url) & set("@?#"):
        raise UserError(f"{what} must be a plain address without user, query or fragment; put a key into {key_name}")
    check_address(url, f"{what} {url}")
    check_key(key, key_name)


def post_chat(session: requests.Session, url: str, body: Mapping[str, Any], **options: Any) -> requests.Response:
    """Send a request in OpenAI's chat protocol to the endpoint at ``url``; redirections are not followed."""
    return session.post(f"{url.rstrip('/')}/chat/completions", json=body, allow_redirects=False, **options)


def refusal_cause(status: int) -> str | None:
    """The cause of a status with which an endpoint refuses every request: "key", "address" or None."""
    if status in (401, 403):
        return "key"
    return "address" if status in (404, 405) or 300 <= status < 400 else None


def signed_session(url: str, key: str = "") -> requests.Session:
    """A session that sends ``key`` as a bearer token; use it with the server at ``url`` only."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if key:
            request.headers["Authorization"] = f"Bearer {key}"
        return request

    session = requests.Session()
    session.auth = sign  # otherwise a .netrc file would replace the key
    session.trust_env = urlsplit(url).scheme == "https"  # no proxy for loopback addresses
    return session


def retry_after(response: requests.Response) -> float | None:
    """Seconds that the server asks to wait; None if it does not say, or the header cannot be parsed."""
    value = response.headers.get("Retry-After")
    try:
        return None if value is None else Retry().parse_retry_after(value)
    except InvalidHeader:
        return None


def failure_reason(error: requests.RequestException) -> str:
    """Why there is no answer, in a few words and without the address."""
    if isinstance(error, requests.exceptions.SSLError):
        return "no secure connection"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "no connection"
