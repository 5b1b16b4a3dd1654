"""``cardiolect ask`` and ``report``: answers appear as they come."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from cardiolect.model.cli.loading import background_of, load_chat, need_checkpoint, read_ecg
from cardiolect.model.cli.prompts import UNTRAINED, check_question, is_trained
from cardiolect.model.llm.checkpoint import read_info
from cardiolect.model.prompt.rendering import REPORT
from cardiolect.utils.errors import UserError

Answering = Callable[[str, list[tuple[str, str]]], Iterator[str]]  # question, history -> the answer so far


def ask(
    record: str,
    questions: list[str],
    second: str | None,
    chat: bool,
    start: float,
    checkpoint: Path,
    patient: str,
    device: str,
    verbose: bool,
    **how,
) -> None:
    """Print an answer per question; with ``chat`` each is asked behind those before it."""
    if not questions and not chat:
        raise UserError("ask: give a question in quotes, or --chat")
    for question in questions:
        check_question(question)
    records = [record] if second is None else [record, second]
    answering = _answering(records, start, checkpoint, patient, device, **how)
    info = read_info(checkpoint)
    history: list[tuple[str, str]] = []
    for question in chain(questions, _typed() if chat else ()):
        if not is_trained(info, question):
            print(UNTRAINED, file=sys.stderr)
        answer = _print_streamed(answering(question, list(history)), verbose, **how)
        if chat:
            history.append((question, answer))


def report(record: str, start: float, checkpoint: Path, patient: str, device: str, verbose: bool, **how) -> None:
    """Print the report of an ECG."""
    answering = _answering([record], start, checkpoint, patient, device, **how)
    if not is_trained(read_info(checkpoint), REPORT):
        print(UNTRAINED, file=sys.stderr)
    _print_streamed(answering(REPORT, []), verbose, **how)


def _answering(
    records: list[str],
    start: float,
    checkpoint: Path,
    patient: str,
    device: str,
    endpoint: str | None,
    model: str,
    logit_bias: bool,
    max_new_tokens: int,
    temperature: float,
    seed: int,
) -> Answering:
    """Reads and encodes the ECGs once."""
    background, ecgs = background_of(patient), [read_ecg(record, start) for record in records]
    if endpoint is None:
        if model or logit_bias:
            raise UserError("--model and --logit-bias are for a server: name it with --endpoint")
        chat, drawn = load_chat(checkpoint, device), {"temperature": temperature, "seed": seed}
    else:
        from cardiolect.model.serving.endpoint import EndpointChat

        if temperature or seed:
            raise UserError("--temperature, --seed: an endpoint is asked for its most probable answer")
        if device != "auto":
            raise UserError("--device: the server has its own; leave it out beside --endpoint")
        need_checkpoint(checkpoint)
        chat, drawn = EndpointChat.from_pretrained(endpoint, checkpoint, model, logit_bias), {}
    codes = list(map(chat.encode, ecgs))
    return lambda question, history: chat.stream(codes, question, history, background, max_new_tokens, **drawn)


def _typed() -> Iterator[str]:
    """Lines of stdin up to an empty one; a person sees where to type."""
    asked = sys.stdin.isatty()
    while True:
        if asked:
            print("> ", end="", file=sys.stderr, flush=True)
        try:
            question = sys.stdin.readline().strip()
        except UnicodeDecodeError:
            raise UserError("ask: a line on stdin is not UTF-8") from None
        if not question:
            return
        check_question(question)
        yield question


def _print_streamed(parts: Iterable[str], verbose: bool, endpoint: str | None, max_new_tokens: int, **_) -> str:
    """Print what each part adds to the one before; returns the last, the whole answer."""
    begun, times, shown, whole = time.perf_counter(), [], "", ""
    for whole in parts:
        times.append(time.perf_counter() - begun)
        certain = whole.rstrip("\ufffd")  # a character whose bytes have not all come
        print(certain[len(shown) :], end="", flush=True)
        shown = certain
    print(whole[len(shown) :], flush=True)
    if endpoint is None and len(times) == max_new_tokens:  # parts from a server may be of several tokens
        print(f"The answer was cut off after {max_new_tokens} tokens; --max-new-tokens allows more.", file=sys.stderr)
    if verbose:
        first = f"first token after {times[0]:.2f} s" if times else "no token"
        rate = f", then {(len(times) - 1) / (times[-1] - times[0]):.1f} tokens/s" if len(times) > 1 else ""
        print(f"{first}{rate}; {len(times)} token{'s' * (len(times) != 1)}", file=sys.stderr)
    return whole
