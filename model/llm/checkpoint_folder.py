"""What the folder of a checkpoint says about itself: its cardiolect.json, its models, its fingerprint."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cardiolect.ecg_tokenizer.representations import load_representation
from cardiolect.ecg_tokenizer.retrieval.settings import FOLDER as RETRIEVAL
from cardiolect.ecg_tokenizer.retrieval.settings import TEXTS
from cardiolect.utils.errors import UserError

if TYPE_CHECKING:
    from cardiolect.ecg_tokenizer.base import ECGRepresentation
    from cardiolect.ecg_tokenizer.retrieval.index import NeighbourIndex

INFO = "cardiolect.json"
CALIBRATION = "calibration.json"  # of yes-or-no answers, see `inference.calibration`
BASE_CHAT_TEMPLATE = "base_chat_template.jinja"
FINGERPRINTED = (  # in addition to the weights
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    BASE_CHAT_TEMPLATE,
    TEXTS,
)


def read_info(path: Path) -> dict:
    """The contents of cardiolect.json. Raises `UserError` if ``path`` is not a checkpoint."""
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; pretrain.sh and finetune.sh write checkpoints")
    if not (path / INFO).is_file():
        raise UserError(f"{path}: not a checkpoint ({INFO} is missing); pretrain.sh and finetune.sh write them")
    return _read_json(path / INFO)


def add_info(folder: Path, **values) -> None:
    """Add ``values`` to the cardiolect.json of a saved checkpoint."""
    (folder / INFO).write_text(json.dumps(read_info(folder) | values, indent=2, sort_keys=True) + "\n")


def bits_of(info: dict) -> int:
    """The bits in which the language model was loaded in training; 0 if it was not quantised."""
    return info.get("load_bits", 0)


def base_of(folder: Path) -> Path | None:
    """The language model that a checkpoint's adapters belong to; None if the checkpoint is a complete model."""
    config = folder / "adapter_config.json"
    if not config.is_file():
        return None
    name = _read_json(config).get("base_model_name_or_path")
    if not isinstance(name, str):
        raise UserError(f"{config}: does not name a language model; is the checkpoint complete?")
    if not Path(name).is_dir():
        raise UserError(
            f"{folder}: contains adapters of the language model {name}, which does not exist; put it back or merge"
        )
    return Path(name)


def load_ecg_tokenizer(path: Path) -> "ECGRepresentation":
    """The ECG tokenizer in a checkpoint. Raises `UserError` if the checkpoint was trained with another one."""
    representation = load_representation(path / "ecg_tokenizer")
    if (path / INFO).is_file():
        check_ecg_tokenizer(path, representation, path / "ecg_tokenizer")
    return representation


def load_index(path: Path) -> "NeighbourIndex | None":
    """The index of similar recordings in a checkpoint; None if it was trained without.

    Raises `UserError` if it should be there and is not, or is damaged.
    """
    if "retrieval" not in read_info(path):
        return None
    from cardiolect.ecg_tokenizer.retrieval.index import NeighbourIndex

    return NeighbourIndex.from_pretrained(path / RETRIEVAL)


def check_ecg_tokenizer(path: Path, representation: "ECGRepresentation", where: Path) -> None:
    """Raise `UserError` if the checkpoint ``path`` was trained with another ECG tokenizer than that of ``where``.

    Its codes may be as many, but they mean other waveforms.
    """
    trained_with, found = read_info(path).get("ecg_tokenizer_fingerprint"), representation.fingerprint()
    if trained_with and trained_with != found:
        raise UserError(
            f"{where}: is not the ECG tokenizer that {path} was trained with (its fingerprint is {found}, not "
            f"{trained_with}); take the original one"
        )


def _read_json(path: Path) -> dict:
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        reason = " ".join(str(error).split())[:80]
        raise UserError(f"{path}: not JSON ({reason}); is the checkpoint complete?") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: does not contain a JSON object; is the checkpoint complete?")
    return found


def fingerprint(folder: Path) -> str:
    """Short hash of everything that determines a checkpoint's answers.

    That is weights, configuration and text tokenizer (for adapters also those of the base model), the ECG tokenizer and
    the index of similar recordings.
    Raises `UserError` if one of these is missing.
    """
    paths = []
    index = folder / RETRIEVAL
    for part in (folder, folder / "ecg_tokenizer", base_of(folder), index if index.is_dir() else None):
        if part is not None:
            if not part.is_dir():
                raise UserError(f"{folder}: not a checkpoint ({part} is missing)")
            paths += _fingerprinted(part)
    return _hash_of(paths)


def fingerprint_of_parts(*parts: Path | str) -> str:
    """Short hash of the weights, configuration and text tokenizers in folders or files.

    A part that is neither, such as a name on a hub, counts by its name.
    """
    weights = (".safetensors", ".bin", ".gguf")
    paths = [path for part in map(Path, parts) for path in (_fingerprinted(part, weights) if part.is_dir() else [part])]
    return _hash_of(paths)


def _fingerprinted(folder: Path, weights: Sequence[str] = (".safetensors",)) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.suffix in weights or path.name in FINGERPRINTED]


def _hash_of(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode())
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
