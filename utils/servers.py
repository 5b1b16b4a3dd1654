"""Which addresses are safe to ask, and what of a server's failures may pass."""

import errno
import socket
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from cardiolect.utils.errors import UserError

PASSING = {408, 425, 429, 500, 502, 503, 504}  # worth another try
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def check_address(url: str, what: str) -> None:
    """Raise `UserError`, which begins with ``what``, where an address is neither https nor loopback."""
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")
    except ValueError:  # UnicodeError is one: a name with a part that is empty or too long
        raise UserError(f"{what}: is no address") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise UserError(f"{what}: only https, or http on this machine, is accepted")


def check_free(host: str, port: int) -> None:
    """Raise `UserError` where nothing can listen; port 0 is any free one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise UserError(f"--host {host}: no address of this machine") from None
    try:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port} of {host} is not free; choose another") from None
        raise UserError(f"--host {host}, --port {port}: cannot be listened at ({error.strerror})") from None


def check_key(key: str, name: str) -> None:
    """Raise `UserError` where a key, known to the user as ``name``, can be none."""
    if not (key.isascii() and key.isprintable()) or key != key.strip():
        raise UserError(f"{name} has characters that no key has, perhaps a line end")


def signed_session(url: str, key: str = "") -> requests.Session:
    """A session that sends ``key`` as a bearer token, to be used with the server at ``url`` alone."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if key:
            request.headers["Authorization"] = f"Bearer {key}"
        return request

    session = requests.Session()
    session.auth = sign  # else a .netrc would take the key's place
    session.trust_env = urlsplit(url).scheme == "https"  # no proxy stands before loopback
    return session


def retry_after(response: requests.Response) -> float | None:
    """Seconds that a server asks to wait; None where it does not say, or not readably."""
    told = response.headers.get("Retry-After")
    try:
        return None if told is None else Retry().parse_retry_after(told)
    except InvalidHeader:
        return None


def failure_reason(error: requests.RequestException) -> str:
    """What kept an answer from coming, in a few words and without the address."""
    if isinstance(error, requests.exceptions.SSLError):
        return "no secure connection"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "no connection"
