"""The settings classes of all stages: which one an env file is for, and which stages have a key."""

from pathlib import Path

from cardiolect.ecg_tokenizer.representations import REPRESENTATIONS, representation_of, resolve
from cardiolect.model.evaluation.reasoning.settings import REASONING, ReasoningSettings
from cardiolect.model.evaluation.settings import EvalSettings
from cardiolect.model.training.settings import FinetuneSettings, PretrainSettings
from cardiolect.utils.settings import EnvSettings, read_key

SETTINGS = {  # stage 1 has settings for each representation, and evaluation others for reasoning chains
    "pretrain": PretrainSettings,
    "finetune": FinetuneSettings,
    "eval": EvalSettings,
}


def settings_class(stage: str, env_file: Path | str) -> type[EnvSettings]:
    """The settings of a stage, which may depend on what its env file sets. Raises `UserError` if that is unknown."""
    if stage == "tokenizer":
        return resolve(representation_of(env_file).settings)
    # A missing file is reported when it is loaded.
    if stage == "eval" and Path(env_file).is_file() and read_key(env_file, "TASKTYPE") == REASONING:
        return ReasoningSettings
    return SETTINGS[stage]


def program_of(key: str) -> str | None:
    """The scripts that have a setting, in words; None if none has."""
    classes = {f"{stage}.sh": cls for stage, cls in SETTINGS.items()}
    classes |= {f"run_tokenizer.sh with REPRESENTATION={k}": resolve(e.settings) for k, e in REPRESENTATIONS.items()}
    found = [name for name, cls in classes.items() if key.lower() in cls.model_fields]
    if not found and key.lower() in ReasoningSettings.model_fields:
        return "eval.sh with TASKTYPE=reasoning"
    return f"{', '.join(found[:-1])} and {found[-1]}" if len(found) > 1 else "".join(found) or None
