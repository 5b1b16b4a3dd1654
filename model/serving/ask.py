"""``cardiolect ask`` and ``report``: answers appear as they come."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from model.chat import REPORT, SECONDS, ECGChat
from model.checkpoint import read_info
from model.serving.checkpoints import background_of, load_chat, need_checkpoint
from model.serving.prompts import UNTRAINED, is_trained
from utils.errors import UserError

Answering = Callable[[str, list[tuple[str, str]]], Iterator[str]]  # question, history -> the answer so far


def ask(
    record: str, questions: list[str], chat: bool, start: float, checkpoint: Path, patient: str, device: str,
    endpoint: str | None, verbose: bool, **generation,
) -> None:  # fmt: skip
    """Print an answer per question; with ``chat`` each is asked behind those before it."""
    if not questions and not chat:
        raise UserError("ask: give a question in quotes, or --chat")
    if not all(question.strip() for question in questions):
        raise UserError("ask: a question is empty; cardiolect report writes a report")
    answering = _answering(record, start, checkpoint, patient, device, endpoint, generation)
    info = read_info(checkpoint)
    history: list[tuple[str, str]] = []
    for question in chain(questions, _typed() if chat else ()):
        if not is_trained(info, question):
            print(UNTRAINED, file=sys.stderr)
        answer = _print_streamed(answering(question, list(history)), verbose)
        if chat:
            history.append((question, answer))


def report(
    record: str, start: float, checkpoint: Path, patient: str, device: str, endpoint: str | None, verbose: bool,
    **generation,
) -> None:  # fmt: skip
    """Print the report of an ECG."""
    answering = _answering(record, start, checkpoint, patient, device, endpoint, generation)
    if not is_trained(read_info(checkpoint), REPORT):
        print(UNTRAINED, file=sys.stderr)
    _print_streamed(answering(REPORT, []), verbose)


def _answering(
    record: str, start: float, checkpoint: Path, patient: str, device: str, endpoint: str | None, generation: dict
) -> Answering:
    """Reads and encodes the ECG once."""
    background, ecg = background_of(patient), ECGChat.read(record, start)
    if ecg.seconds < SECONDS:
        print(f"{ecg.seconds:.1f} s of ECG; models are trained on {SECONDS:g} s", file=sys.stderr)
    if endpoint is None:
        chat = load_chat(checkpoint, device)
    else:
        from model.serving.endpoint import EndpointChat

        if generation.pop("temperature"):
            raise UserError("--temperature: an endpoint is asked for its most probable answer")
        del generation["seed"]
        need_checkpoint(checkpoint)
        chat = EndpointChat.from_pretrained(endpoint, checkpoint)
    codes = chat.encode(ecg)
    return lambda question, history: chat.stream(codes, question, history, background, **generation)


def _typed() -> Iterator[str]:
    """Lines of stdin up to an empty one; a person sees where to type."""
    asked = sys.stdin.isatty()
    while True:
        if asked:
            print("> ", end="", file=sys.stderr, flush=True)
        question = sys.stdin.readline().strip()
        if not question:
            return
        yield question


def _print_streamed(parts: Iterable[str], verbose: bool) -> str:
    """Print what each part adds to the one before; returns the last, the whole answer."""
    begun, times, shown, whole = time.perf_counter(), [], "", ""
    for whole in parts:
        times.append(time.perf_counter() - begun)
        certain = whole.rstrip("\ufffd")  # a character whose bytes have not all come
        print(certain[len(shown) :], end="", flush=True)
        shown = certain
    print(whole[len(shown) :], flush=True)
    if verbose:
        first = f"first token after {times[0]:.2f} s" if times else "no token"
        rate = f", then {(len(times) - 1) / (times[-1] - times[0]):.1f} tokens/s" if len(times) > 1 else ""
        print(f"{first}{rate}; {len(times)} tokens", file=sys.stderr)
    return whole
