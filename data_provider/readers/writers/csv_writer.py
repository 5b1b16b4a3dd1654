"""Writes a CSV file that states what it means: times in seconds, and a column in millivolts for each lead."""

from pathlib import Path

import numpy as np
import pandas as pd

from cardiolect.data_provider.readers.channels import FileError
from cardiolect.data_provider.readers.time_column import PLAUSIBLE_HZ
from cardiolect.data_provider.readers.writers.digital import DigitalECG

_DECIMALS = 6  # nanovolts: any step of a recorder
_TIME_DECIMALS = 9  # nanoseconds: any rate to within the tolerance of clocks


def write(folder: Path, name: str, ecg: DigitalECG) -> list[str]:
    """Write ``name``.csv; samples without a value are empty cells."""
    low, high = PLAUSIBLE_HZ
    if not low <= ecg.fs <= high:
        raise FileError(f"CSV is written for {low} to {high} Hz, beyond which times are misread, not for {ecg.fs:g} Hz")
    columns = {"time [s]": np.round(np.arange(ecg.n_samples) / ecg.fs, _TIME_DECIMALS)}
    for lead, digital in ecg.leads.items():
        mv = (digital.samples + digital.offset) * digital.step_uv / 1000
        columns[f"{lead} [mV]"] = np.where(digital.gaps, np.nan, np.round(mv, _DECIMALS))
    pd.DataFrame(columns).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    return []
