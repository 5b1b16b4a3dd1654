"""Reads many recordings in parallel, in order, and collects the reasons why some cannot be read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import resample
from cardiolect.data_provider.storage.remarks import Remark
from cardiolect.utils.errors import UserError
from cardiolect.utils.launch import is_main
from cardiolect.utils.parallel import ordered_map


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
) -> Iterator[Streamed]:
    """Recordings at ``fs`` Hz in the order of ``refs``; ``check_leads`` as in `read_record`.

    ``workers`` processes read a bounded number of recordings ahead of the caller (`ordered_map`). Unreadable recordings
    are skipped and added to ``reasons`` (id -> reason); without ``reasons``, a summary is printed at the end. Raises
    `UserError` as soon as there are more than ``max_bad`` of them.
    """
    report = reasons is None
    reasons = {} if report else reasons
    results = ordered_map(partial(_read, fs=fs, check_leads=check_leads), refs, workers)
    for ref, read in tqdm(
        zip(refs, results, strict=True),
        total=len(refs),
        desc=what,
        unit="ecg",
        mininterval=1,
        disable=not is_main(),
    ):
        if isinstance(read, Streamed):
            yield read._replace(ref=ref)
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


def _read(ref: RecordRef, fs: float, check_leads: bool) -> Streamed | str:
    """The recording, or why it cannot be read."""
    try:
        record = read_record(ref.path, record_id=ref.record_id, patient_id=ref.patient_id, check_leads=check_leads)
    except UserError as error:
        # Messages name the recording by its id: a path may contain the patient's (MIMIC-IV-ECG).
        return str(error).removeprefix(f"record {ref.path}: ")
    return Streamed(ref, resample(record.signal, record.fs, fs), record.lead_present, Remark.of(record))
