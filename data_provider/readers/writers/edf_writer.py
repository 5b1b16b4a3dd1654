"""Writes an EDF file (Kemp et al. 1992) by edfio: 16 bits, without patient, date or device."""

import math
from pathlib import Path

import edfio
import numpy as np

from cardiolect.data_provider.readers.channels import FileError
from cardiolect.data_provider.readers.writers.digital import LARGEST_16_BIT, DigitalECG, DigitalLead

MAX_RECORD_BYTES = 61_440  # of a data record, as the specification recommends
_FIELD = 8  # characters of a number in the header
_RATE_ERROR = 1e-6  # relative, where no duration of a data record is exact in these characters


def write(folder: Path, name: str, ecg: DigitalECG) -> list[str]:
    """Write ``name``.edf. EDF has no mark for samples without a value: what the reader put in their place is written.

    Raises `FileError` if the header cannot state rate and length.
    """
    size, seconds = _data_records(ecg)
    signals = []
    for lead, digital in ecg.leads.items():
        largest = _digital_range(digital)
        signals.append(
            edfio.EdfSignal.from_digital(
                digital.samples.astype(np.int16),
                size / seconds,
                label=f"ECG {lead}",
                physical_dimension="uV",
                physical_range=tuple(map(_in_field, _limits(digital, largest))),
                digital_range=(-largest, largest),
            )
        )
    edfio.Edf(signals, data_record_duration=seconds).write(folder / f"{name}.edf")
    gaps = [lead for lead, digital in ecg.leads.items() if digital.gaps.any()]
    return [f"EDF cannot mark samples without a value, a line stands for them in {', '.join(gaps)}"] if gaps else []


def _digital_range(lead: DigitalLead) -> int:
    """The digital value whose physical values the header states with the least error."""
    least = max(1, LARGEST_16_BIT - 4096, int(np.abs(lead.samples).max()))
    errors = {}
    for largest in range(LARGEST_16_BIT, least - 1, -1):
        errors[largest] = max(abs(_in_field(limit) - limit) for limit in _limits(lead, largest))
        if errors[largest] < 1e-9 * largest:
            return largest
    return min(errors, key=errors.get)


def _limits(lead: DigitalLead, largest: int) -> tuple[float, float]:
    """Physical minimum and maximum in uV."""
    return (lead.offset - largest) * lead.step_uv, (lead.offset + largest) * lead.step_uv


def _in_field(value: float) -> float:
    """The nearest number that has eight characters."""
    return round(value, max(0, _FIELD - 1 - len(str(int(value))) - (-1 < value < 0)))


def _data_records(ecg: DigitalECG) -> tuple[int, float]:
    """Samples per data record and its duration in seconds, in whole records: others would be padded."""
    most = max(1, MAX_RECORD_BYTES // (2 * len(ecg.leads)))
    small = [n for n in range(1, math.isqrt(ecg.n_samples) + 1) if ecg.n_samples % n == 0]
    sizes = sorted({size for n in small for size in (n, ecg.n_samples // n)}, reverse=True)
    sizes.sort(key=lambda size: size > most)
    for error in (1e-12, _RATE_ERROR):
        for size in sizes:
            seconds = _in_field(size / ecg.fs)
            if seconds > 0 and abs(size / seconds / ecg.fs - 1) <= error:
                return size, seconds
    raise FileError(f"EDF cannot state {ecg.n_samples} samples at {ecg.fs:g} Hz; convert to WFDB, CSV or DICOM")
