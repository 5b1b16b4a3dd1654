"""One stage from its env file: what run_main.py, run_eval.py, run_tokenizer.sh and ``cardiolect`` start."""

import sys
from pathlib import Path

from cardiolect.ecg_tokenizer.representations import representation_of, resolve
from cardiolect.model.evaluation.settings import EvalSettings
from cardiolect.model.training.settings import FinetuneSettings, PretrainSettings
from cardiolect.utils.launch import ensure_ranks, join_ranks, leave_ranks
from cardiolect.utils.memory import keep_freed_memory

SETTINGS = {  # stage 1 has settings for each representation
    "pretrain": PretrainSettings,
    "finetune": FinetuneSettings,
    "eval": EvalSettings,
}


def run_stage(stage: str, env_file: Path | str) -> None:
    """Run ``tokenizer`` or a stage of `SETTINGS` on as many ranks as its settings say; `UserError` for bad settings."""
    representation = representation_of(env_file) if stage == "tokenizer" else None
    settings = (resolve(representation.settings) if representation else SETTINGS[stage]).load(env_file)
    ensure_ranks(settings.num_processes)
    keep_freed_memory()
    # Only now that the ranks stand: DeepSpeed reads the process environment when imported.
    if representation:
        work = resolve(representation.train)
    elif stage == "eval":
        from cardiolect.model.evaluation.evaluate import evaluate as work
    elif stage == "pretrain":
        from cardiolect.model.training.stages import pretrain as work
    else:
        from cardiolect.model.training.stages import finetune as work
    join_ranks(settings.device)
    try:
        work(settings)
    except KeyboardInterrupt:
        goes_on = {"tokenizer": "", "eval": "; the same command goes on"}.get(stage, "; RESUME=true goes on")
        print(f"\nstopped{goes_on}", file=sys.stderr)
        sys.exit(130)
    leave_ranks()
