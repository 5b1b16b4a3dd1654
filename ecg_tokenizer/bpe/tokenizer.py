"""ECGs as symbols merged by byte-pair encoding, as in ECG-Byte (Han et al. 2024, arXiv 2412.14373)."""

import hashlib
import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cardiolect.data_provider.record import LEADS
from cardiolect.ecg_tokenizer.base import Coverage, ECGRepresentation
from cardiolect.ecg_tokenizer.bpe.levels import LevelSymbols
from cardiolect.ecg_tokenizer.bpe.merges import FILE, Encoding, Merges
from cardiolect.ecg_tokenizer.bpe.wavelet import WaveletSymbols
from cardiolect.utils.errors import UserError
from cardiolect.utils.weights import check_written

KINDS = {"levels": LevelSymbols, "wavelet": WaveletSymbols}
Symbols = LevelSymbols | WaveletSymbols
GEOMETRY = "geometry.safetensors"


class BPETokenizer(ECGRepresentation):
    """Signal <-> symbols <-> tokens. The token numbers of an ECG are its codes.

    symbols: conversion of samples to symbols. merges: conversion of symbols to tokens. lead_tokens: use twelve more
    tokens, which precede each piece and name its lead (`LevelSymbols` only). features: float32
    ``(vocabulary_size, dims)`` for `geometry`.

    The length of an ECG is not stored, because it follows from the symbols: leads written as levels have equal length,
    so the number of samples is the number of symbols over the number of leads; every block of wavelet coefficients
    has an end symbol. `decode` accepts whole ECGs, or the first whole chunks or blocks of one, and refuses others. If
    whole leads follow one another, a cut goes unnoticed when the remaining samples happen to divide evenly.
    """

    name = "bpe"
    fewer_tokens = "a larger BPE_STEP_MV, more BPE_MERGES"
    decodes = True

    def __init__(self, symbols: Symbols, merges: Merges, lead_tokens: bool = False, features: Tensor | None = None):
        self.symbols, self.merges, self.lead_tokens, self.features = symbols, merges, lead_tokens, features

    @property
    def sampling_rate(self) -> float:
        """Sampling rate of the symbols in Hz."""
        return self.symbols.sampling_rate

    @property
    def vocabulary_size(self) -> int:
        """Number of different tokens: the alphabet, a token per merge, and lead tokens."""
        return len(self.merges) + (len(LEADS) if self.lead_tokens else 0)

    def _prepare(self, signals: list[np.ndarray]) -> list[np.ndarray]:
        """uint16 token numbers ``(tokens,)`` of each signal."""
        return [self.join(tokens).astype(np.uint16) for tokens in map(self.tokens_of_pieces, signals)]

    def encode(self, signal: np.ndarray, fs: float) -> np.ndarray:
        """Token numbers of one ECG, int64 ``(tokens,)``.

        signal: ``(12, T)`` millivolts in the order of `LEADS`; leads that were not recorded are 0. fs: Hz; resampled
        with an anti-alias filter if the tokenizer uses another rate. Raises `UserError` if the shape is wrong or a
        value is not finite.
        """
        return self.prepare([signal], fs)[0].astype(np.int64)

    def decode(self, codes: np.ndarray, value_range: tuple[float, float] | None = None) -> np.ndarray:
        """Token numbers of a whole ECG -> mV float32 ``(12, T)`` at `sampling_rate`: the quantised signal exactly.

        value_range: with "instance" scaling the tokens do not contain millivolts. By default the ECG is then decoded
        with the range of a typical ECG, which is all that a model reading the tokens can know, so that errors of
        voltage count in full. With `value_range` of the signal only the shape is compared, as ECG-Byte's authors do.
        Raises `UserError` if a number is not a token or the ECG was cut.
        """
        codes = self._checked(codes)
        return self.symbols.signal(self.merges.decode(codes[codes < len(self.merges)]), value_range)

    def value_range(self, signal: np.ndarray) -> tuple[float, float] | None:
        """Range of a signal ``(12, T)`` mV that `decode` needs for millivolts; None if the tokens contain them."""
        instance = isinstance(self.symbols, LevelSymbols) and self.symbols.scaling == "instance"
        return self.symbols.value_range(signal) if instance else None

    def times(self, item: np.ndarray) -> np.ndarray:
        """float64 ``(tokens, 2)``: start and end of each token in seconds of the ECG.

        A token that crosses leads or holds several wavelet coefficients spans all of them; a lead token spans its
        piece. The last block or chunk may extend beyond the end of the ECG, because the tail is padded. Raises
        `UserError` if a number is not a token, or if the ECG was cut and whole leads follow one another.
        """
        codes = self._checked(item)
        written = codes < len(self.merges)
        if not written.any():
            raise UserError("the codes are lead tokens only")
        spans = self.symbols.spans(self.merges.decode(codes[written]))
        ends = np.cumsum(self.merges.lengths[codes[written]])
        starts = np.concatenate([[0], ends[:-1]])
        found = np.zeros((len(codes), 2))
        found[written] = np.stack(
            [np.minimum.reduceat(spans[:, 0], starts), np.maximum.reduceat(spans[:, 1], starts)], axis=1
        )
        for head, after in pairwise([*np.flatnonzero(~written), len(codes)]):
            if after > head + 1:
                found[head] = found[head + 1, 0], found[after - 1, 1]
        return found

    def coverage(self, item: np.ndarray, tokens: int | None = None) -> Coverage:
        """The part of a whole ECG that its first ``tokens`` tokens cover (all tokens if None).

        Counts leads that are covered at all, and seconds of the lead that is covered least.
        """
        codes = self._checked(item)
        kept = codes[:tokens]
        symbols = self.merges.decode(codes[codes < len(self.merges)])
        count = int(self.merges.lengths[kept[kept < len(self.merges)]].sum())
        seconds = self.symbols.seconds_by_lead(symbols, count)
        covered = seconds[seconds > 0]
        return Coverage(len(covered), float(covered.min()) if len(covered) else 0.0)

    def geometry(self) -> Tensor | None:
        """``(vocabulary_size, dims)``: positions in which similar tokens are close; None if not computed."""
        return self.features

    def tokens_of_pieces(self, signal: np.ndarray) -> list[np.ndarray]:
        """Tokens of each piece of an ECG at `sampling_rate`, without lead tokens."""
        return self.merges.encode(self.symbols.pieces(signal))

    def fingerprint(self) -> str:
        """Short hash of everything that affects the codes: equal fingerprints mean equal codes."""
        digest = hashlib.sha256(json.dumps(self._config(), sort_keys=True).encode())
        digest.update(repr((self.merges.alphabet, self.merges.pairs)).encode())
        return digest.hexdigest()[:16]

    def save_pretrained(self, folder: Path | str) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self._config(), indent=2) + "\n")
        self.merges.save(folder)
        if self.features is not None:
            save_file({"geometry": self.features.contiguous()}, folder / GEOMETRY)
            check_written([folder / GEOMETRY], {"geometry": tuple(self.features.shape)})

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        """Load a saved tokenizer. Raises `UserError` if it is missing or damaged. device: has no effect."""
        folder = Path(folder)
        for name in ("config.json", FILE):
            if not (folder / name).is_file():
                raise UserError(f"{folder}: not a BPE tokenizer of ECGs ({name} is missing)")
        try:
            config = json.loads((folder / "config.json").read_text())
            values = dict(config["symbols"])
            symbols = KINDS[values.pop("kind")](**{key: _tuples(value) for key, value in values.items()})
            encoding: Encoding = config["encoding"]
            merges = Merges.load(folder, encoding)
            if merges.alphabet != symbols.alphabet:
                raise ValueError(f"{merges.alphabet} symbols in {FILE}, {symbols.alphabet} in config.json")
            features = load_file(folder / GEOMETRY)["geometry"] if (folder / GEOMETRY).is_file() else None
            return cls(symbols, merges, config["lead_tokens"], features)
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            raise UserError(f"{folder}: not a BPE tokenizer of ECGs, or a damaged one ({error!r})") from None

    def _config(self) -> dict:
        kind = next(name for name, kind in KINDS.items() if isinstance(self.symbols, kind))
        return {
            "representation": self.name,
            "encoding": self.merges.encoding,
            "lead_tokens": self.lead_tokens,
            "symbols": {"kind": kind, **asdict(self.symbols)},
        }

    def join(self, pieces: list[np.ndarray]) -> np.ndarray:
        """Tokens of the pieces of an ECG -> its token numbers ``(tokens,)``, with lead tokens."""
        if not self.lead_tokens:
            return np.concatenate(pieces)
        leads = self.symbols.leads_of_pieces(len(pieces)) + len(self.merges)
        return np.concatenate([part for lead, piece in zip(leads, pieces, strict=True) for part in ([lead], piece)])

    def _checked(self, codes: np.ndarray) -> np.ndarray:
        codes = np.asarray(codes, dtype=np.int64)
        if codes.ndim != 1 or codes.size == 0:
            raise UserError(f"codes to decode must have shape (codes,), not {codes.shape}")
        if codes.min() < 0 or codes.max() >= self.vocabulary_size:
            raise UserError(f"codes to decode must lie within 0..{self.vocabulary_size - 1}")
        return codes


def _tuples(value):
    """Turn lists from JSON back into tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
