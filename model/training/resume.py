"""RESUME in stages 2 and 3: what an OUTPUT_DIR holds of an earlier run, and which settings it may change.

``OUTPUT_DIR/resume`` holds saved steps (DeepSpeed's state, which is pickled) and what the run began with. A finished
checkpoint says in cardiolect.json what it began with; its steps are removed. `utils.resume` decides.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cardiolect.model.llm.checkpoint_folder import INFO, read_info
from cardiolect.model.training.settings import ADAPTERS, WARMUP_STEPS, TrainSettings
from cardiolect.utils import resume
from cardiolect.utils.errors import UserError
from cardiolect.utils.resume import FOLDER, STAGE, Before, Contents, Start

# Every other setting must be equal. Of the paths, the content must be, of which fingerprints are compared.
PATHS = {
    "data_root",
    "train_data",
    "valid_data",
    "held_out",
    "tiny_corpus",
    "replay_text",
    "tokenizer_path",
    "llm_path",
    "checkpoint",
    "deepspeed_config",
}
MAY_DIFFER = PATHS | {
    "output_dir",
    "cache_dir",
    "device",
    "workers",
    "verbose_steps",
    "save_steps",
    "report_to",
    "resume",
    "gradient_checkpointing",
    "max_bad_records",
    "test_data",
    "test_folds",
    "accept_unknown_leakage",
}
FIGURES = (
    "steps",
    "warmup_steps",
    "epochs",
    "train_loss",
    "valid_loss",
    "best_step",
    "sequences",
    "stopped_early",
    "speed",
    "peak_memory",
)


def choose_start(settings: TrainSettings, contents: Callable[[], Mapping[str, str]]) -> Start:
    """`utils.resume.choose_start` for stages 2 and 3."""
    return resume.choose_start(settings, contents, _before, differences)


def differences(
    settings: TrainSettings, contents: Contents, before: Mapping[str, Any], contents_before: Contents
) -> list[str]:
    """`utils.resume.differences` for stages 2 and 3."""
    before = _as_now(settings, before)
    may_differ = MAY_DIFFER | (ADAPTERS if settings.tuning != "lora" else set())
    return resume.differences(settings, contents, before, contents_before, may_differ, {"lora_targets"})


def _as_now(settings: TrainSettings, before: Mapping[str, Any]) -> dict[str, Any]:
    """What earlier releases recorded for keys that were not set, as it is recorded now if it means the same."""
    before = dict(before)
    if settings.token_row_learning_rate and not before.get("token_row_learning_rate"):
        before["token_row_learning_rate"] = before.get("learning_rate", settings.learning_rate)
    same_warmup = settings.warmup_ratio or settings.max_steps >= 10 * WARMUP_STEPS
    if settings.warmup_steps is None and before.get("warmup_steps") == WARMUP_STEPS and same_warmup:
        before["warmup_steps"] = None
    return before


def _before(output_dir: Path) -> Before:
    result = "checkpoint" if (output_dir / INFO).is_file() else ""
    return Before(last_step(output_dir), result, lambda: _of_checkpoint(output_dir), _check_best)


def last_step(output_dir: Path) -> Path | None:
    """The newest complete step; trainer_state.json is written last, so incomplete ones lack it."""
    steps = [path.parent for path in (output_dir / FOLDER).glob("checkpoint-*/trainer_state.json")]
    return max(steps, key=lambda path: int(path.name.split("-")[1]), default=None)


def _check_best(step: Path) -> None:
    """Raise `UserError` if the best step so far is gone: the run would end with other weights than it says."""
    best = json.loads((step / "trainer_state.json").read_text()).get("best_global_step")
    if best and not (step.parent / f"checkpoint-{best}").is_dir():
        raise UserError(
            f"RESUME: {step.parent}/checkpoint-{best}, the best step so far, is missing; put it back, or start over "
            "with RESUME=false"
        )


def figures_of(output_dir: Path) -> dict[str, Any]:
    """The figures of a finished run, as training returned them."""
    info, curve = read_info(output_dir), output_dir / "loss_curve.json"
    losses = json.loads(curve.read_text()) if curve.is_file() else []
    return {**{key: info.get(key) for key in FIGURES}, "loss_curve": losses}


def _of_checkpoint(output_dir: Path) -> tuple[dict, dict]:
    info = read_info(output_dir)
    older = {"ECG tokenizer": info.get("ecg_tokenizer_fingerprint"), "data": info.get("data_fingerprint")}
    contents = {STAGE: info.get("stage"), **info.get("begun_with", older)}
    return info.get("settings", {}), {what: value for what, value in contents.items() if value}
