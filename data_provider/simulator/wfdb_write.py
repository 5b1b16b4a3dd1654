"""Writes a recording as WFDB format 16 with PTB-XL's header layout, without the overhead of the wfdb package."""

from pathlib import Path

import numpy as np

from cardiolect.data_provider.record import LEADS

GAIN = 1000.0  # steps per mV, as PTB-XL


def write_wfdb(path: Path, signal: np.ndarray, fs: int = 500) -> None:
    """Write ``path``.dat and ``path``.hea.

    signal: ``(12, T)`` in mV, leads in the order of LEADS; rounded to 1 µV and clipped to +-32.767 mV.
    """
    digital = np.clip(np.rint(signal * GAIN), -32767, 32767).astype("<i2")
    path.with_suffix(".dat").write_bytes(digital.T.tobytes())
    # The checksum is the sum of a lead's samples modulo 2^16 (WFDB header format, signal specification).
    checksums = digital.sum(axis=1, dtype=np.int64) % 65536
    lines = [f"{path.name} {len(LEADS)} {fs} {signal.shape[1]}"]
    lines += [
        f"{path.name}.dat 16 1000.0(0)/mV 16 0 {first} {checksum} 0 {lead.upper()}"
        for lead, first, checksum in zip(LEADS, digital[:, 0], checksums, strict=True)
    ]
    path.with_suffix(".hea").write_text("\n".join(lines) + "\n")
