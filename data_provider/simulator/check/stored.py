"""A corpus on disk: its truth against its signals, tables, reports and questions."""

from pathlib import Path

from cardiolect.data_provider.ecgqa.intervals import FS
from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.simulator.check.measured import Measured, out_of_bounds, surely_wrong
from cardiolect.data_provider.simulator.check.tables import judge_tables
from cardiolect.data_provider.simulator.check.truth_file import Stored, read_stored
from cardiolect.data_provider.simulator.corpus import VERSION
from cardiolect.data_provider.simulator.ptbxl_tables import filename_hr
from cardiolect.data_provider.simulator.render import SAMPLES
from cardiolect.utils.progress import progress

SHOWN = 3  # faults that are printed of a recording


def check_stored(folder: Path) -> tuple[str, bool]:
    """What was measured, the recordings that are marked and those that are wrong; and whether all of it is good.

    Single recordings out of bounds are marked only, as a delineation may err; too many of them are not good.
    """
    stored = read_stored(folder)
    answers = judge_tables(stored)
    measured = Measured()
    marked = _measure(stored, measured)
    title = f"{folder}: {len(stored.truths)} of {stored.records} recordings measured, seed {stored.seed}"
    table, good = measured.table(title)
    notes = [] if stored.redrawn else [f"made by another version than {VERSION}: not compared with what is drawn"]
    lines = [
        table,
        *notes,
        f"marked, out of the bounds of a measure: {len(marked)} recordings",
        *(f"marked: record {record}: {'; '.join(words)}" for record, words in sorted(marked.items())),
        f"contradictions in truth, signals, tables, reports and {answers} answers: {len(stored.faults)} recordings",
        *(f"{_who(record)}: {_few(words)}" for record, words in sorted(stored.faults.items())),
    ]
    return "\n".join(lines), good and not stored.faults


def _measure(stored: Stored, measured: Measured) -> dict[int, list[str]]:
    """Record -> measures out of their bounds; what a signal excludes is added to the faults."""
    marked = {}
    for record, truth in progress(stored.truths.items(), desc=stored.folder.name, unit="ECG", disable=None):
        try:
            ecg = read_record(stored.folder / filename_hr(record))
        except RecordError as error:
            stored.blame(record, f"its signal cannot be read: {error}")
            continue
        if ecg.fs != FS or ecg.signal.shape[1] != SAMPLES:
            stored.blame(record, f"its signal has {ecg.signal.shape[1]} samples at {ecg.fs:g} Hz")
            continue
        case = measured.add(truth, ecg.signal)
        if case is not None:
            stored.blame(record, *surely_wrong(case))
            if words := [*out_of_bounds(case)]:
                marked[record] = words
    return marked


def _who(record: int) -> str:
    return f"record {record}" if record else "the corpus"


def _few(words: list[str]) -> str:
    return "; ".join([*words[:SHOWN], *([f"and {len(words) - SHOWN} more"] if len(words) > SHOWN else [])])
