"""Sampling rate, leads and unit of files that contain bare numbers, given in a JSON file next to them.

``name.layout.json`` applies to ``name.csv``, ``layout.json`` to all files in its folder:

    {"sampling_rate": 400, "leads": ["DI", "DII", "..."], "unit": "mV"}

What the file itself states may be left out.
"""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cardiolect.data_provider.readers.channels import FileError

LAYOUT_NAME = "layout.json"
MAX_BYTES = 1_000_000


class Layout(BaseModel):
    """sampling_rate in Hz; leads in the file's order; dataset and ids: names inside an HDF5 file."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    sampling_rate: float | None = Field(default=None, gt=0)
    unit: str | None = None
    scale: float = 1.0  # units per number in the file: 0.1 with "mV" if it counts tenths of a millivolt
    leads: list[str] | None = None
    samples: int | None = None  # per recording, if all have the same length: reveals a truncated CSV file
    dataset: str = "tracings"
    ids: str = "exam_id"

    @model_validator(mode="after")
    def _scale_has_a_unit(self) -> "Layout":
        if self.scale != 1 and self.unit is None:
            raise ValueError("scale needs a unit")
        return self


def layout_names(path: Path) -> tuple[str, str]:
    """Names of the layouts that may apply to a file, its own first."""
    return f"{path.stem}.{LAYOUT_NAME}", LAYOUT_NAME


def find_layout(path: Path) -> Layout | None:
    """The layout of a file, None if there is none. Raises `FileError` on an invalid one."""
    for place in map(path.with_name, layout_names(path)):
        if place.is_file():
            if place.stat().st_size > MAX_BYTES:
                raise FileError(f"{place.name} next to it is larger than {MAX_BYTES // 1_000_000} MB")
            try:
                return Layout.model_validate(json.loads(place.read_text(encoding="utf-8-sig")))
            except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
                raise FileError(f"{place.name} next to it is not JSON") from None
            except ValidationError as error:
                first = error.errors()[0]
                key = "".join(f"{part}: " for part in first["loc"])
                raise FileError(f"{place.name} next to it: {key}{first['msg']}") from None
    return None


def need_layout(path: Path, leads: bool = False) -> Layout:
    """The layout of a file of bare numbers, with rate and unit.

    Raises `FileError` if there is no layout, or if it lacks a needed key.
    """
    layout = find_layout(path)
    if layout is None:
        raise lacks(path, "neither sampling rate nor unit")
    missing = [key for key in ("sampling_rate", "unit") if getattr(layout, key) is None]
    if missing or (leads and layout.leads is None):
        raise FileError(f"the layout next to it gives no {' and no '.join(missing) or 'leads'}")
    return layout


def lacks(path: Path, what: str, only: str = "") -> FileError:
    """The error of a file that does not say what its numbers mean. only: the one key that is missing, "" for all."""
    example = {"sampling_rate": '"sampling_rate": 500', "unit": '"unit": "mV"'}
    keys = example.get(only, f'{", ".join(example.values())}, "leads": ["I", "II", ...]')
    return FileError(
        f"contains {what}; give {'it' if only else 'both'} in {path.stem}.{LAYOUT_NAME} or {LAYOUT_NAME} next to it "
        f"({{{keys}}})"
    )
