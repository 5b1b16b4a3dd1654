"""Typed settings from an env file: one experiment per file, the process environment overrides it.

A file may begin with ``BASE=other.env``: the lines of that file count unless this one sets the key. A settings class
declares every key with its type, default and meaning; a key that the class does not declare (in a base too), a value of
the wrong type or a path that does not exist is one `UserError` line before any work starts.
"""

import difflib
import json
import os
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Annotated, Any, Self

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream
from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from cardiolect.utils.errors import UserError, make_folder

BASE = "BASE"
SHOWN = 10  # env files of a folder that an error lists
Owner = Callable[[str], str | None]


def _unknown(key: str) -> None:
    return None


def _split(value: Any) -> Any:
    if isinstance(value, Path):
        return [value]
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Paths = Annotated[list[Path], NoDecode, BeforeValidator(_split), PlainSerializer(lambda v: [str(p) for p in v])]
Names = Annotated[list[str], NoDecode, BeforeValidator(_split)]
Integers = Annotated[list[int], NoDecode, BeforeValidator(_split)]
Numbers = Annotated[list[float], NoDecode, BeforeValidator(_split)]


class EnvSettings(BaseSettings):
    """Base of every settings class: what all stages share, and how a file is read."""

    model_config = SettingsConfigDict(
        extra="ignore", env_ignore_empty=True, validate_default=False, frozen=True, allow_inf_nan=False
    )

    seed: int = Field(42, description="The one seed of every random choice.")
    device: str = Field("auto", pattern="^(auto|cpu|cuda)$", description="auto takes CUDA where there is one.")
    output_dir: Path = Field(description="Folder for what the run writes.")

    @classmethod
    def keys(cls) -> list[str]:
        """The names of all settings as they stand in an env file."""
        return [name.upper() for name in cls.model_fields]

    @classmethod
    def load(cls, env_file: Path | str, owner: Owner = _unknown, **overrides: Any) -> Self:
        """Read and validate ``env_file``; raises `UserError` with one line that names the file and the key.

        owner: the program that has a key which this class does not have, to name it in the message.
        """
        settings = cls.read(env_file, owner, **overrides)
        try:
            settings.check()
        except UserError as error:
            raise UserError(_with_file(str(error), env_files(Path(env_file)))) from None
        return settings

    @classmethod
    def read(cls, env_file: Path | str, owner: Owner = _unknown, **overrides: Any) -> Self:
        """As `load`, but without `check`: paths that an earlier stage will write need not exist yet."""
        path = Path(env_file)
        _need_env_file(path)
        files = env_files(path)
        known = cls.keys()
        for file in files:
            unknown = [key for key in dotenv_values(file) if key.upper() not in (*known, BASE)]
            if unknown:
                others = f"; also unknown: {', '.join(unknown[1:])}" if unknown[1:] else ""
                hint = _hint(unknown[0].upper(), known, owner)
                raise UserError(f"{_place(file, path)}: unknown key {unknown[0]}{hint}{others}")
        try:
            return cls(_env_file=files, **overrides)
        except ValidationError as error:
            raise UserError(_with_file(_one_line(error), files)) from None

    def check(self) -> None:
        """Look at what types cannot say: paths that must exist, combinations that cannot be. Raises `UserError`."""
        make_folder("OUTPUT_DIR:", self.output_dir)
        if not os.access(self.output_dir, os.W_OK):
            raise UserError(f"OUTPUT_DIR: {self.output_dir} cannot be written to")
        if self.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                raise UserError("DEVICE=cuda, but PyTorch finds no CUDA device here; use auto or cpu")

    def unused(self) -> Iterable[tuple[str, Collection[str]]]:
        """Why some settings have no effect with the others, and their names, set or not."""
        return ()

    def say_unused(self) -> None:
        """Print a line for each reason why settings that were set are not used."""
        for reason, names in self.unused():
            if keys := [name.upper() for name in type(self).model_fields if name in self.model_fields_set & set(names)]:
                print(f"{', '.join(keys)} not used: {reason}")

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def env_files(path: Path) -> list[Path]:
    """The env file ``path`` after the files that BASE names, the furthest first: the last to set a key wins.

    Raises `UserError` if a line cannot be read, a base is missing or the bases go round in a circle.
    """
    files = [path]
    while base := _check_lines(files[0]):
        file = files[0].parent / base
        _need_env_file(file, f"{files[0]}: BASE={base}")
        if file.resolve() in [other.resolve() for other in files]:
            raise UserError(f"{files[0]}: BASE={base} leads back to {file}; bases must not form a circle")
        files.insert(0, file)
    return files


