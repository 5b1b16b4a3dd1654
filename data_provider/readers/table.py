"""A table of numbers and the names of its columns -> channels; what CSV, NPY and HDF5 readers share."""

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError, lead_rows, mv_per_unit


def channels_of(values: np.ndarray, leads: list[str], unit: str, scale: float, fs: float) -> Channels:
    """values: ``(T, leads)`` or ``(leads, T)``, whichever the number of leads says."""
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise FileError(f"holds {values.dtype} of shape {values.shape}; numbers of two dimensions are read")
    fits = [axis for axis in (0, 1) if values.shape[axis] == len(leads)]
    if len(fits) != 1:
        raise FileError(f"has the shape {values.shape}, which {len(leads)} leads do not explain")
    by_lead = values if fits == [0] else values.T
    factor = scale * mv_per_unit(unit)
    return Channels({lead: by_lead[row].astype(float) * factor for lead, row in lead_rows(leads).items()}, fs)
