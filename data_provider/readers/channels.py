"""What every reader returns: the leads in a file in millivolts, and what the file says about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

MV_PER_UNIT = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6, "v": 1e3}  # micro sign, and Greek mu
LONG_UNITS = {"millivolt": "mv", "microvolt": "uv", "nanovolt": "nv", "volt": "v"}


class FileError(ValueError):
    """The file is invalid or not an ECG; the message gives the reason, the caller adds the file name."""


class NoLeadsError(FileError):
    """The file is of a readable kind, but holds no lead of an ECG at all: notes, a list of patients, an EEG."""


@dataclass(frozen=True)
class Channels:
    """The leads in a file, and what the file says about them.

    leads: canonical name -> float millivolts ``(T,)``, NaN where unknown.
    fs: Hz.
    kind: format and version ("SCP-ECG 2.0").
    names: canonical name -> name in the file.
    ignored: names of the file's other signals.
    scales: canonical name -> what one step of the stored numbers means ("2.5 uV").
    notes: what was cut, assumed or left out, a clause each, without a full stop.
    """

    leads: Mapping[str, np.ndarray]
    fs: float
    kind: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    scales: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def mv_per_unit(unit: str) -> float:
    """The factor from a voltage unit ("uV", "MICROVOLTS") to millivolts. Raises `FileError` on any other unit."""
    text = unit.strip().lower()
    text = LONG_UNITS.get(text.removesuffix("s"), text)
    if text not in MV_PER_UNIT:
        raise FileError(f"the unknown unit '{unit.strip()[:20]}'; use uV, mV or V")
    return MV_PER_UNIT[text]
