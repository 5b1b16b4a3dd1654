"""Reading many recordings: in parallel, in order, bad ones counted with their reasons."""

import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from tqdm import tqdm

from data_provider.examples import RecordRef
from data_provider.readers import read_record
from data_provider.resample import resample
from utils.errors import UserError
from utils.launch import is_main


def stream_signals(
    refs: Sequence[RecordRef],
    fs: float,
    workers: int,
    what: str,
    max_bad: int | None = None,
    reasons: dict[str, str] | None = None,
) -> Iterator[tuple[RecordRef, np.ndarray, np.ndarray]]:
    """Yield ``(ref, signal (12, T) float32 mV at fs, lead_present (12,) bool)`` in the order of ``refs``.

    A recording that cannot be read is left out and put into ``reasons`` by its id; afterwards, where no ``reasons`` are
    given, `report_bad` is called with ``max_bad``.
    """
    report = reasons is None
    reasons = {} if report else reasons
    read = partial(_read, fs=fs)
    if workers > 0 and len(refs) > 64:
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            yield from _collect(refs, pool.imap(read, refs, chunksize=16), reasons, what)
    else:
        yield from _collect(refs, map(read, refs), reasons, what)
    if report:
        report_bad(reasons, len(refs), max_bad)


def report_bad(reasons: dict[str, str], total: int, max_bad: int | None) -> None:
    """Raise `UserError` where more than ``max_bad`` of ``total`` recordings failed, else print why some did."""
    if not reasons:
        return
    text = f"{len(reasons)} of {total} recordings could not be read; the first: {next(iter(reasons.values()))}"
    if max_bad is not None and len(reasons) > max_bad:
        raise UserError(f"{text} (MAX_BAD_RECORDS allows {max_bad} of them)")
    kinds = Counter(reason.split(": ")[-1] for reason in reasons.values())
    print(f"{text}; by reason: {', '.join(f'{kind} ({n})' for kind, n in kinds.most_common())}")


def _collect(refs, results, reasons, what):
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
        else:
            yield ref, signal, present


def _read(ref: RecordRef, fs: float) -> tuple[np.ndarray | None, np.ndarray | None, str]:
    try:
        record = read_record(ref.path, record_id=ref.record_id, patient_id=ref.patient_id)
    except UserError as error:
        return None, None, str(error)
    return resample(record.signal, record.fs, fs), record.lead_present, ""
