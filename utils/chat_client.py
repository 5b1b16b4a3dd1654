"""A client of language models: sends requests in OpenAI's chat protocol, with retries, and keeps every answer."""

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import requests

from cardiolect.utils.errors import UserError
from cardiolect.utils.kept_answers import KeptAnswers
from cardiolect.utils.progress import progress
from cardiolect.utils.servers import (
    TEMPORARY,
    check_endpoint,
    failure_reason,
    post_chat,
    refusal_cause,
    retry_after,
    signed_session,
)

TRIES = 5
MAX_WAIT = 120.0  # seconds before the next try, even if the server asks for more
READS = 3  # tries to get a well-formed reply
MOST_UNREACHABLE = 8  # requests in a row; then the run stops, since the endpoint is down


class NoReplyError(Exception):
    """This request got no reply; others may still get one."""


class UnreachableError(NoReplyError):
    """The endpoint failed at every try, and may fail for all requests."""


class MalformedError(Exception):
    """A reply that does not have the format it was asked for in."""


class StoppedError(Exception):
    """The run was stopped while a request was waiting."""


@dataclass(frozen=True)
class ChatEndpoint:
    """Address, model and key of a language model. Subclasses say what it is (``role``) and the ``prefix`` of its keys.

    url: the address without "/chat/completions", such as "https://api.openai.com/v1"; https, or http on this machine.
    key: sent as a bearer token to that address only; redirections are refused. timeout: seconds without a byte.
    pause: seconds before the second try, doubled for each further one, unless the server gives a time.
    """

    role: ClassVar[str]
    prefix: ClassVar[str]

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 120.0
    pause: float = 1.0

    def __post_init__(self) -> None:
        if not self.model:
            raise UserError(f"{self.role} needs a model; set {self.prefix}_MODEL")
        check_endpoint(self.url, f"{self.prefix}_URL", self.key, f"{self.prefix}_KEY")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, **options: float) -> Self:
        """The endpoint from PREFIX_URL, PREFIX_MODEL and, if it needs a key, PREFIX_KEY."""
        url, model, key = (f"{cls.prefix}_{name}" for name in ("URL", "MODEL", "KEY"))
        if missing := [name for name in (url, model) if not environment.get(name)]:
            raise UserError(f"{cls.role} needs {' and '.join(missing)} in the environment")
        return cls(environment[url], environment[model], environment.get(key, ""), **options)


class ChatClient:
    """Requests to one endpoint from several threads, each with its own connection, until ``stop`` is set."""

    def __init__(self, endpoint: ChatEndpoint, stop: threading.Event):
        self.endpoint = endpoint
        self.stop = stop
        self._local = threading.local()

    def ask(self, body: Mapping[str, Any]) -> tuple[str, str]:
        """The text of the reply, and the model that produced it according to the server.

        Raises `NoReplyError`, `UnreachableError` after `TRIES`, `StoppedError`, and `UserError` if no request can
        succeed: the key is refused, or the address is not that of an endpoint.
        """
        for tries in range(1, TRIES + 1):
            try:
                response = post_chat(self._session(), self.endpoint.url, body, timeout=self.endpoint.timeout)
            except requests.RequestException as error:
                reason, wait = failure_reason(error), None
            else:
                if response.status_code not in TEMPORARY:
                    return self._read(response)
                reason, wait = f"the server returned {response.status_code}", retry_after(response)
            if tries < TRIES:
                wait = self.endpoint.pause * 2 ** (tries - 1) if wait is None else wait
                if self.stop.wait(min(wait, MAX_WAIT)):
                    raise StoppedError
        raise UnreachableError(f"{reason}, {TRIES} times")

    def _read(self, response: requests.Response) -> tuple[str, str]:
        status = response.status_code
        if cause := refusal_cause(status):
            prefix = self.endpoint.prefix
            hint = f"{prefix}_KEY" if cause == "key" else f"{prefix}_URL and {prefix}_MODEL"
            raise UserError(f"{prefix}_URL {self.endpoint.url}: the server returned {status}; check {hint}")
        if status != 200:  # a failure of this request only: too long, filtered
            raise NoReplyError(f"the server returned {status}")
        try:
            reply = response.json()
            text, model = reply["choices"][0]["message"]["content"], reply.get("model")
        except (ValueError, LookupError, TypeError, AttributeError):
            text, model = None, None
        return (text if isinstance(text, str) else "", model if isinstance(model, str) else "")

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = signed_session(self.endpoint.url, self.endpoint.key)
        return self._local.session


def answer_all(
    endpoint: ChatEndpoint,
    bodies: Mapping[str, Mapping[str, Any]],
    kept: KeptAnswers,
    read: Callable[[str, str], Mapping[str, Any]],
    threads: int,
    what: str,
) -> dict[str, Exception]:
    """Send all ``bodies``, by key, and keep what ``read`` makes of each reply and of the model that the server names.

    read: raises `MalformedError` for a reply in another format, which is requested again. what: names the progress.
    Returns key -> error of those that failed. Raises `UserError` if the endpoint is down or refuses every request.
    """
    failures: dict[str, Exception] = {}
    if not bodies:
        return failures
    where = f"{endpoint.model} at {endpoint.url}"
    print(f"{len(bodies):,} requests to {where}, {kept.what}s to {kept.path}", flush=True)
    stop, unreachable = threading.Event(), 0
    client = ChatClient(endpoint, stop)
    pool = ThreadPoolExecutor(threads)
    try:
        running = {pool.submit(_answer, client, key, body, kept, read): key for key, body in bodies.items()}
        for done in progress(as_completed(running), what, len(running), unit="answer", leave=False):
            try:
                done.result()
                unreachable = 0
            except (NoReplyError, MalformedError) as error:
                failures[running[done]] = error
                unreachable = unreachable + 1 if isinstance(error, UnreachableError) else 0
            if unreachable == MOST_UNREACHABLE:
                raise UserError(
                    f"{endpoint.prefix}_URL {endpoint.url}: {failures[running[done]]}, for {unreachable} items in a "
                    f"row; {kept.path} keeps the {kept.what}s so far; run the same command to resume"
                )
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    return failures


def _answer(
    client: ChatClient,
    key: str,
    body: Mapping[str, Any],
    kept: KeptAnswers,
    read: Callable[[str, str], Mapping[str, Any]],
) -> None:
    for reads in range(1, READS + 1):
        if client.stop.is_set():
            raise StoppedError
        reply, served = client.ask(body)
        try:
            answer = read(reply, served)
        except MalformedError as error:
            if reads == READS:
                raise MalformedError(f"{error}, {READS} times") from None
        else:
            return kept.add(key, dict(answer))
