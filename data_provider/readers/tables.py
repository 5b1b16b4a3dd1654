"""Tables of bare numbers, from text, NPY and HDF5 files: which axis is the leads, and what a number means."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError, mv_per_unit
from cardiolect.data_provider.readers.layout import Layout
from cardiolect.data_provider.readers.lead_names import find_leads


@dataclass(frozen=True)
class Meaning:
    """What the numbers of a table mean. leads: the names along one axis; unit, or one for each lead; fs in Hz.

    scale: units per number; file_names: what the file calls the leads, if ``leads`` was made of that.
    """

    leads: Sequence[str]
    unit: str | Sequence[str]
    fs: float
    scale: float = 1.0
    file_names: Sequence[str] | None = None


def meaning_of(layout: Layout) -> Meaning:
    """What a layout that gives leads says."""
    assert layout.leads is not None and layout.unit is not None and layout.sampling_rate is not None
    return Meaning(layout.leads, layout.unit, layout.sampling_rate, layout.scale)


def table_channels(
    by_lead: np.ndarray | Mapping[int, np.ndarray], meaning: Meaning, kind: str, notes: Sequence[str] = ()
) -> Channels:
    """The channels in a table of numbers ``(leads, T)``; rows that are no leads may be missing in a mapping."""
    leads, scale = meaning.leads, meaning.scale
    units = [meaning.unit] * len(leads) if isinstance(meaning.unit, str) else meaning.unit
    names = meaning.file_names or leads
    found = find_leads(leads)
    return Channels(
        {lead: by_lead[row].astype(float) * (scale * mv_per_unit(units[row])) for lead, row in found.rows.items()},
        meaning.fs,
        kind,
        {lead: str(names[row]).strip() for lead, row in found.rows.items()},
        tuple(name for row, name in enumerate(map(str, names)) if row not in found.rows.values() and name.strip()),
        {lead: f"{scale:g} {units[row]}" for lead, row in found.rows.items()},
        tuple(notes),
    )


def lead_axis(values: np.ndarray, n_leads: int) -> int:
    """The axis of a table that is as long as there are leads. Raises `FileError` unless exactly one is."""
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise FileError(f"contains {values.dtype} of shape {values.shape}; it must be a table of real numbers")
    axes = [axis for axis in (0, 1) if values.shape[axis] == n_leads]
    if len(axes) != 1:
        raise FileError(f"has the shape {values.shape}, which does not fit {n_leads} leads")
    return axes[0]


def row_number(name: str, n_rows: int, file_name: str) -> int:
    """The row that a name without ids beside it means: its number, from 0. "" means the only one."""
    if not n_rows:
        raise FileError("contains no recordings")
    if not name and n_rows > 1:
        raise FileError(f"contains {n_rows} recordings; name one by its row, {file_name}#0 to {file_name}#{n_rows - 1}")
    if name and not (name.isascii() and name.isdigit() and int(name) < n_rows):
        raise FileError(f"contains {n_rows} recordings without ids; name one by its row, {file_name}#0 is the first")
    return int(name or 0)


def same_scale(one: float, other: float) -> bool:
    """Whether two factors to millivolts are the same but for rounding."""
    return math.isclose(one, other, rel_tol=1e-6)
