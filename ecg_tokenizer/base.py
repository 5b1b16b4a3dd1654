"""The one interface between an ECG and a language model: all that `model/` knows of an ECG.

A representation turns a signal into an *item*, which the cache stores, and an item into *token numbers*, which stand in
the prompt between ``<|ecg_start|>`` and ``<|ecg_end|>``:

    signal (12, T) mV --prepare--> item --token_ids--> numbers 0..vocabulary_size-1 --times--> seconds
                                        --embed------> rows that take the place of the placeholder, or None

Codes and symbols are their own token numbers: the model stays a stock causal LM. A representation that embeds has one
token, a placeholder repeated as often as the item has rows, and needs `model.llm.ecg_language_model`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from cardiolect.data_provider.record import LEADS, resample
from cardiolect.utils.errors import UserError


class Coverage(NamedTuple):
    """How much of an ECG its tokens show: leads of the twelve, and seconds of the lead that is cut first."""

    leads: int
    seconds: float


class PreparedECG(NamedTuple):
    """An ECG ready to stand in a prompt.

    key: the recording, and what an evaluation has done to it; equal keys mean equal ECGs. Token numbers do not tell:
    placeholders of any two ECGs are alike.
    token_ids: token numbers, as `ECGRepresentation.token_ids` gives them.
    item: as `ECGRepresentation.prepare` made it.
    """

    key: Hashable
    token_ids: Sequence[int]
    item: np.ndarray


class ECGRepresentation(ABC):
    """How ECGs stand in a prompt; saved in a folder with ``config.json``, and inside every checkpoint.

    name: its key in `representations.REPRESENTATIONS`, and ``REPRESENTATION`` in env files.
    embeds: whether `embed` gives rows; the language model is then not a stock one.
    decodes: whether `decode` gives the signal back.
    """

    name: ClassVar[str]
    embeds: ClassVar[bool] = False
    decodes: ClassVar[bool] = False
    group: int = 1  # token numbers that belong together, such as those of one frame

    @property
    @abstractmethod
    def sampling_rate(self) -> float:
        """Hz of the signals that `prepare` takes without resampling."""

    @property
    @abstractmethod
    def vocabulary_size(self) -> int:
        """Different tokens there are; 1 if the representation embeds."""

    @abstractmethod
    def _prepare(self, signals: list[np.ndarray]) -> list[np.ndarray]:
        """Items of float32 mV ``(12, T)`` at `sampling_rate`; each item the same at any batch size."""

    @abstractmethod
    def times(self, item: np.ndarray) -> np.ndarray:
        """float64 ``(tokens, 2)``: start and end, in seconds of the ECG, of what each token shows."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Short hash of all that decides the items: equal fingerprints give equal items."""

    @abstractmethod
    def save_pretrained(self, folder: Path | str) -> None:
        """Write ``config.json`` and, if there are weights, safetensors."""

    @classmethod
    @abstractmethod
    def from_pretrained(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        """Load what `save_pretrained` wrote. Raises `UserError` if it is missing or damaged."""

    def prepare(self, signals: Sequence[np.ndarray], fs: float) -> list[np.ndarray]:
        """Signals float32 mV ``(12, T)`` at ``fs`` Hz, leads in the order of `LEADS` -> the items that a cache stores.

        Samples that cannot be trusted and leads that were not recorded are 0. Raises `UserError` on a wrong shape or
        on values that are not finite.
        """
        return self._prepare([resample(check_signal(signal), fs, self.sampling_rate) for signal in signals])

    def to(self, device: str | torch.device) -> Self:
        """Move what computes to a device; representations without weights stay where they are."""
        return self

    def token_ids(self, item: np.ndarray) -> list[int]:
        """Token numbers of an item in the prompt, 0 to ``vocabulary_size - 1``."""
        return item.tolist()

    def prepared(self, key: Hashable, item: np.ndarray) -> PreparedECG:
        """An item as it stands in a prompt."""
        return PreparedECG(key, self.token_ids(item), item)

    def num_tokens(self, item: np.ndarray) -> int:
        """Length of `token_ids`."""
        return len(item)

    def coverage(self, item: np.ndarray) -> Coverage:
        """What the tokens of an item show of the ECG; all leads and its whole length unless a budget cuts them."""
        return Coverage(len(LEADS), float(self.times(item)[:, 1].max()))

    def decode(self, item: np.ndarray) -> np.ndarray:
        """mV float32 ``(12, T)`` at `sampling_rate` that an item stands for. Raises `UserError` if there is none."""
        raise UserError(f"{self.name} cannot be turned back into a signal")

    def bits(self, item: np.ndarray) -> float:
        """Bits of an item, all tokens that can stand in a place taken as equally likely."""
        return self.num_tokens(item) * math.log2(self.vocabulary_size)

    def geometry(self) -> Tensor | None:
        """``(vocabulary_size, dims)``: where each token lies, similar tokens close; None if that is not known.

        New rows of a language model's embedding start from it.
        """
        return None

    @property
    def embedding_width(self) -> int:
        """Columns of the rows that `embed` gives; 0 if it gives none."""
        return 0

    def embed(self, items: Sequence[Tensor]) -> Tensor | None:
        """Rows ``(tokens of all items, embedding_width)`` for the placeholders, item after item; None: no rows.

        items: in the dtype and on the device of the representation's own parameters, if it has any.
        """
        return None


def check_signal(signal: np.ndarray) -> np.ndarray:
    """``signal`` as float32 ``(12, T)``; `UserError` on another shape or on values that are not finite."""
    signal = np.asarray(signal, dtype=np.float32)
    if signal.ndim != 2 or signal.shape[0] != len(LEADS) or signal.shape[1] == 0:
        raise UserError(f"an ECG to encode must have shape (12, samples), not {signal.shape}")
    if not np.isfinite(signal).all():
        raise UserError("an ECG to encode has NaN or infinite samples; cardiolect.read_record mends or masks them")
    return signal
