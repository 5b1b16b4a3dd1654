"""``cardiolect ask`` and ``report``: answers appear as they come."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from model.chat import REPORT, ECGChat
from model.rendering import patient_text
from model.serving.checkpoints import background_of, load_chat, load_ecg_tokenizer
from model.serving.tokens import ecg_text
from utils.errors import UserError

Answering = Callable[[str, list[tuple[str, str]]], Iterator[str]]  # question, history -> the answer so far


def ask(
    record: str, questions: list[str], chat: bool, start: float, checkpoint: Path, patient: str, device: str,
    endpoint: str | None, verbose: bool, **generation,
) -> None:  # fmt: skip
    """Print an answer per question; with ``chat`` each is asked behind those before it."""
    if not questions and not chat:
        raise UserError("ask: give a question in quotes, or --chat")
    answering = _answering(record, start, checkpoint, patient, device, endpoint, generation)
    history: list[tuple[str, str]] = []
    for question in chain(questions, _typed() if chat else ()):
        answer = _print_streamed(answering(question, list(history)), verbose)
        if chat:
            history.append((question, answer))


def report(
    record: str, start: float, checkpoint: Path, patient: str, device: str, endpoint: str | None, verbose: bool,
    **generation,
) -> None:  # fmt: skip
    """Print the report of an ECG."""
    _print_streamed(_answering(record, start, checkpoint, patient, device, endpoint, generation)(REPORT, []), verbose)


def _answering(
    record: str, start: float, checkpoint: Path, patient: str, device: str, endpoint: str | None, generation: dict
) -> Answering:
    """Reads and encodes the ECG once."""
    background, ecg = background_of(patient), ECGChat.read(record, start)
    if endpoint is None:
        chat = load_chat(checkpoint, device)
        codes = chat.encode(ecg)
        return lambda question, history: chat.stream(codes, question, history, background, **generation)

    from model.serving.endpoint import ask_endpoint

    shown = ecg_text(load_ecg_tokenizer(checkpoint).encode(ecg.signal, ecg.fs)) + patient_text(background)

    def answer(question: str, history: list[tuple[str, str]]) -> Iterator[str]:
        said = list(chain.from_iterable(history))
        said = [shown + (said or [question])[0], *said[1:], *([question] if said else [])]
        messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]
        return ask_endpoint(endpoint, messages, **generation)

    return answer


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
