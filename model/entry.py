"""Run one stage from its env file: shared by run_main.py, run_eval.py and the ``cardiolect`` command."""

import sys
import time
from pathlib import Path

from cardiolect.ecg_tokenizer.representations import REPRESENTATIONS, resolve
from cardiolect.model.all_settings import SETTINGS, program_of, settings_class
from cardiolect.model.evaluation.reasoning.settings import ReasoningSettings
from cardiolect.model.llm.checkpoint_folder import INFO, read_info
from cardiolect.utils.device import keep_freed_memory
from cardiolect.utils.errors import UserError
from cardiolect.utils.launch import ensure_ranks, gather, is_main, join_ranks, leave_ranks, sharing_ranks, world_size
from cardiolect.utils.launchers import check_count, cores
from cardiolect.utils.resume import FOLDER, stage_of
from cardiolect.utils.settings import EnvSettings
from cardiolect.utils.stopping import EXIT_CODE, Signals, Stopped

LOST_SECONDS = 5  # before a rank reports an error: if it is the loss of another rank, that one reports the cause


def run_stage(stage: str, env_file: Path | str) -> None:
    """Run ``tokenizer`` or a stage of `all_settings.SETTINGS` on as many ranks as its settings say.

    Raises `UserError` for bad settings. Ctrl-C ends every stage with one line and exit code 130; SIGTERM and SIGUSR1
    let training save a step first, and end it with exit code 75.
    """
    settings = settings_class(stage, env_file).load(env_file, program_of)
    if "num_processes" in getattr(settings, "model_fields_set", ()):
        check_count(settings.num_processes)
    if stage != "eval":
        _check_output(stage, settings)
    if getattr(settings, "checkpoint", None):
        read_info(settings.checkpoint)
    try:
        ensure_ranks(getattr(settings, "num_processes", 1))  # some representations are the work of one rank
        keep_freed_memory()
        # Imported only after the ranks are set up: DeepSpeed reads the process environment on import.
        if stage == "tokenizer":
            run = resolve(REPRESENTATIONS[settings.representation].train)
        elif isinstance(settings, ReasoningSettings):
            from cardiolect.model.evaluation.reasoning.evaluate import evaluate as run
        elif stage == "eval":
            from cardiolect.model.evaluation.evaluate import evaluate as run
        elif stage == "pretrain":
            from cardiolect.model.training.stages import pretrain as run
        else:
            from cardiolect.model.training.stages import finetune as run
        join_ranks(settings.device)
        settings = within_cores(settings)
        if world_size() > 1:
            _check_shared(settings.output_dir)
        if is_main() and isinstance(settings, EnvSettings):
            settings.say_unused()
        if stage != "eval":
            with Signals(at_once=True):
                run(settings)
        else:
            run(settings)
    except KeyboardInterrupt:
        if world_size() == 1:  # with several ranks, the process that started them reports it
            print(f"\nstopped{_how_to_go_on(stage, settings)}", file=sys.stderr)
        sys.exit(130)
    except Stopped as stopped:
        if is_main():
            print(f"\n{stopped}", file=sys.stderr, flush=True)
        sys.exit(EXIT_CODE)
    except RuntimeError:
        if world_size() > 1:
            time.sleep(LOST_SECONDS)
        raise
    leave_ranks()


def _how_to_go_on(stage: str, settings: EnvSettings) -> str:
    if stage == "eval":
        return "; to continue, run the same command again"
    if not hasattr(settings, "resume"):  # a representation without steps
        return ""
    names = (path.stem.rpartition("-")[2] for path in (settings.output_dir / FOLDER).glob("*-*"))
    if steps := [int(name) for name in names if name.isdigit()]:
        return f"; RESUME=auto goes on after step {max(steps)}"
    return "; no step is saved, so the run will begin again (SIGTERM, unlike Ctrl-C, saves a step first)"


def within_cores(settings: EnvSettings) -> EnvSettings:
    """The settings with no more WORKERS than this rank may use CPU cores, which is said."""
    workers, most = getattr(settings, "workers", 0), cores()
    if workers <= most:
        return settings
    if is_main():
        print(f"WORKERS={workers}, but this rank may use {most} CPU core{'s' * (most > 1)}: WORKERS={most}")
    return settings.model_copy(update={"workers": most})


def _check_output(stage: str, settings: EnvSettings) -> None:
    """Raise `UserError` if training would overwrite what it begins with, or the model of another stage or program."""
    output = settings.output_dir
    for key in ("tokenizer_path", "llm_path", "checkpoint"):
        path = getattr(settings, key, None)
        if path and Path(path).resolve() == output.resolve():
            raise UserError(
                f"OUTPUT_DIR: {output} is {key.upper()} as well, and would be overwritten; choose another folder"
            )
    begun = stage_of(output)
    ours = (output / INFO).is_file() or begun in SETTINGS or any((output / FOLDER).glob("checkpoint-*"))
    if stage == "tokenizer":
        foreign, what = ours or (output / "tokenizer_config.json").is_file(), "a language model"
    else:
        foreign = begun == "tokenizer" or (not ours and (output / "config.json").is_file())
        what = "a model that this stage has not written"
    if foreign:
        raise UserError(f"OUTPUT_DIR: {output} holds {what}, which would be overwritten; choose another folder")


def _check_shared(output_dir: Path) -> None:
    """Raise `UserError`, on all ranks, unless they write into the same folder."""
    shared = len(sharing_ranks(output_dir)) == world_size()
    if not all(gather(shared)):
        raise UserError(f"OUTPUT_DIR: {output_dir} is not the same folder on all machines; choose one that they share")
