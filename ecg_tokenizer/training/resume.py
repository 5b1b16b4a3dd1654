"""RESUME in stage 1: saved steps, and what an OUTPUT_DIR holds of an earlier run.

``OUTPUT_DIR/resume/step-N.pt`` is the state after step N, the best tokenizer so far included. `utils.resume` decides.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from cardiolect.data_provider.storage.signal_cache import SignalCache
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.training.settings import TrainingSettings
from cardiolect.utils import launch, resume
from cardiolect.utils.errors import UserError
from cardiolect.utils.resume import FOLDER, STAGE, Before, Contents, Start

METRICS, SETTINGS, CONFIG, WEIGHTS = "metrics.json", "settings.json", "config.json", "model.safetensors"
BEGUN_WITH = "begun_with"  # in METRICS
# Every other setting must be equal. Of the paths, the content must be, of which fingerprints are compared.
PATHS = {"data_root", "train_data", "valid_data", "held_out", "measurements_data"}
MAY_DIFFER = PATHS | {
    "output_dir",
    "cache_dir",
    "device",
    "workers",
    "save_steps",
    "resume",
    "max_bad_records",
    "test_data",
    "test_folds",
}


def choose_start(settings: TrainingSettings, train: SignalCache, valid: SignalCache, texts: Mapping[str, str]) -> Start:
    """`utils.resume.choose_start` for stage 1. texts: hashes of what else is learned from, by its name."""

    def contents() -> dict[str, str]:
        found = {
            STAGE: "tokenizer",
            **texts,
            **{f"{name} recordings": _fingerprint(cache) for name, cache in (("train", train), ("valid", valid))},
        }
        if measured := getattr(settings, "measurements_data", ()):
            found["measurements"] = hashlib.sha256(b"".join(path.read_bytes() for path in measured)).hexdigest()[:16]
        if init := getattr(settings, "encoder_init", None):
            found["ENCODER_INIT's content"] = hashlib.sha256((init / WEIGHTS).read_bytes()).hexdigest()[:16]
        if tables := settings.label_tables:
            found["labels"] = hashlib.sha256(b"".join(path.read_bytes() for path in tables)).hexdigest()[:16]
        return found

    return resume.choose_start(settings, contents, _before, _differences)


def _fingerprint(cache: SignalCache) -> str:
    """Number of recordings, and a hash of their ids, leads and signals."""
    digest = hashlib.sha256("\n".join([*cache.record_ids, *cache.digests]).encode())
    digest.update(cache.starts.tobytes() + cache.present.tobytes())
    return f"{len(cache)} ({digest.hexdigest()[:16]})"


def _differences(
    settings: TrainingSettings, contents: Contents, before: Mapping[str, Any], contents_before: Contents
) -> list[str]:
    return resume.differences(settings, contents, before, contents_before, MAY_DIFFER)


def _before(output_dir: Path) -> Before:
    result = "ECG tokenizer" if (output_dir / CONFIG).is_file() else ""
    return Before(last_step(output_dir), result, lambda: _of_result(output_dir))


def _of_result(output_dir: Path) -> tuple[dict[str, Any], Contents]:
    """Settings and contents of a finished tokenizer; what settings of an older release lack is in its config."""
    try:
        settings = json.loads((output_dir / SETTINGS).read_text())
        contents = json.loads((output_dir / METRICS).read_text()).get(BEGUN_WITH, {})
    except (OSError, ValueError, AttributeError):
        raise UserError(
            f"RESUME: {output_dir} holds an ECG tokenizer, but no {SETTINGS} and {METRICS} that say how it was "
            "trained; RESUME=false starts over and replaces it, another OUTPUT_DIR keeps it"
        ) from None
    if settings.get("representation", "codes") != "codes":
        return settings, contents
    return asdict(TokenizerConfig.load(output_dir / CONFIG)) | settings, contents


def last_step(output_dir: Path) -> Path | None:
    """The newest saved step. A file of this name is whole: it was written under another."""
    steps = (output_dir / FOLDER).glob("step-*.pt")
    return max(steps, key=lambda path: int(path.stem.split("-")[1]), default=None)


def save_step(output_dir: Path, step: int, state: Mapping[str, Any]) -> None:
    """Keep this step alone. For all ranks: the state is the main rank's, but each has random numbers of its own."""
    random = launch.gather(_random_state())
    if not launch.is_main():
        return
    path = output_dir / FOLDER / f"step-{step}.pt"
    partial = path.with_suffix(".tmp")
    with open(partial, "wb") as file:
        torch.save({**state, "step": step, "random": random}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    for older in path.parent.glob("step-*.pt"):
        if older != path:
            older.unlink()


def load_step(path: Path) -> dict[str, Any]:
    """The state that `save_step` kept; this rank's random numbers go on from there. Executes nothing in the file."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"RESUME: {path} cannot be read ({reason}); put it back, or start over with RESUME=false"
        ) from None
    for device, numbers in state["random"][launch.rank()].items():
        if device == "cpu":
            torch.set_rng_state(numbers)
        elif torch.cuda.is_available():
            torch.cuda.set_rng_state(numbers)
    return state


def _random_state() -> dict[str, torch.Tensor]:
    on_gpu = {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
    return {"cpu": torch.get_rng_state(), **on_gpu}
