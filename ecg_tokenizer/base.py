"""The interface between ECGs and language models; `model/` uses nothing else of an ECG.

A representation turns a signal into an *item*, which the cache stores, and an item into *token numbers*, which are
placed in the prompt between ``<|ecg_start|>`` and ``<|ecg_end|>``:

    signal (12, T) mV --prepare--> item --token_ids--> numbers 0..vocabulary_size-1 --times--> seconds
                                        --embed------> rows that replace the placeholders, or None

Codes and symbols are token numbers themselves, so the model stays a stock causal LM. A representation that embeds has a
single token, a placeholder repeated for every row of the item, and needs `model.llm.ecg_language_model`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from cardiolect.data_provider.record import LEADS, resample, without_offsets
from cardiolect.utils.errors import UserError


class Coverage(NamedTuple):
    """The part of an ECG that its tokens cover: number of leads, and seconds of the shortest lead."""

    leads: int
    seconds: float


class TimeBins(NamedTuple):
    """Tokens that stand for moments of an ECG.

    first: number of the token of the first so many ``seconds``. codes: for each bin, the place of the code in its
    middle among the tokens of an ECG, which begin with its codes; numbers of codes are below ``first``.
    """

    first: int
    seconds: float
    codes: tuple[int, ...]

    def of(self, start: float, end: float) -> range:
        """Token numbers of the bins that a range of seconds touches; empty if it leaves the bins."""
        first, last = (math.floor(second / self.seconds + 1e-6) for second in (start, end))
        return range(self.first + first, self.first + last + 1) if 0 <= first <= last < len(self.codes) else range(0)

    def code(self, token: int, ecg: Sequence[int]) -> int:
        """Number of the code that an ECG has at the time of a token, or the token itself if it has none.

        ecg: all token numbers of the ECG.
        """
        place = self.codes[token - self.first]
        return int(ecg[place]) if place < len(ecg) and ecg[place] < self.first else token


class Neighbour(NamedTuple):
    """A training recording that is similar to an ECG: what was written about it, and its distance (`retrieval`)."""

    text: str
    distance: float


class PreparedECG(NamedTuple):
    """An ECG prepared for a prompt.

    key: identifies the recording and any change an evaluation made to it; equal keys mean equal ECGs. Token numbers
    cannot serve as a key: the placeholders of any two ECGs are equal.
    token_ids: token numbers from `ECGRepresentation.token_ids`.
    item: from `ECGRepresentation.prepare`.
    in_ranges: token numbers whose codes a question shows in its ranges of times, if not token_ids (evaluation only).
    neighbours: similar training recordings whose texts the prompt has, the nearest first.
    """

    key: Hashable
    token_ids: Sequence[int]
    item: np.ndarray
    in_ranges: Sequence[int] | None = None
    neighbours: tuple[Neighbour, ...] = ()


class ECGRepresentation(ABC):
    """A representation of ECGs in prompts; saved as a folder with ``config.json``, also in every checkpoint.

    name: its key in `representations.REPRESENTATIONS`, and ``REPRESENTATION`` in env files.
    embeds: whether `embed` returns rows; the language model is then not a stock model.
    decodes: whether `decode` can restore the signal.
    fewer_tokens: the settings that make it take fewer tokens per second, for messages.
    """

    name: ClassVar[str]
    fewer_tokens: ClassVar[str]
    embeds: ClassVar[bool] = False
    decodes: ClassVar[bool] = False
    group: int = 1  # number of tokens that belong together, such as those of one frame

    @property
    @abstractmethod
    def sampling_rate(self) -> float:
        """Sampling rate in Hz; `prepare` resamples signals to it."""

    @property
    @abstractmethod
    def vocabulary_size(self) -> int:
        """Number of different tokens; 1 if the representation embeds."""

    @abstractmethod
    def _prepare(self, signals: list[np.ndarray]) -> list[np.ndarray]:
        """Items of float32 mV ``(12, T)`` at `sampling_rate`; they must not depend on the batch size."""

    @abstractmethod
    def times(self, item: np.ndarray) -> np.ndarray:
        """float64 ``(tokens, 2)``: start and end of each token in seconds of the ECG."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Short hash of everything that affects the items: equal fingerprints mean equal items."""

    @abstractmethod
    def save_pretrained(self, folder: Path | str) -> None:
        """Write ``config.json`` and, if there are weights, safetensors."""

    @classmethod
    @abstractmethod
    def from_pretrained(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        """Load a saved representation. Raises `UserError` if it is missing or damaged."""

    def prepare(self, signals: Sequence[np.ndarray], fs: float) -> list[np.ndarray]:
        """Signals float32 mV ``(12, T)`` at ``fs`` Hz, leads in the order of `LEADS` -> the items that a cache stores.

        Missing leads are 0. A constant in a lead makes no difference. Raises `UserError` if a shape is
        wrong or a value is not finite.
        """

        def clean(signal: np.ndarray) -> np.ndarray:
            return without_offsets(resample(check_signal(signal), fs, self.sampling_rate))

        threads = min(torch.get_num_threads(), len(signals))
        if threads < 2:
            return self._prepare([clean(signal) for signal in signals])
        with ThreadPoolExecutor(threads) as pool:  # SciPy and NumPy let go of the interpreter
            return self._prepare(list(pool.map(clean, signals)))

    def to(self, device: str | torch.device) -> Self:
        """Move the weights to a device; does nothing if there are none."""
        return self

    def trained_parameters(self) -> Iterable[nn.Parameter]:
        """The parameters that are trained together with a language model: all, unless a representation keeps some."""
        return self.parameters() if isinstance(self, nn.Module) else ()

    def token_ids(self, item: np.ndarray) -> list[int]:
        """Token numbers of an item, 0 to ``vocabulary_size - 1``."""
        return item.tolist()

    def prepared(self, key: Hashable, item: np.ndarray) -> PreparedECG:
        """An item together with its key and token numbers."""
        return PreparedECG(key, self.token_ids(item), item)

    def parts(self, item: np.ndarray) -> dict[str, np.ndarray]:
        """Items of the parts that an item consists of, by name; {} if it is a whole."""
        return {}

    def num_tokens(self, item: np.ndarray) -> int:
        """Length of `token_ids`."""
        return len(item)

    def coverage(self, item: np.ndarray) -> Coverage:
        """The part of the ECG that the tokens of an item cover: all of it, unless a limit on tokens cuts it."""
        return Coverage(len(LEADS), float(self.times(item)[:, 1].max()))

    def decode(self, item: np.ndarray) -> np.ndarray:
        """Item -> mV float32 ``(12, T)`` at `sampling_rate`. Raises `UserError` if this is impossible."""
        raise UserError(f"{self.name} cannot be turned back into a signal")

    def bits(self, item: np.ndarray) -> float:
        """Bits of an item, if all possible tokens at a position are equally likely."""
        return self.num_tokens(item) * math.log2(self.vocabulary_size)

    @property
    def time_bins(self) -> TimeBins | None:
        """Tokens that questions about times can share with the ECG, if there are any."""
        return None

    def geometry(self) -> Tensor | None:
        """``(vocabulary_size, dims)``: positions in which similar tokens are close; None if unknown.

        The new embedding rows of a language model are initialised from it.
        """
        return None

    @property
    def embedding_width(self) -> int:
        """Width of the rows that `embed` returns; 0 if it returns None."""
        return 0

    def embed(self, items: Sequence[Tensor]) -> Tensor | None:
        """Rows ``(tokens of all items, embedding_width)`` for the placeholders, item by item, or None.

        items: in the dtype and on the device of the representation's own parameters, if it has any.
        """
        return None


def check_signal(signal: np.ndarray) -> np.ndarray:
    """``signal`` as float32 ``(12, T)``. Raises `UserError` if the shape is wrong or a value is not finite."""
    signal = np.asarray(signal, dtype=np.float32)
    if signal.ndim != 2 or signal.shape[0] != len(LEADS) or signal.shape[1] == 0:
        raise UserError(f"an ECG to encode must have shape (12, samples), not {signal.shape}")
    if not np.isfinite(signal).all():
        raise UserError("an ECG to encode has NaN or infinite samples; cardiolect.read_record mends or masks them")
    return signal
