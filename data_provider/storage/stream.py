"""Reads many recordings in parallel, in order, and collects the reasons why some cannot be read."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import resample, windows_of
from cardiolect.data_provider.storage.remarks import Remark
from cardiolect.utils.errors import UserError
from cardiolect.utils.launch import is_main
from cardiolect.utils.parallel import CHUNK, ordered_map
from cardiolect.utils.progress import progress


class Streamed(NamedTuple):
    """signal: float32 ``(12, T)`` mV at the rate of the stream; present: bool ``(12,)``, leads with usable samples."""

    ref: RecordRef
    signal: np.ndarray
    present: np.ndarray
    remark: Remark


def stream_signals(
    refs: Sequence[RecordRef],
    fs: float,
    workers: int,
    what: str,
    max_bad: int | None = None,
    reasons: dict[str, str] | None = None,
    check_leads: bool = True,
    seconds: float = 0.0,
) -> Iterator[Streamed]:
    """The first window of each recording in `stream_windows`: all of it, unless it is longer than ``seconds``."""
    for (first,) in stream_windows(refs, fs, workers, what, max_bad, reasons, check_leads, seconds, every_window=False):
        yield first


def stream_windows(
    refs: Sequence[RecordRef],
    fs: float,
    workers: int,
    what: str,
    max_bad: int | None = None,
    reasons: dict[str, str] | None = None,
    check_leads: bool = True,
    seconds: float = 0.0,
    every_window: bool = True,
    prepare: Callable[[list[np.ndarray]], list[np.ndarray]] | None = None,
) -> Iterator[list[Streamed]]:
    """Recordings at ``fs`` Hz in the order of ``refs``, as their windows; ``check_leads`` as in `read_record`.

    seconds, every_window: as in `windows_of`. Windows are cut before they are resampled, as parts of a file that are
    read on their own are. prepare: signals -> an item each, which takes the signal's place; called in the process that
    reads the recording, for up to `CHUNK` signals at a time.

    ``workers`` processes read a bounded number of recordings ahead of the caller (`ordered_map`). Unreadable recordings
    are skipped and added to ``reasons`` (id -> reason); without ``reasons``, a summary is printed at the end. Raises
    `UserError` as soon as there are more than ``max_bad`` of them.
    """
    report = reasons is None
    reasons = {} if report else reasons
    read_one = partial(_read, fs=fs, check_leads=check_leads, seconds=seconds, every_window=every_window)
    results = ordered_map(read_one, refs, workers, partial(_prepared, prepare) if prepare else None)
    for ref, read in progress(
        zip(refs, results, strict=True),
        total=len(refs),
        desc=what,
        unit="ecg",
        mininterval=1,
        disable=not is_main(),
    ):
        if isinstance(read, list):
            yield [each._replace(ref=ref) for each in read]
        else:
            reasons[ref.record_id] = read
            check_bad(reasons, max_bad)
    if report:
        report_bad(reasons, len(refs), max_bad)


def check_bad(reasons: dict[str, str], max_bad: int | None) -> None:
    """Raise `UserError` if more than ``max_bad`` recordings failed."""
    if max_bad is not None and len(reasons) > max_bad:
        raise UserError(f"{_first(reasons)}; MAX_BAD_RECORDS allows {max_bad}")


def report_bad(reasons: dict[str, str], total: int, max_bad: int | None) -> None:
    """Like `check_bad`, but also print how many of ``total`` failed and why, if any did."""
    check_bad(reasons, max_bad)
    if reasons:
        kinds = Counter(reason.split(": ")[-1] for reason in reasons.values())
        by_reason = ", ".join(f"{kind} ({n})" for kind, n in kinds.most_common())
        print(f"of {total}, {_first(reasons)}; by reason: {by_reason}")


def _first(reasons: dict[str, str]) -> str:
    record, reason = next(iter(reasons.items()))
    return f"{len(reasons)} recordings could not be read; the first: record {record}: {reason}"


def _read(ref: RecordRef, fs: float, check_leads: bool, seconds: float, every_window: bool) -> list[Streamed] | str:
    """The windows of a recording, or why it cannot be read."""
    try:
        record = read_record(ref.path, record_id=ref.record_id, patient_id=ref.patient_id, check_leads=check_leads)
    except UserError as error:
        # Messages name the recording by its id: a path may contain the patient's (MIMIC-IV-ECG).
        return str(error).removeprefix(f"record {ref.path}: ")
    found = []
    for window in windows_of(record, seconds, every_window):
        remark = Remark.of(window)._replace(cropped=round(record.seconds - window.seconds, 3))
        found.append(Streamed(ref, resample(window.signal, window.fs, fs), window.lead_present, remark))
    return found


def _prepared(
    prepare: Callable[[list[np.ndarray]], list[np.ndarray]], results: list[list[Streamed] | str]
) -> list[list[Streamed] | str]:
    """The results of `_read`, with items in place of signals."""
    signals = [each.signal for result in results if isinstance(result, list) for each in result]
    # A long recording may have hundreds of windows; in batches, they take no more memory than short ones.
    items = (item for i in range(0, len(signals), CHUNK) for item in prepare(signals[i : i + CHUNK]))
    return [
        [each._replace(signal=next(items)) for each in result] if isinstance(result, list) else result
        for result in results
    ]
