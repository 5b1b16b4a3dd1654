"""Reads many recordings in parallel, in order, and collects the reasons why some cannot be read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from tqdm import tqdm

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import resample
from cardiolect.utils.errors import UserError
from cardiolect.utils.launch import is_main
from cardiolect.utils.parallel import ordered_map


def stream_signals(
    refs: Sequence[RecordRef],
    fs: float,
    workers: int,
    what: str,
    max_bad: int | None = None,
    reasons: dict[str, str] | None = None,
) -> Iterator[tuple[RecordRef, np.ndarray, np.ndarray]]:
    """Yield ``(ref, signal (12, T) float32 mV at fs, lead_present (12,) bool)`` in the order of ``refs``.

    ``workers`` processes read a bounded number of recordings ahead of the caller (`ordered_map`). Unreadable recordings
    are skipped and added to ``reasons`` (id -> reason); without ``reasons``, a summary is printed at the end. Raises
    `UserError` as soon as there are more than ``max_bad`` of them.
    """
    report = reasons is None
    reasons = {} if report else reasons
    results = ordered_map(partial(_read, fs=fs), refs, workers)
    for ref, (signal, present, reason) in tqdm(
        zip(refs, results, strict=True),
        total=len(refs),
        desc=what,
        unit="ecg",
        mininterval=1,
        disable=not is_main(),
    ):
        if reason:
            reasons[ref.record_id] = reason
            check_bad(reasons, max_bad)
        else:
            yield ref, signal, present
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


def _read(ref: RecordRef, fs: float) -> tuple[np.ndarray | None, np.ndarray | None, str]:
    try:
        record = read_record(ref.path, record_id=ref.record_id, patient_id=ref.patient_id)
    except UserError as error:
        # Messages name the recording by its id: a path may contain the patient's (MIMIC-IV-ECG).
        return None, None, str(error).removeprefix(f"record {ref.path}: ")
    return resample(record.signal, record.fs, fs), record.lead_present, ""
