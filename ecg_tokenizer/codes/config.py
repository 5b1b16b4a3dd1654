"""What must be known to rebuild a tokenizer from its weights."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from cardiolect.utils.errors import UserError


@dataclass(frozen=True)
class TokenizerConfig:
    """The architecture of an `ECGTokenizer`; stored as ``config.json`` beside its weights."""

    quantizer: str = "fsq"
    fsq_levels: tuple[int, ...] = (8, 5, 5, 5)
    codebook_size: int = 1024  # of vq and of each codebook of rvq; fsq's is the product of its levels
    codebook_dim: int = 8
    num_codebooks: int = 1  # of rvq
    sampling_rate: int = 250  # Hz
    stride: int = 10  # samples per frame
    coarse_frames: int = 4  # frames per coarse code; 0: none
    coarse_levels: tuple[int, ...] = (5, 5, 5, 5)  # fsq of coarse codes
    hidden: int = 192
    encoder_depth: int = 4
    decoder_depth: int = 4
    input_scale: float = 4.0  # millivolts are multiplied by this before the encoder: unit variance on average

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "TokenizerConfig":
        try:
            values = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise UserError(f"{path}: not JSON (line {error.lineno}); is the folder complete?") from None
        if (other := values.pop("representation", "codes")) != "codes":
            raise UserError(f"{path}: holds {other}; the codes of a VQ tokenizer are needed here")
        known = {field.name for field in fields(cls)}
        if unknown := set(values) - known:
            raise UserError(f"{path}: unknown entries {sorted(unknown)}; was it written by a newer version?")
        values.setdefault("coarse_frames", 0)  # written before there were coarse codes
        levels = {key: tuple(values[key]) for key in ("fsq_levels", "coarse_levels") if key in values}
        return cls(**{**values, **levels})
