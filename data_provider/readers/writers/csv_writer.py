"""Writes a CSV file in millivolts, one column per lead, and the layout that states its rate and unit."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from cardiolect.data_provider.readers.layout import LAYOUT_NAME
from cardiolect.data_provider.readers.writers.digital import DigitalECG

_DECIMALS = 6  # nanovolts: any step of a recorder


def write(folder: Path, name: str, ecg: DigitalECG) -> list[str]:
    """Write ``name``.csv and ``name``.layout.json; samples without a value are empty cells."""
    columns = {
        lead: np.where(digital.gaps, np.nan, (digital.samples + digital.offset) * digital.step_uv / 1000)
        for lead, digital in ecg.leads.items()
    }
    pd.DataFrame(columns).round(_DECIMALS).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    layout = {"sampling_rate": ecg.fs, "unit": "mV", "samples": ecg.n_samples}
    (folder / f"{name}.{LAYOUT_NAME}").write_text(json.dumps(layout) + "\n")
    return []
