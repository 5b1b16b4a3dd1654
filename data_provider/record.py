"""One electrocardiogram in memory: millivolts, canonical leads, and which samples can be trusted."""

from dataclasses import dataclass

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@dataclass(frozen=True)
class ECGRecord:
    """A 12-lead ECG.

    signal: float32 ``(12, T)`` in millivolts, rows in the order of `LEADS`; 0 where a sample cannot be trusted.
    fs: sampling rate in Hz.
    good: bool ``(12, T)``, False where the source had no usable value (missing lead, gap, NaN).
    record_id: the key of the record within its corpus.
    patient_id: groups records of one person; used for splits and floors, never for prompts.
    """

    signal: np.ndarray
    fs: float
    good: np.ndarray
    record_id: str
    patient_id: str | None = None

    @property
    def seconds(self) -> float:
        return self.signal.shape[1] / self.fs

    @property
    def lead_present(self) -> np.ndarray:
        """bool ``(12,)``: the lead has at least one usable sample."""
        return self.good.any(axis=1)
