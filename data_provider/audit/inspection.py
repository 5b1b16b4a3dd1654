"""What is in an ECG file, and how it is understood: format, leads, rate, units, and all that is not as it should be.

Prints a page for each file, or one JSON object per line. Exits with 2 if a file cannot be read; the others are still
inspected.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cardiolect.data_provider.ecgqa.r_peaks import rr_interval
from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.readers.assembly import law_broken
from cardiolect.data_provider.readers.channels import Channels
from cardiolect.data_provider.readers.formats import read_channels
from cardiolect.data_provider.readers.scale import step_in_mv
from cardiolect.data_provider.readers.text_table import TEXT_TABLES
from cardiolect.data_provider.record import LEADS, ECGRecord, without_offsets
from cardiolect.utils.command_line import Parser, file_path, run_command
from cardiolect.utils.errors import UserError, make_folder

STEEP_SECONDS = 1.5  # has a beat
DISTURBED_RATIO = 4.0
FEWEST_LEADS = 3  # that find beats; with fewer left, all leads take part


def inspect(path: Path | str) -> tuple[dict[str, Any], ECGRecord]:
    """What there is to know of a recording, as JSON has it, and the recording.

    ``leads`` has an entry for each of the twelve: its name and the unit of its numbers in the file, whether it was
    recorded, computed or is absent, its offset and its range (1st to 99th percentile) in mV, and the share of its
    samples that are masked. Contradicting limb leads are noted, not refused. Raises `RecordError` without an ECG.
    """
    record = read_record(path, check_leads=False)
    channels = read_channels(Path(path))
    rate = heart_rate(record)
    known = np.where(record.good, record.signal, np.nan).astype(float)
    return {
        "file": str(path),
        "format": channels.kind,
        "sampling_rate": record.fs,
        "seconds": round(record.seconds, 4),
        "samples": record.signal.shape[1],
        "leads": {lead: _lead(lead, row, channels, record) for row, lead in enumerate(LEADS)},
        "other_signals": [name.strip() for name in channels.ignored],
        "law_broken": round(law_broken(known), 4),
        "heart_rate": None if np.isnan(rate) else round(rate, 1),
        "remarks": record.remarks(),
    }, record


def heart_rate(record: ECGRecord) -> float:
    """Beats per minute, NaN if none are found; leads that are disturbed at times do not take part."""
    signal = np.where(record.good, without_offsets(record.signal), 0)
    disturbed = _disturbed_leads(signal, record.fs)
    return 60_000 / rr_interval(np.where(disturbed[:, None], 0, signal), record.fs)


def _disturbed_leads(signal: np.ndarray, fs: float) -> np.ndarray:
    """bool ``(12,)``: leads that are far steeper for a moment than they usually are, while the others are not.

    A beat that is large in one lead, such as an extrasystole, is large in others.
    """
    steps = np.abs(np.diff(signal, axis=1))
    width = max(1, round(STEEP_SECONDS * fs))
    pieces = [steps[:, i : i + width].max(axis=1) for i in range(0, steps.shape[1] - width // 2, width)]
    steep = np.stack(pieces or [steps.max(axis=1)], axis=1)  # (12, pieces)
    usual = np.median(steep, axis=1, keepdims=True)
    ratio = np.divide(steep, usual, out=np.ones_like(steep), where=usual > 0)
    others = np.median(ratio, axis=0)
    disturbed = (ratio > DISTURBED_RATIO * np.maximum(others, 1)).any(axis=1)
    return disturbed if (usual[:, 0] > 0)[~disturbed].sum() >= FEWEST_LEADS else np.zeros(len(signal), bool)


def _lead(lead: str, row: int, channels: Channels, record: ECGRecord) -> dict[str, Any]:
    good = record.signal[row][record.good[row]]
    status = "recorded" if len(good) and lead in channels.leads else "computed" if len(good) else "absent"
    found: dict[str, Any] = {"status": status}
    if lead in channels.leads:
        scale = "" if channels.kind in TEXT_TABLES else channels.scales.get(lead, "")
        found |= {"name": channels.names.get(lead, lead), "step": _in_uv(scale)}
    if len(good):
        low, middle, high = np.percentile(good, (1, 50, 99))
        found |= {"offset_mv": round(float(middle), 4), "range_mv": round(float(high - low), 4)}
        found["masked"] = round(1 - len(good) / record.signal.shape[1], 4)
    return found


def _in_uv(scale: str) -> str:
    """An entry of `Channels.scales` in uV, in a few digits; as it is if it is not a voltage."""
    step = step_in_mv(scale)
    return scale if step is None else f"{1000 * step:.4g} uV"


def page(found: dict[str, Any]) -> str:
    """The facts of `inspect` for a terminal."""
    rate = "no beats found" if found["heart_rate"] is None else f"{found['heart_rate']:.0f} bpm"
    lines = [
        f"{found['file']}: {found['format']}",
        f"{found['seconds']:g} s at {found['sampling_rate']:g} Hz ({found['samples']} samples), {rate}",
        f"Einthoven's law broken by {found['law_broken']:.3f} (0 in theory, at most 0.09 in practice)",
        "",
        f"{'lead':6}{'in the file':20}{'a step is':12}{'':10}{'offset mV':>10}{'range mV':>10}{'masked':>8}",
    ]
    for lead, one in found["leads"].items():
        figures = ""
        if "range_mv" in one:
            figures = f"{one['offset_mv']:10.3f}{one['range_mv']:10.3f}{100 * one['masked']:7.1f}%"
        name, step = one.get("name", "")[:19], one.get("step", "")[:11]
        lines.append(f"{lead:6}{name:20}{step:12}{one['status']:10}{figures}".rstrip())
    if found["other_signals"]:
        lines.append(f"other signals, not used: {', '.join(found['other_signals'])}")
    return "\n".join([*lines, *(f"- {remark}" for remark in found["remarks"])])


def draw(record: ECGRecord, path: Path) -> None:
    """Plot a recording on ECG paper, without its offsets; what is masked stays empty."""
    from cardiolect.utils.plots import draw_ecg_paper  # imports matplotlib

    make_folder("--picture:", path.parent)
    try:
        draw_ecg_paper(record.visible, record.fs, LEADS).savefig(path)
    except (ValueError, OSError) as error:
        raise UserError(f"--picture {path}: cannot be written ({str(error).splitlines()[0]})") from None


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect inspect", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE", help="in any format of docs/DATA.md")
    parser.add_argument("--json", action="store_true", help="one JSON object per file and line, also of a failed one")
    parser.add_argument("--picture", type=file_path, metavar="PICTURE", help="plot the ECG: .png, .pdf or .svg")
    given = parser.parse_args(arguments)
    if given.picture and len(given.files) > 1:
        parser.error("--picture takes a single FILE")
    failed = False
    for number, path in enumerate(given.files):
        try:
            found, record = inspect(path)
        except RecordError as error:
            failed = True
            print(f"error: {error}", file=sys.stderr)
            if given.json:
                print(json.dumps({"file": path, "error": str(error)}, ensure_ascii=False))
            continue
        print(json.dumps(found, ensure_ascii=False) if given.json else "\n" * bool(number) + page(found))
        if given.picture:
            draw(record, given.picture)
            print(f"picture: {given.picture}", file=sys.stderr)
    if failed:
        sys.exit(2)


if __name__ == "__main__":
    run_command(main)
