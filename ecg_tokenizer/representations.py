"""Table of representations. ``REPRESENTATION`` in a stage 1 env file selects one of them."""

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cardiolect.utils.errors import UserError
from cardiolect.utils.settings import read_key

if TYPE_CHECKING:
    import torch

    from cardiolect.ecg_tokenizer.base import ECGRepresentation


class Entry(NamedTuple):
    """Import paths of a representation, as ``module:name``; imported only when needed."""

    representation: str  # a subclass of ECGRepresentation
    settings: str  # its stage 1 settings
    train: str  # settings -> figures; writes the representation to OUTPUT_DIR


_ROOM = "cardiolect.ecg_tokenizer"
REPRESENTATIONS = {
    "codes": Entry(
        f"{_ROOM}.codes.tokenizer:ECGTokenizer",
        f"{_ROOM}.training.settings:TokenizerSettings",
        f"{_ROOM}.training.train:train_tokenizer",
    ),
    "measured": Entry(
        f"{_ROOM}.measured.representation:MeasuredECG",
        f"{_ROOM}.measured.settings:MeasuredSettings",
        f"{_ROOM}.measured.representation:make_measured",
    ),
    "bpe": Entry(
        f"{_ROOM}.bpe.tokenizer:BPETokenizer",
        f"{_ROOM}.bpe.settings:BPESettings",
        f"{_ROOM}.bpe.training:train_bpe_representation",
    ),
    "encoder": Entry(
        f"{_ROOM}.encoders.representation:ECGEncoder",
        f"{_ROOM}.encoders.settings:EncoderSettings",
        f"{_ROOM}.encoders.training:train_encoder",
    ),
    "patches": Entry(
        f"{_ROOM}.patches.representation:ECGPatches",
        f"{_ROOM}.patches.settings:PatchSettings",
        f"{_ROOM}.patches.representation:make_patches",
    ),
}


def representation_of(env_file: Path | str) -> Entry:
    """The entry for REPRESENTATION in a stage 1 env file; codes if not set. Raises `UserError` if it is unknown."""
    name = read_key(env_file, "REPRESENTATION") or "codes"
    if name not in REPRESENTATIONS:
        raise UserError(f"{env_file}: REPRESENTATION={name} is unknown; choose one of {', '.join(REPRESENTATIONS)}")
    return REPRESENTATIONS[name]


def resolve(target: str):
    """Import the object at ``module:name``."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def load_representation(folder: Path | str, device: "str | torch.device" = "cpu") -> "ECGRepresentation":
    """Load a saved representation of any kind. Raises `UserError` if it is missing or of an unknown kind."""
    folder = Path(folder)
    if (folder / "ecg_tokenizer").is_dir():
        raise UserError(f"{folder}: a checkpoint of a language model; its ECG tokenizer is {folder}/ecg_tokenizer")
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder}: no ECG tokenizer here (config.json is missing); train one with run_tokenizer.sh")
    try:
        name = json.loads(path.read_text()).get("representation", "codes")  # older folders have no key and hold codes
    except (ValueError, AttributeError):
        raise UserError(f"{path}: not a JSON object; is the folder complete?") from None
    if name not in REPRESENTATIONS:
        known = ", ".join(REPRESENTATIONS)
        raise UserError(f"{path}: unknown representation {name!r} (known: {known}); was it written by a newer version?")
    return resolve(REPRESENTATIONS[name].representation).from_pretrained(folder, device)
