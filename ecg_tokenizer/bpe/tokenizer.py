"""ECG-Byte's idea of an ECG: symbols merged by byte-pair encoding (Han et al. 2024, arXiv 2412.14373)."""

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

KINDS = {"levels": LevelSymbols, "wavelet": WaveletSymbols}
Symbols = LevelSymbols | WaveletSymbols
GEOMETRY = "geometry.safetensors"


class BPETokenizer(ECGRepresentation):
    """Signal <-> symbols <-> tokens. The token numbers of an ECG are its codes.

    symbols: how samples become symbols. merges: how symbols become tokens. lead_tokens: twelve more tokens, one of
    which stands before each piece and says which lead it is of (`LevelSymbols` only). features: float32
    ``(vocabulary_size, dims)`` for `geometry`.

    The length of an ECG is not stored: symbols say it themselves. Leads written as levels are equally long, so the
    number of samples is that of the symbols over that of the leads; every block of wavelet coefficients ends in a
    symbol of its own. `decode` takes whole ECGs, or the first whole turns or blocks of one, and refuses others. Only
    if whole leads follow one another can a cut go unseen, when the samples left happen to share out evenly.
    """

    name = "bpe"
    decodes = True

    def __init__(self, symbols: Symbols, merges: Merges, lead_tokens: bool = False, features: Tensor | None = None):
        self.symbols, self.merges, self.lead_tokens, self.features = symbols, merges, lead_tokens, features

    @property
    def sampling_rate(self) -> float:
        """Hz at which symbols are taken."""
        return self.symbols.sampling_rate

    @property
    def vocabulary_size(self) -> int:
        """Different tokens: the alphabet, a token for each merge, and lead tokens."""
        return len(self.merges) + (len(LEADS) if self.lead_tokens else 0)

    def _prepare(self, signals: list[np.ndarray]) -> list[np.ndarray]:
        """uint16 token numbers ``(tokens,)`` of each signal."""
        return [self.join(tokens).astype(np.uint16) for tokens in map(self.tokens_of_pieces, signals)]

    def encode(self, signal: np.ndarray, fs: float) -> np.ndarray:
        """Token numbers of one ECG, int64 ``(tokens,)``.

        signal: ``(12, T)`` millivolts in the order of `LEADS`; leads that were not recorded are 0. fs: Hz; resampled
        with an anti-alias filter if the tokenizer works at another rate. Raises `UserError` on a wrong shape or on
        values that are not finite.
        """
        return self.prepare([signal], fs)[0].astype(np.int64)

    def decode(self, codes: np.ndarray, value_range: tuple[float, float] | None = None) -> np.ndarray:
        """Token numbers of a whole ECG -> mV float32 ``(12, T)`` at `sampling_rate`: the quantised signal exactly.

        value_range: with "instance" scaling the tokens do not tell millivolts. Without it the ECG is drawn with the
        range of a typical one: that is all that a reader of the tokens knows, and the error of its voltages counts in
        full. With `value_range` of the signal the shape alone is judged, as ECG-Byte's authors do. Raises `UserError`
        on numbers that are not tokens and on an ECG that was cut.
        """
        codes = self._checked(codes)
        return self.symbols.signal(self.merges.decode(codes[codes < len(self.merges)]), value_range)

    def value_range(self, signal: np.ndarray) -> tuple[float, float] | None:
        """What `decode` must be told of a signal ``(12, T)`` mV to give millivolts; None if its tokens say them."""
        instance = isinstance(self.symbols, LevelSymbols) and self.symbols.scaling == "instance"
        return self.symbols.value_range(signal) if instance else None

    def times(self, item: np.ndarray) -> np.ndarray:
        """float64 ``(tokens, 2)``: start and end, in seconds of the ECG, of what each token stands for.

        A token that crosses leads, or one of several wavelet coefficients, spans all that it has a part of; a lead
        token its piece. The last block or turn may reach beyond the ECG's end: its tail is padded. Raises `UserError`
        on numbers that are not tokens, and if whole leads follow one another on an ECG that was cut.
        """
        codes = self._checked(item)
        written = codes < len(self.merges)
        if not written.any():
            raise UserError("codes have lead tokens only")
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
        """What the first ``tokens`` tokens of a whole ECG show of it, all of them if None.

        Returns how many of the twelve leads they show at all, and seconds of the lead of which they show least.
        """
        codes = self._checked(item)
        kept = codes[:tokens]
        symbols = self.merges.decode(codes[codes < len(self.merges)])
        shown = int(self.merges.lengths[kept[kept < len(self.merges)]].sum())
        seconds = self.symbols.seconds_by_lead(symbols, shown)
        covered = seconds[seconds > 0]
        return Coverage(len(covered), float(covered.min()) if len(covered) else 0.0)

    def geometry(self) -> Tensor | None:
        """``(vocabulary_size, dims)``: where each token lies, similar tokens close; None if that was not computed."""
        return self.features

    def tokens_of_pieces(self, signal: np.ndarray) -> list[np.ndarray]:
        """Tokens of each piece of an ECG at `sampling_rate`, without lead tokens."""
        return self.merges.encode(self.symbols.pieces(signal))

    def fingerprint(self) -> str:
        """Short hash of all that decides the codes: equal fingerprints give equal codes."""
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

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        """Load what `save_pretrained` wrote. Raises `UserError` if it is missing or damaged. device: without effect."""
        folder = Path(folder)
        for name in ("config.json", FILE):
            if not (folder / name).is_file():
                raise UserError(f"{folder}: no BPE tokenizer of ECGs here ({name} is missing)")
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
    """JSON's lists as the tuples they were."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
