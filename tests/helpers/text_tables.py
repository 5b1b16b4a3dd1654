"""Text tables of a simulated ECG, as many tools would write it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider.readers import csv_reader
from cardiolect.data_provider.readers.assembly import assemble
from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator import simulate
from cardiolect.data_provider.simulator.patients import draw_patient

FS = 500
LAYOUT = {"sampling_rate": FS, "unit": "mV"}
IN_MV = [f"{lead} (mV)" for lead in LEADS]
SIGNAL = simulate(5, 0, draw_patient(5, 0, 1))[1][:, : 2 * FS].astype(float).round(3)


def seconds(row: int) -> str:
    return f"{row / FS:.3f}"


def text(
    names: Sequence[str] = LEADS,
    first: Callable[[int], str] | None = None,
    above: str = "",
    form: str = "%.3f",
    delimiter: str = ",",
    comma: bool = False,
    factor: float = 1,
) -> str:
    """A table of the signal: lines above it, names, and on every row what ``first`` says of it before the leads."""
    lines = [delimiter.join(names)] if names else []
    for row, sample in enumerate(SIGNAL.T * factor):
        cells = [(form % value).replace(".", "," if comma else ".") for value in sample]
        lines.append(delimiter.join([first(row), *cells] if first else cells))
    return above + "\n".join(lines) + "\n"


def read(
    folder: Path, content: str | bytes, layout: dict | None = None, name: str = "ecg.csv"
) -> tuple[float, np.ndarray, Channels]:
    """Rate, signal and channels of a file with this content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / "ecg.layout.json").unlink(missing_ok=True)
    if layout is not None:
        (folder / "ecg.layout.json").write_text(json.dumps(layout))
    channels = csv_reader.read(path)
    return channels.fs, assemble(channels)[0], channels


def refused(folder: Path, content: str | bytes, layout: dict | None = None) -> str:
    with pytest.raises(FileError) as error:
        read(folder, content, layout)
    return str(error.value)


def assert_read(folder: Path, content: str | bytes, layout: dict | None = None, fs: float = FS) -> Channels:
    found, signal, channels = read(folder, content, layout)
    assert found == pytest.approx(fs, rel=1e-5)
    np.testing.assert_allclose(signal, SIGNAL, atol=1e-5)
    return channels