def read_key(env_file: Path | str, key: str) -> str | None:
    """The value of ``key`` by the process environment, the file or its bases, before a settings class is chosen."""
    path = Path(env_file)
    _need_env_file(path)
    value = None
    for file in env_files(path):
        value = next((v for k, v in dotenv_values(file).items() if v and k.upper() == key), value)
    return os.environ.get(key) or value


def _need_env_file(path: Path, named: str = "") -> None:
    """Raise `UserError` unless ``path`` is a file; for a folder, the message lists the env files in it.

    named: how the user named it, if not by ``path``.
    """
    named, where = named or str(path), f" ({path})" if named else ""
    if path.is_dir():
        found = sorted(path.glob("*.env")) or sorted(path.rglob("*.env"))
        names = ", ".join(map(str, found[:SHOWN])) + (", ..." if len(found) > SHOWN else "")
        raise UserError(
            f"{named}: a folder{where}; name an env file{f' in it: {names}' if found else '; it holds none'}"
        )
    if not path.is_file():
        raise UserError(f"{named}: no such env file{where}")


def _hint(key: str, known: Collection[str], owner: Owner) -> str:
    if program := owner(key):
        return f" here; it is a setting of {program}"
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]}?" if near else "; docs/SETTINGS.md lists the keys of every stage"


def _place(file: Path, path: Path) -> str:
    return f"{file}" if file == path else f"{file} (a base of {path})"


def _with_file(message: str, files: list[Path]) -> str:
    """``message`` after what sets the key it begins with: the process environment, a file, or the experiment's own."""
    key = message.partition(":")[0]
    if os.environ.get(key):
        return f"the process environment, which overrides {files[-1]}: {message}"
    setting = [file for file in files if any(k.upper() == key and v for k, v in dotenv_values(file).items())]
    return f"{_place((setting or files)[-1], files[-1])}: {message}"


def _quoted(binding: Binding) -> bool:
    return bool(re.match(r"[^=]+=\s*['\"]", binding.original.string))


def _check_lines(path: Path) -> str | None:
    """What BASE names. Refused is what python-dotenv passes over: lines it cannot read, a key given twice."""
    seen: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8") as file:
            bindings = list(parse_stream(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    for binding in bindings:
        line = binding.original.line
        if binding.error or (binding.key is not None and binding.value is None):
            raise UserError(
                f"{path}: line {line} is not KEY=VALUE{' with its quotes closed' if _quoted(binding) else ''}"
            )
        if binding.key is not None and seen.setdefault(binding.key.upper(), line) != line:
            raise UserError(f"{path}: line {line}: {binding.key} is given already in line {seen[binding.key.upper()]}")
        if BASE in seen and next(iter(seen)) != BASE:
            raise UserError(f"{path}: line {line}: BASE must stand before every other key")
    if BASE not in seen:
        return None
    if not (base := next(v for k, v in dotenv_values(path).items() if k.upper() == BASE)):
        raise UserError(f"{path}: line {seen[BASE]}: BASE names no file")
    return base


def need_path(key: str, path: Path | None, what: str) -> None:
    """Raise `UserError` unless ``path`` exists."""
    if path is None:
        raise UserError(f"{key} is not set; it names {what}")
    if not path.exists():
        raise UserError(f"{key}: {path} does not exist; it names {what}")


def settings_table(cls: type[EnvSettings]) -> str:
    """A Markdown table of every key of ``cls``: name, default, meaning."""
    rows = ["| key | default | meaning |", "| --- | --- | --- |"]
    for name, field in cls.model_fields.items():
        default = "required" if field.is_required() else field.get_default(call_default_factory=True)
        if isinstance(default, list):
            default = ",".join(map(str, default))
        rows.append(f"| `{name.upper()}` | {'' if default is None else default} | {field.description} |")
    return "\n".join(rows)


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]).upper() or "settings"
    if first["type"] == "missing":
        return f"{key} is not set"
    others = dict.fromkeys(str(each["loc"][0]).upper() for each in error.errors() if each["loc"])
    others.pop(key.partition(".")[0], None)
    more = f"; also wrong: {', '.join(others)}" if others else ""
    return f"{key}: {first['msg'].removeprefix('Value error, ')}, got {first['input']!r}{more}"
