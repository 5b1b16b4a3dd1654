"""RESUME in every training stage: whether a run begins, goes on after its last saved step, or is finished already.

``OUTPUT_DIR/resume`` holds saved steps and what the run began with. A finished result says itself what it began with;
its steps are removed.
"""

import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import BeforeValidator
from pydantic_core import PydanticUndefined, to_jsonable_python

from cardiolect.utils import launch
from cardiolect.utils.code_version import code_version
from cardiolect.utils.errors import UserError
from cardiolect.utils.settings import EnvSettings

FOLDER = "resume"  # in OUTPUT_DIR: the saved steps
SETTINGS, CONTENTS, CODE = "settings.json", "begun_with.json", "code.json"
STAGE = "stage"  # what a run began with, in CONTENTS
BOOLEANS = {"true": ("true", "1", "yes", "on", "t", "y"), "false": ("false", "0", "no", "off", "f", "n")}
DESCRIPTION = (
    "auto: continue from the last saved step in OUTPUT_DIR; stop if that step, or a finished {result} there, was made "
    "with different settings or data. true: the same, with a line if there is nothing to continue. false: start over "
    "and replace both."
)
Contents = Mapping[str, str]  # what -> fingerprint of what the paths in the settings hold
T = TypeVar("T")


def _spell_boolean(value: Any) -> Any:
    """Every spelling of a boolean becomes "true" or "false"; other values stay."""
    return next((word for word, spellings in BOOLEANS.items() if str(value).lower() in spellings), value)


Resume = Annotated[Literal["auto", "true", "false"], BeforeValidator(_spell_boolean)]


class Start(NamedTuple):
    """How a run starts: after a saved step, or from the beginning. finished: not at all, there is nothing to do.

    code: the versions of the code that have trained, in order, up to this one.
    """

    contents: Contents
    step: Path | None = None
    finished: bool = False
    code: Sequence[str] = ()


class Before(NamedTuple):
    """What an OUTPUT_DIR holds of an earlier run.

    step: its last complete saved step. result: its finished result, in words; "" if there is none. begun_with: the
    settings and contents of that result. check_step: raises `UserError` if it is impossible to go on after the step.
    """

    step: Path | None
    result: str
    begun_with: Callable[[], tuple[Mapping[str, Any], Contents]]
    check_step: Callable[[Path], None] = lambda step: None


def choose_start(
    settings: EnvSettings,
    contents: Callable[[], Contents],
    before: Callable[[Path], Before],
    compare: Callable[[EnvSettings, Contents, Mapping[str, Any], Contents], list[str]],
) -> Start:
    """Decide on the main rank by RESUME and what is in OUTPUT_DIR; nothing is changed there.

    contents, before: called on the main rank only. compare: `differences` with what this stage may change. Raises
    `UserError`, on all ranks, if the folder holds another run.
    """
    return on_main(lambda: _decide(settings, contents(), before(settings.output_dir), compare))


def _decide(settings: EnvSettings, contents: Contents, before: Before, compare: Callable[..., list[str]]) -> Start:
    output, last, result = settings.output_dir, before.step, before.result
    new = Start(contents, code=[code_version()])
    if settings.resume == "false":
        if last:
            print(f"RESUME=false: starting over; the saved steps in {last.parent} are removed when training begins")
        if result:
            print(f"RESUME=false: starting over; the {result} in {output} is overwritten at the end")
        return new
    begun = not last and (output / FOLDER / CONTENTS).is_file()
    if begun and not compare(settings, contents, *_begun_with(output / FOLDER)):
        # A result in the folder is that of the run before, which this one was started to replace.
        print(f"this run has begun, but {output / FOLDER} holds no saved step; starting from the beginning")
        return new
    if not last and not result:
        if settings.resume == "true":
            print(f"RESUME=true, but {output / FOLDER} holds no saved step; starting from the beginning")
        return new
    began = _begun_with(last.parent) if last else before.begun_with()
    if others := compare(settings, contents, *began):
        what = f"{last}, a saved step" if last else f"{output}, a finished {result}"
        raise UserError(
            f"RESUME: {what}, is of another run: {'; '.join(others)}. RESUME=false starts over and replaces it, "
            "another OUTPUT_DIR keeps it"
        )
    if last:
        before.check_step(last)
        print(f"going on after {last}")
        return Start(contents, last, code=_with_this_code(last.parent / CODE))
    print(f"{output} holds the finished {result} of this run; nothing is trained (RESUME=false starts over)")
    return Start(contents, finished=True)


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


def on_main(work: Callable[[], T]) -> T:
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


def comparable(settings: EnvSettings) -> dict[str, Any]:
    """The settings as they are stored; NUM_PROCESSES is the number of ranks, whoever started them."""
    return {**settings.model_dump(mode="json"), "num_processes": launch.world_size()}


def differences(
    settings: EnvSettings,
    contents: Contents,
    before: Mapping[str, Any],
    contents_before: Contents,
    may_differ: Collection[str] = (),
    unordered: Collection[str] = (),
) -> list[str]:
    """What a run may not change and does, in words. A setting that the earlier run did not have was at its default."""
    found = []
    for key, now in comparable(settings).items():
        default = type(settings).model_fields[key].get_default(call_default_factory=True)
        old = before.get(key, None if default is PydanticUndefined else to_jsonable_python(default))
        same = set(old) == set(now) if key in unordered else old == now
        if key not in may_differ and not same:
            found.append(f"{key.upper()} was {_spelled(old)}, now {_spelled(now)}")
    for what, now in contents.items():
        if (old := contents_before.get(what, now)) != now:
            found.append(f"{what} was {old}, now {now}")
    return found


def _spelled(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "empty"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def begin(settings: EnvSettings, start: Start) -> None:
    """Note what the run begins with; if it goes on after no step, remove the saved steps of earlier runs before."""
    folder = settings.output_dir / FOLDER
    if start.step is None:
        finish(settings.output_dir)
        folder.mkdir(parents=True)
    (folder / CODE).write_text(json.dumps(start.code, indent=2) + "\n")
    if start.step is None:
        (folder / SETTINGS).write_text(json.dumps(comparable(settings), indent=2, sort_keys=True) + "\n")
        (folder / CONTENTS).write_text(json.dumps(start.contents, indent=2) + "\n")


def finish(output_dir: Path) -> None:
    """Remove the saved steps, if any. They vanish at once: half a step, left by a kill, would be taken for a whole."""
    folder, gone = output_dir / FOLDER, output_dir / f".{FOLDER}.removed"
    shutil.rmtree(gone, ignore_errors=True)  # what a kill has left
    if folder.exists():
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def stage_of(output_dir: Path) -> str | None:
    """The stage whose saved steps are in OUTPUT_DIR; None if there are none, or none of a release that says so."""
    try:
        return json.loads((output_dir / FOLDER / CONTENTS).read_text())[STAGE]
    except (OSError, ValueError, TypeError, KeyError):
        return None


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
