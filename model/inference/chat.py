"""Ask a checkpoint about an ECG: loaded once, for the command line, the demo and Python."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import torch

from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.readers.channels import FileError
from cardiolect.data_provider.record import ECGRecord
from cardiolect.data_provider.texts.background import parse_background
from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.model.inference.generation import stream_text
from cardiolect.model.llm.checkpoint import MAX_NEW_TOKENS, Checkpoint, load_checkpoint, longest_sequence
from cardiolect.model.prompt.rendering import REPORT, make_prompt, task_of
from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError

SECONDS = 10.0  # of ECG in a prompt: what the models are trained on
LEAST_SECONDS = 2.5  # a printed 12-lead ECG shows as much of each lead
ECG = ECGRecord | np.ndarray  # a recording or its item, such as codes


class Chat(ABC):
    """Answers questions about ECGs, whatever holds the language model."""

    representation: ECGRepresentation

    def encode(self, record: ECGRecord) -> np.ndarray:
        """The item of a recording, as `ECGRepresentation.prepare` makes it: uint16 ``(codes,)`` of a tokenizer."""
        return self.representation.prepare([record.signal], record.fs)[0]

    def stream(
        self,
        ecg: ECG | Sequence[ECG],
        question: str = REPORT,
        history: Sequence[tuple[str, str]] = (),
        patient: str = "",
        max_new_tokens: int = MAX_NEW_TOKENS,
        **drawn,
    ) -> Iterator[str]:
        """Yield the answer so far, whenever a part of it comes.

        ecg: a recording or its codes, or two to compare. question: `REPORT`, or nothing, asks for a report.
        history: questions and answers before this one about the same ECG. patient: age, sex, height and weight ("age
        56, sex female"), of both where there are two; anything else in it is dropped. drawn: ``temperature`` and
        ``seed``, where the language model is here: 0, as without, takes the most probable token, above that tokens are
        drawn by the seed.
        Raises `UserError` where no answer can be had.
        """
        ecgs = [ecg] if isinstance(ecg, ECGRecord | np.ndarray) else ecg
        items = [self.encode(each) if isinstance(each, ECGRecord) else each for each in ecgs]
        backgrounds = [parse_background(patient)] * len(items)
        said = [(asked.strip(), answered.strip()) for asked, answered in history]
        yield from self._answer(items, backgrounds, question.strip(), said, max_new_tokens, **drawn)

    def ask(self, ecg: ECG | Sequence[ECG], question: str = REPORT, **options) -> str:
        """The whole answer; options as of `stream`."""
        return next(iter(deque(self.stream(ecg, question, **options), maxlen=1)), "")

    @abstractmethod
    def _answer(
        self,
        items: Sequence[np.ndarray],
        backgrounds: Sequence[str],
        question: str,
        history: Sequence[tuple[str, str]],
        max_new_tokens: int,
    ) -> Iterator[str]: ...


class ECGChat(Chat):
    """A checkpoint that answers questions about ECGs. Safe to be used by several threads at once."""

    def __init__(self, checkpoint: Checkpoint):
        self.checkpoint = checkpoint
        self.representation = checkpoint.representation
        self.checkpoint.model.eval()

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: str = "auto", precision: str = "fp32") -> Self:
        """Load a checkpoint folder. device: auto (a GPU where there is one), cpu or cuda.

        Raises `UserError` where the checkpoint, or the GPU that is asked for, is not there.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("device cuda: PyTorch finds no CUDA device here; use auto or cpu")
        checkpoint = load_checkpoint(Path(folder), precision)
        checkpoint.model.to(choose_device(device))
        return cls(checkpoint)

    @staticmethod
    def read(path: Path | str, start: float = 0.0) -> ECGRecord:
        """The `SECONDS` of a recording from ``start`` seconds on; of any kind of file that docs/DATA.md lists."""
        try:
            return window(read_record(path), start)
        except FileError as error:
            raise RecordError(f"record {path}: {error}") from None

    def _answer(self, items, backgrounds, question, history, max_new_tokens, temperature=0.0, seed=0) -> Iterator[str]:
        """After every token. Raises `UserError` where ECG and question are longer than the language model takes."""
        vocabulary = self.checkpoint.vocabulary
        ecgs = [self.representation.prepared(number, item) for number, item in enumerate(items)]
        prompt = make_prompt(vocabulary, ecgs, backgrounds, task_of(question), question, history)
        limit, length = longest_sequence(self.checkpoint.model), len(prompt.prefix) + len(prompt.question)
        if limit and length + max_new_tokens > limit:
            raise UserError(
                f"ECG, conversation and answer make {length + max_new_tokens} tokens, the language model takes "
                f"{limit}: ask less, or begin a new conversation"
            )
        yield from stream_text(self.checkpoint.model, vocabulary, prompt, max_new_tokens, temperature, seed)


def window(record: ECGRecord, start: float = 0.0) -> ECGRecord:
    """The `SECONDS` of a recording from ``start`` seconds on, or what there is of them.

    Raises `FileError` where that is less than `LEAST_SECONDS`.
    """
    if start < 0 or record.seconds - start < LEAST_SECONDS:
        behind = f", of them {max(record.seconds - start, 0):.1f} s from {start:g} s on" if start else ""
        raise FileError(f"{record.seconds:.1f} s long{behind}; at least {LEAST_SECONDS:g} s are needed")
    first, count = round(start * record.fs), round(SECONDS * record.fs)
    part = np.s_[:, first : first + count]
    return replace(record, signal=record.signal[part].copy(), good=record.good[part].copy())
