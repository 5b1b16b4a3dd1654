"""What determines an encoder, without PyTorch."""

from dataclasses import dataclass
from typing import Literal

EncoderName = Literal[
    "s4",
    "resnet18",
    "resnet50",
    "resnet101",
    "xresnet101",
    "convnext-atto",
    "convnext-femto",
    "convnext-pico",
    "convnext-nano",
    "convnext-tiny",
    "convnext-base",
    "convnext-large",
    "convnext-huge",
    "st-mem",
    "mtae",
    "mlae",
    "picture",
]


@dataclass(frozen=True)
class EncoderConfig:
    """Determines an encoder and the rows of an ECG; stored as ``config.json``.

    width: of its first stage, or of a transformer; depth: blocks of each stage, or of a transformer; 0: as published.
    patch: samples of a patch of st-mem and mtae; of mlae those of a whole ECG. sampling_rate: Hz. scaling: of the
    input: "millivolts", or by the deviation ("deviation") or the range ("range") of all leads together, as published,
    which loses voltages. tokens: rows of an ECG, means over neighbours; 0: one for each token of the encoder. frozen:
    whether items are its features, which cannot be trained further, or samples. vision: of picture: its configuration
    as the transformers library writes it.
    """

    encoder: EncoderName = "s4"
    width: int = 0
    depth: int = 0
    patch: int = 100
    sampling_rate: int = 250
    scaling: Literal["millivolts", "deviation", "range"] = "millivolts"
    tokens: int = 0
    frozen: bool = True
    vision: str = ""
