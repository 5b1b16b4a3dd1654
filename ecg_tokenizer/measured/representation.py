"""Codes followed by measured values: what a tokenizer keeps of an ECG, and what a delineator reads off it."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from cardiolect.data_provider.audit.seen import record_seen, save_seen, seen_before
from cardiolect.ecg_tokenizer.base import ECGRepresentation, TimeBins
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.measured.settings import MeasuredSettings
from cardiolect.ecg_tokenizer.measured.tokens import BEAT_SECONDS, BINS, LAST_BEAT, MeasuredTokens
from cardiolect.ecg_tokenizer.measured.values import measure
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError

CONFIG = "config.json"
CODES, MEASURED = "codes", "measured"  # the parts of an item
VERSION = 1  # of what is measured and how; raise it if equal signals get other tokens


class MeasuredECG(ECGRepresentation):
    """The codes of a tokenizer, then the tokens of `MeasuredTokens`."""

    name = "measured"
    fewer_tokens = "a tokenizer with a longer STRIDE_MS"
    decodes = True

    def __init__(self, tokenizer: ECGTokenizer):
        self.tokenizer = tokenizer

    @cached_property
    def measured(self) -> MeasuredTokens:
        return MeasuredTokens(self.tokenizer.vocabulary_size)

    @property
    def sampling_rate(self) -> float:
        return self.tokenizer.sampling_rate

    @property
    def vocabulary_size(self) -> int:
        return self.measured.first + self.measured.size

    def _prepare(self, signals: list[np.ndarray]) -> list[np.ndarray]:
        codes = self.tokenizer._prepare(signals)
        values = [self.measured.encode(measure(signal, self.sampling_rate)) for signal in signals]
        return [np.concatenate([c, np.array(v, np.uint16)]) for c, v in zip(codes, values, strict=True)]

    def parts(self, item: np.ndarray) -> dict[str, np.ndarray]:
        """The codes of an item, which come first, and its measured values."""
        item = np.asarray(item)
        end = int(np.searchsorted(item >= self.measured.first, True))
        return {CODES: item[:end], MEASURED: item[end:]}

    def times(self, item: np.ndarray) -> np.ndarray:
        parts = self.parts(item)
        times = self.tokenizer.times(parts[CODES])
        return np.concatenate([times, self.measured.times(parts[MEASURED], float(times.max()))])

    def decode(self, item: np.ndarray) -> np.ndarray:
        return self.tokenizer.decode(self.parts(item)[CODES])

    def bits(self, item: np.ndarray) -> float:
        """Bits of the codes; measured values are derived from the same signal."""
        return self.tokenizer.bits(self.parts(item)[CODES])

    @cached_property
    def time_bins(self) -> TimeBins:
        middles = (np.arange(round(LAST_BEAT / BEAT_SECONDS)) + 0.5) * BEAT_SECONDS
        frames = (middles * self.tokenizer.frame_rate).astype(int)
        return TimeBins(
            self.measured.first_beat, BEAT_SECONDS, tuple(map(self.tokenizer.layout.place_of, frames.tolist()))
        )

    def geometry(self) -> Tensor:
        codes, values = self.tokenizer.geometry(), self.measured.geometry()
        scale = (codes.var(0).sum() / values.var(0).sum()).sqrt()
        kind = torch.cat([-torch.ones(len(codes), 1), torch.ones(len(values), 1)]).to(codes)
        return torch.cat([kind, torch.block_diag(codes, values.to(codes) * scale)], dim=1)

    def fingerprint(self) -> str:
        bins = {name: ends.tolist() for name, ends in BINS.items()}
        text = json.dumps([self.tokenizer.fingerprint(), VERSION, BEAT_SECONDS, LAST_BEAT, bins])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to(self, device: str | torch.device) -> Self:
        self.tokenizer.to(device)
        return self

    def save_pretrained(self, folder: Path | str) -> None:
        folder = Path(folder)
        self.tokenizer.save_pretrained(folder)
        codes = json.loads((folder / CONFIG).read_text())
        config = {"representation": self.name, "version": VERSION, "codes": codes}
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        folder = Path(folder)
        path = folder / CONFIG
        try:
            values = json.loads(path.read_text())
            version, codes = values["version"], values["codes"]
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{path}: cannot be read; is the folder complete?") from None
        if version != VERSION:
            raise UserError(f"{path}: measured by version {version}, this is version {VERSION}; train the model again")
        return cls(ECGTokenizer.with_weights(TokenizerConfig.of(codes, path), folder, device))


def make_measured(settings: MeasuredSettings) -> dict:
    """Write the representation to OUTPUT_DIR and return its figures; nothing is learned beyond the tokenizer."""
    before = seen_before({"ECG tokenizer": settings.tokenizer_path}, accept_unknown=False)
    made = MeasuredECG(ECGTokenizer.from_pretrained(settings.tokenizer_path))
    figures = {"codes": made.measured.first, "values": made.measured.size}
    if launch.is_main():
        made.save_pretrained(settings.output_dir)
        record_seen(settings.output_dir, save_seen(settings.output_dir, [], before.marks) | before.record)
        (settings.output_dir / "settings.json").write_text(settings.to_json())
        (settings.output_dir / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n")
        print(f"{figures['codes']} codes and {figures['values']} tokens of measured values: {settings.output_dir}")
    return figures
