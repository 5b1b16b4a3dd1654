"""What bare numbers do not say: sampling rate, leads and unit, stated in a JSON file beside them.

``name.layout.json`` holds for ``name.csv``, ``layout.json`` for all files of its folder:

    {"sampling_rate": 400, "leads": ["DI", "DII", "..."], "unit": "mV"}
"""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cardiolect.data_provider.readers.channels import FileError


class Layout(BaseModel):
    """sampling_rate in Hz; leads in the file's order; dataset and ids: names within an HDF5 file."""

    model_config = ConfigDict(extra="forbid")

    sampling_rate: float = Field(gt=0)
    unit: str
    scale: float = 1.0  # units per number of the file: 0.1 and "mV" where it counts tenths of a millivolt
    leads: list[str] | None = None
    samples: int | None = None  # of every recording, where all are alike: a cut CSV then shows
    dataset: str = "tracings"
    ids: str = "exam_id"


def find_layout(path: Path) -> Layout | None:
    """The layout of a file, None where none is stated. Raises `FileError` on one that cannot be used."""
    for place in (path.with_name(f"{path.stem}.layout.json"), path.with_name("layout.json")):
        if place.is_file():
            try:
                return Layout.model_validate(json.loads(place.read_text()))
            except (json.JSONDecodeError, UnicodeDecodeError):
                raise FileError(f"{place.name} beside it is not JSON") from None
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"]))
                raise FileError(f"{place.name} beside it: {where}: {first['msg']}") from None
    return None


def need_layout(path: Path) -> Layout:
    """The same; raises `FileError` where there is none."""
    layout = find_layout(path)
    if layout is None:
        raise FileError(
            f"says neither rate nor unit; state them in {path.stem}.layout.json or layout.json beside it "
            '({"sampling_rate": 500, "unit": "mV", "leads": ["I", "II", ...]})'
        )
    return layout
