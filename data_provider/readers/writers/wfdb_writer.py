"""Writes a WFDB record: one .hea and one .dat, format 16, or 24 where 16 bits do not hold a lead in steps of 1 uV."""

import re
from pathlib import Path

import numpy as np
import wfdb

from cardiolect.data_provider.readers.channels import FileError
from cardiolect.data_provider.readers.writers.digital import LARGEST_16_BIT, DigitalECG


def write(folder: Path, name: str, ecg: DigitalECG) -> list[str]:
    """Write ``name``.hea and ``name``.dat; returns what the format cannot hold, which is nothing."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise FileError(f"'{name[:40]}' is no name for a WFDB record; use letters, digits, hyphens and underscores")
    leads = ecg.leads.values()
    bits = 16 if max(np.abs(lead.samples).max() for lead in leads) <= LARGEST_16_BIT else 24
    invalid = -(2 ** (bits - 1))
    samples = np.stack([np.where(lead.gaps, invalid, lead.samples) for lead in leads], axis=1)
    wfdb.wrsamp(
        name,
        fs=ecg.fs,
        units=["mV"] * len(leads),
        sig_name=list(ecg.leads),
        d_signal=samples,
        fmt=[str(bits)] * len(leads),
        adc_gain=[1000 / lead.step_uv for lead in leads],
        baseline=[-lead.offset for lead in leads],
        write_dir=str(folder),
    )
    return []
