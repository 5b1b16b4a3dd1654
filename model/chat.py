"""Ask a checkpoint about one ECG: loaded once, for the command line, the demo and Python."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import torch

from data_provider.background import parse_background
from data_provider.readers import read_record
from data_provider.record import ECGRecord
from model.checkpoint import Checkpoint, load_checkpoint, longest_sequence
from model.generation import stream_text
from model.rendering import render_ecg, render_prompt
from utils.errors import UserError

SECONDS = 10.0  # of ECG in a prompt: what the models are trained on
REPORT = ""  # the question that asks for a report


class ECGChat:
    """A checkpoint that answers questions about ECGs. Safe to be used by several threads at once."""

    def __init__(self, checkpoint: Checkpoint):
        self.checkpoint = checkpoint
        self.checkpoint.model.eval()

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: str = "auto", precision: str = "fp32") -> Self:
        """Load a checkpoint folder. device: auto (a GPU where there is one), cpu or cuda.

        Raises `UserError` where the checkpoint, or the GPU that is asked for, is not there.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("device cuda: PyTorch finds no CUDA device here; use auto or cpu")
        checkpoint = load_checkpoint(Path(folder), precision)
        on_gpu = device != "cpu" and torch.cuda.is_available()
        checkpoint.model.to("cuda" if on_gpu else "cpu")
        return cls(checkpoint)

    @staticmethod
    def read(path: Path | str, start: float = 0.0) -> ECGRecord:
        """The `SECONDS` of a recording from ``start`` seconds on; of any kind of file that docs/DATA.md lists."""
        record = read_record(path)
        first, count = round(start * record.fs), round(SECONDS * record.fs)
        if not 0 <= first < record.signal.shape[1]:
            raise UserError(f"record {path}: is {record.seconds:.1f} s long; nothing begins at {start:g} s")
        window = np.s_[:, first : first + count]
        return replace(record, signal=record.signal[window], good=record.good[window])

    def encode(self, record: ECGRecord) -> np.ndarray:
        """The codes of a recording, int64 ``(codes,)``."""
        return self.checkpoint.ecg_tokenizer.encode(record.signal, record.fs)

    def stream(
        self,
        ecg: ECGRecord | np.ndarray,
        question: str = REPORT,
        history: Sequence[tuple[str, str]] = (),
        patient: str = "",
        max_new_tokens: int = 200,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Iterator[str]:
        """Yield the answer so far, after every token.

        ecg: a recording or its codes. question: `REPORT` asks for a report. history: questions and answers before this
        one about the same ECG. patient: age, sex, height and weight ("age 56, sex female"); anything else in it is
        dropped. temperature: 0 takes the most probable token, above that tokens are drawn by ``seed``.
        Raises `UserError` where ECG and question are longer than the language model takes.
        """
        vocabulary = self.checkpoint.vocabulary
        codes = self.encode(ecg) if isinstance(ecg, ECGRecord) else ecg
        task = "qa" if question else "report"
        ids = render_ecg(vocabulary, codes, parse_background(patient)) + render_prompt(
            vocabulary, task, question, history
        )
        limit = longest_sequence(self.checkpoint.model)
        if limit and len(ids) + max_new_tokens > limit:
            raise UserError(
                f"ECG, conversation and answer make {len(ids) + max_new_tokens} tokens, the language model takes "
                f"{limit}: ask less, or begin a new conversation"
            )
        yield from stream_text(self.checkpoint.model, vocabulary, ids, max_new_tokens, temperature, seed)

    def ask(self, ecg: ECGRecord | np.ndarray, question: str = REPORT, **options) -> str:
        """The whole answer; options as of `stream`."""
        return next(iter(deque(self.stream(ecg, question, **options), maxlen=1)), "")
