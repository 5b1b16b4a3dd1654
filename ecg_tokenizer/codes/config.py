"""The architecture of a tokenizer: enough to rebuild it from its weights."""

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import ClassVar

from cardiolect.ecg_tokenizer.codes.order import CodeLayout
from cardiolect.utils.errors import UserError

BACKBONES = ("standard", "light")


@dataclass(frozen=True)
class TokenizerConfig:
    """The architecture of an `ECGTokenizer`, stored as ``config.json`` next to its weights.

    `TokenizerSettings` has a setting for every field except ``input_scale``, and takes its defaults from here. The
    order of the fields is part of `ECGTokenizer.fingerprint`, which names the cache folders; those that are newer than
    the oldest tokenizers (``LATER``) are part of it only if they are not at their default.
    """

    quantizer: str = "fsq"
    fsq_levels: tuple[int, ...] = (8, 5, 5, 5)
    codebook_size: int = 1024  # vq, and each codebook of rvq; that of fsq is the product of its levels
    codebook_dim: int = 8
    num_codebooks: int = 1  # rvq only
    sampling_rate: int = 250  # Hz
    stride: int = 10  # samples per frame
    coarse_frames: int = 4  # frames per coarse code; 0: none
    coarse_levels: tuple[int, ...] = (5, 5, 5, 5)  # coarse codes are always fsq
    hidden: int = 192
    encoder_depth: int = 4
    decoder_depth: int = 4
    input_scale: float = 4.0  # millivolts are multiplied by this before the encoder: unit variance on average
    search_rounds: int = field(default=0, repr=False)  # of `search.search` after the encoder; fsq only
    backbone: str = field(default="standard", repr=False)  # one of BACKBONES

    LATER: ClassVar[tuple[str, ...]] = ("search_rounds", "backbone")

    def __str__(self) -> str:
        """Equal texts mean equal architectures."""
        later = {name: getattr(self, name) for name in self.LATER}
        changed = [f"{name}={value}" for name, value in later.items() if value != type(self).__dict__[name]]
        return "".join([repr(self), *changed])

    @property
    def layout(self) -> CodeLayout:
        """The codebooks, and the order of their codes."""
        return CodeLayout(
            num_codebooks=self.num_codebooks if self.quantizer == "rvq" else 1,
            codebook_size=math.prod(self.fsq_levels) if self.quantizer == "fsq" else self.codebook_size,
            coarse_frames=self.coarse_frames,
            coarse_codebook_size=math.prod(self.coarse_levels) if self.coarse_frames else 0,
        )

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "TokenizerConfig":
        try:
            values = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise UserError(f"{path}: not JSON (line {error.lineno}); is the folder complete?") from None
        return cls.of(values, path)

    @classmethod
    def of(cls, values: dict, path: Path) -> "TokenizerConfig":
        """The architecture that a file's ``values`` describe. Raises `UserError` with ``path`` if they do not."""
        if (other := values.pop("representation", "codes")) != "codes":
            raise UserError(f"{path}: the representation is {other}; a VQ tokenizer (codes) is needed here")
        values.pop("seen", None)  # what stage 1 has seen (audit.seen)
        known = {each.name for each in fields(cls)}
        if unknown := set(values) - known:
            raise UserError(f"{path}: unknown entries {sorted(unknown)}; was it written by a newer version?")
        if (backbone := values.get("backbone", "standard")) not in BACKBONES:
            raise UserError(f"{path}: unknown backbone {backbone!r}; was it written by a newer version?")
        values.setdefault("coarse_frames", 0)  # configurations older than coarse codes
        levels = {key: tuple(values[key]) for key in ("fsq_levels", "coarse_levels") if key in values}
        return cls(**{**values, **levels})
