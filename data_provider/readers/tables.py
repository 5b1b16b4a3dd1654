"""Tables of bare numbers, from CSV, NPY and HDF5 files: which axis is the leads, and what a number means."""

from collections.abc import Sequence

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError, mv_per_unit
from cardiolect.data_provider.readers.lead_names import find_leads


def table_channels(values: np.ndarray, leads: Sequence[str], unit: str, scale: float, fs: float, kind: str) -> Channels:
    """The channels in a table of numbers, ``(T, leads)`` or ``(leads, T)``: the axis as long as ``leads`` is theirs."""
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise FileError(f"contains {values.dtype} of shape {values.shape}; it must be a table of real numbers")
    lead_axes = [axis for axis in (0, 1) if values.shape[axis] == len(leads)]
    if len(lead_axes) != 1:
        raise FileError(f"has the shape {values.shape}, which does not fit {len(leads)} leads")
    by_lead = values if lead_axes == [0] else values.T
    factor = scale * mv_per_unit(unit)
    found = find_leads(leads)
    return Channels(
        {lead: by_lead[row].astype(float) * factor for lead, row in found.rows.items()},
        fs,
        kind,
        found.names,
        found.ignored,
        dict.fromkeys(found.rows, f"{scale:g} {unit}"),
    )
