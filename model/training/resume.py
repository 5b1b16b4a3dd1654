"""RESUME: whether a run begins, goes on after its last saved step, or is finished already.

``OUTPUT_DIR/resume`` holds saved steps (DeepSpeed's state, which is pickled) and what the run began with. A finished
checkpoint says in cardiolect.json what it began with; its steps are removed.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic_core import PydanticUndefined, to_jsonable_python

from cardiolect.model.llm.checkpoint import INFO, read_info
from cardiolect.model.training.settings import FOLDER, TrainSettings
from cardiolect.utils import launch
from cardiolect.utils.code_version import code_version
from cardiolect.utils.errors import UserError

SETTINGS, CONTENTS, CODE = "settings.json", "begun_with.json", "code.json"
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
    "accept_unknown_leakage",
    "test_data",
    "test_folds",
}
ADAPTERS = {"lora_rank", "lora_alpha", "lora_dropout", "lora_targets", "lora_variant", "train_norms"}  # of TUNING=lora
FIGURES = (
    "steps",
    "epochs",
    "train_loss",
    "valid_loss",
    "best_step",
    "sequences",
    "stopped_early",
    "speed",
    "peak_memory",
)
T = TypeVar("T")


class Start(NamedTuple):
    """How a run starts: after a saved step, or from the beginning. finished: not at all, there is nothing to do.

    contents: what -> fingerprint of what the paths in the settings hold. code: the versions of the code that have
    trained, in order, up to this one.
    """

    contents: Mapping[str, str]
    step: Path | None = None
    finished: bool = False
    code: Sequence[str] = ()


def choose_start(settings: TrainSettings, contents: Callable[[], Mapping[str, str]]) -> Start:
    """Decide on the main rank by RESUME and what is in OUTPUT_DIR; nothing is changed there.

    contents: computed on the main rank only. Raises `UserError`, on all ranks, if the folder holds another run.
    """
    return _on_main(lambda: _decide(settings, contents()))


def _on_main(work: Callable[[], T]) -> T:
    """The result of the main rank's ``work``, or its `UserError`, on all ranks."""
    result = error = None
    if launch.is_main():
        try:
            result = work()
        except UserError as raised:
            error = str(raised)
    result, error = launch.gather((result, error))[0]
    if error:
        raise UserError(error)
    return result


def _decide(settings: TrainSettings, contents: Mapping[str, str]) -> Start:
    output, last = settings.output_dir, last_step(settings.output_dir)
    finished, new = last is None and (output / INFO).is_file(), Start(contents, code=[code_version()])
    if settings.resume == "false":
        if last:
            print(f"RESUME=false: starting over; the saved steps in {last.parent} are removed when training begins")
        if (output / INFO).is_file():
            print(f"RESUME=false: starting over; the checkpoint in {output} is overwritten at the end")
        return new
    begun = not last and (output / FOLDER / CONTENTS).is_file()
    if begun and not differences(settings, contents, *_begun_with(output / FOLDER)):
        # A checkpoint in the folder is that of the run before, which this one was started to replace.
        print(f"this run has begun, but {output / FOLDER} holds no saved step; starting from the beginning")
        return new
    if not last and not finished:
        if settings.resume == "true":
            print(f"RESUME=true, but {output / FOLDER} holds no saved step; starting from the beginning")
        return new
    before = _begun_with(last.parent) if last else _of_checkpoint(output)
    if others := differences(settings, contents, *before):
        what = f"{last}, a saved step" if last else f"{output}, a finished checkpoint"
        raise UserError(
            f"RESUME: {what}, is of another run: {'; '.join(others)}. RESUME=false starts over and replaces it, "
            "another OUTPUT_DIR keeps it"
        )
    if last:
        _check_best(last)
        print(f"going on after {last}")
        return Start(contents, last, code=_with_this_code(last.parent / CODE))
    else:
        print(f"{output} holds the finished checkpoint of this run; nothing is trained (RESUME=false starts over)")
    return Start(contents, finished=finished)


def _with_this_code(file: Path) -> list[str]:
    """The versions of the code that have trained, and this one; says so if it is another."""
    now = code_version()
    try:
        before = list(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        before = ["unknown"]  # an earlier release wrote it
    if before[-1:] == [now]:
        return before
    print(f"the saved steps are of another version of the code ({before[-1]}, now {now}); results may differ")
    return [*before, now]


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


def comparable(settings: TrainSettings) -> dict[str, Any]:
    """The settings as they are stored; NUM_PROCESSES is the number of ranks, whoever started them."""
    return {**settings.model_dump(mode="json"), "num_processes": launch.world_size()}


def differences(
    settings: TrainSettings,
    contents: Mapping[str, str],
    before: Mapping[str, Any],
    contents_before: Mapping[str, str],
) -> list[str]:
    """What a run may not change and does, in words. A setting that the earlier run did not have was at its default."""
    found, unused = [], ADAPTERS if settings.tuning == "full" else set()
    for key, now in comparable(settings).items():
        default = type(settings).model_fields[key].get_default(call_default_factory=True)
        old = before.get(key, None if default is PydanticUndefined else to_jsonable_python(default))
        same = set(old) == set(now) if key == "lora_targets" else old == now
        if key not in MAY_DIFFER | unused and not same:
            found.append(f"{key.upper()} was {_spelled(old)}, now {_spelled(now)}")
    for what, now in contents.items():
        if (old := contents_before.get(what, now)) != now:
            found.append(f"{what} was {old}, now {now}")
    return found


def _spelled(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "empty"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def begin(settings: TrainSettings, start: Start) -> None:
    """Note what the run begins with; if it goes on after no step, remove the saved steps of earlier runs before."""
    folder = settings.output_dir / FOLDER
    if start.step:
        (folder / CODE).write_text(json.dumps(start.code, indent=2) + "\n")
        return
    finish(settings.output_dir)
    folder.mkdir(parents=True)
    (folder / CODE).write_text(json.dumps(start.code, indent=2) + "\n")
    (folder / SETTINGS).write_text(json.dumps(comparable(settings), indent=2, sort_keys=True) + "\n")
    (folder / CONTENTS).write_text(json.dumps(start.contents, indent=2) + "\n")


def finish(output_dir: Path) -> None:
    """Remove the saved steps, if any. They vanish at once: half a step, left by a kill, would be taken for a whole."""
    folder, gone = output_dir / FOLDER, output_dir / f".{FOLDER}.removed"
    shutil.rmtree(gone, ignore_errors=True)  # what a kill has left
    if folder.exists():
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def figures_of(output_dir: Path) -> dict[str, Any]:
    """The figures of a finished run, as training returned them."""
    info, curve = read_info(output_dir), output_dir / "loss_curve.json"
    losses = json.loads(curve.read_text()) if curve.is_file() else []
    return {**{key: info.get(key) for key in FIGURES}, "loss_curve": losses}


def _begun_with(folder: Path) -> tuple[dict, dict]:
    found = []
    for name in (SETTINGS, CONTENTS):
        try:
            found.append(dict(json.loads((folder / name).read_text())))
        except (OSError, ValueError, TypeError):
            raise UserError(
                f"RESUME: {folder / name} cannot be read, so that the saved steps may be of any run; RESUME=false "
                "starts over, another OUTPUT_DIR keeps them"
            ) from None
    return found[0], found[1]


def _of_checkpoint(output_dir: Path) -> tuple[dict, dict]:
    info = read_info(output_dir)
    older = {"ECG tokenizer": info.get("ecg_tokenizer_fingerprint"), "data": info.get("data_fingerprint")}
    contents = {"stage": info.get("stage"), **info.get("begun_with", older)}
    return info.get("settings", {}), {what: value for what, value in contents.items() if value}
