"""Which copies of a recording the audit and the list of seen recordings recognise, and how the time of a search grows.

    python -m bench.copies --data MANIFEST [MANIFEST ...] [--records 100]

Copies of some recordings are planted among all recordings of the manifests. Prints the share recognised per kind of
copy, the groups of recordings that are taken for one ECG without any copy planted, and the seconds of the search.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.signal import butter, filtfilt, iirnotch, sosfilt, sosfiltfilt

from bench.harness import benchmark_parser, report
from cardiolect.data_provider.audit.duplicates import SignalGroups
from cardiolect.data_provider.audit.fingerprint import Fingerprint, fingerprint, sample_hash
from cardiolect.data_provider.audit.matching import seen_among
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.manifest import load_records
from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.record import LEADS, ECGRecord, resample
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError
from cardiolect.utils.parallel import ordered_map

Signal = tuple[np.ndarray, float]  # (12, T) mV, NaN in missing leads; Hz
Known = tuple[str, Fingerprint | None]  # sample hash and fingerprint


def cut(x: np.ndarray, fs: float, start: float, end: float) -> np.ndarray:
    return x[:, round(start * fs) : round(end * fs)]


def high_pass(x: np.ndarray, fs: float, hz: float) -> np.ndarray:
    return sosfiltfilt(butter(2, hz, "highpass", fs=fs, output="sos"), x, axis=1)


def device_filter(x: np.ndarray, fs: float, hz: float, kind: str, order: int) -> np.ndarray:
    """As a recorder filters, with the delay of its filter."""
    return sosfilt(butter(order, hz, kind, fs=fs, output="sos"), x - x[:, :1], axis=1)


def noise(x: np.ndarray, microvolts: float) -> np.ndarray:
    return x + np.random.default_rng(x.shape[1]).normal(0, microvolts / 1000, x.shape)


def noise_in(x: np.ndarray, microvolts: float, *leads: str) -> np.ndarray:
    return np.where(np.isin(LEADS, leads)[:, None], noise(x, microvolts), x)


def only(x: np.ndarray, *leads: str) -> np.ndarray:
    return np.where(np.isin(LEADS, leads)[:, None], x, np.nan)


def arms_exchanged(x: np.ndarray) -> np.ndarray:
    return np.concatenate([[-x[0], x[2], x[1], x[4], x[3], x[5]], x[6:]])


def arm_and_leg_exchanged(x: np.ndarray) -> np.ndarray:
    """Of the left arm and the left leg."""
    return np.concatenate([[x[1], x[0], -x[2], x[3], x[5], x[4]], x[6:]])


def z_scored(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=1, keepdims=True)) / np.maximum(x.std(axis=1, keepdims=True), 1e-6)


COPIES: dict[str, Callable[[np.ndarray, float], Signal]] = {
    "equal samples": lambda x, fs: (x, fs),
    "every second sample, unfiltered": lambda x, fs: (x[:, ::2], fs / 2),
    "200 units per mV": lambda x, fs: (np.round(200 * x) / 200, fs),
    "gain 1.02, offset 0.01 mV": lambda x, fs: (1.02 * x + 0.01, fs),
    "microvolts taken for millivolts": lambda x, fs: (1000 * x, fs),
    "each lead z-scored": lambda x, fs: (z_scored(x), fs),
    "inverted": lambda x, fs: (-x, fs),
    "resampled to 100 Hz": lambda x, fs: (resample(x, fs, 100.0), 100.0),
    "resampled to 257 Hz": lambda x, fs: (resample(x, fs, 257.0), 257.0),
    "cut by one sample": lambda x, fs: (x[:, 1:], fs),
    "first half": lambda x, fs: (x[:, : x.shape[1] // 2], fs),
    "last half": lambda x, fs: (x[:, x.shape[1] // 2 :], fs),
    "seconds 1.7 to 7.7 at 257 Hz": lambda x, fs: (resample(cut(x, fs, 1.7, 7.7), fs, 257.0), 257.0),
    "0.5 Hz high-pass": lambda x, fs: (high_pass(x, fs, 0.5), fs),
    "0.5 Hz high-pass of a recorder": lambda x, fs: (device_filter(x, fs, 0.5, "highpass", 2), fs),
    "35 Hz low-pass of a recorder": lambda x, fs: (device_filter(x, fs, 35.0, "lowpass", 4), fs),
    "15 Hz low-pass": lambda x, fs: (sosfiltfilt(butter(2, 15.0, "lowpass", fs=fs, output="sos"), x, axis=1), fs),
    "clipped at 0.5 mV": lambda x, fs: (np.clip(x, -0.5, 0.5), fs),
    "50 Hz notch": lambda x, fs: (filtfilt(*iirnotch(50.0, 30.0, fs), x, axis=1), fs),
    "drift of 0.5 mV added": lambda x, fs: (x + 0.5 * np.sin(2 * np.pi * 0.2 * np.arange(x.shape[1]) / fs), fs),
    "noise of 1 uV": lambda x, fs: (noise(x, 1), fs),
    "noise of 10 uV": lambda x, fs: (noise(x, 10), fs),
    "noise of 30 uV": lambda x, fs: (noise(x, 30), fs),
    "noise of 100 uV": lambda x, fs: (noise(x, 100), fs),
    "noise of 200 uV in V2 and V3": lambda x, fs: (noise_in(x, 200, "V2", "V3"), fs),
    "seconds 0.3 to 5.8, 0.5 Hz high-pass, 5 uV, 200 Hz": lambda x, fs: (
        resample(noise(high_pass(cut(x, fs, 0.3, 5.8), fs, 0.5), 5), fs, 200.0),
        200.0,
    ),
    "arm electrodes exchanged": lambda x, fs: (arms_exchanged(x), fs),
    "left arm and left leg electrodes exchanged": lambda x, fs: (arm_and_leg_exchanged(x), fs),
    "chest leads in the order V3 V1 V2 V6 V4 V5": lambda x, fs: (x[[0, 1, 2, 3, 4, 5, 8, 6, 7, 11, 9, 10]], fs),
    "V1 and V2 exchanged": lambda x, fs: (x[[0, 1, 2, 3, 4, 5, 7, 6, 8, 9, 10, 11]], fs),
    "limb leads only": lambda x, fs: (only(x, *LEADS[:6]), fs),
    "chest leads only": lambda x, fs: (only(x, *LEADS[6:]), fs),
    "II, V1, V5 only": lambda x, fs: (only(x, "II", "V1", "V5"), fs),
    "II only": lambda x, fs: (only(x, "II"), fs),
    "seconds 0 to 3": lambda x, fs: (cut(x, fs, 0, 3), fs),
    "rate wrong by 2 %": lambda x, fs: (x, 1.02 * fs),
    "reversed in time": lambda x, fs: (x[:, ::-1], fs),
}


def known(record: ECGRecord) -> Known:
    return sample_hash(record), fingerprint(record)


def copy(record: ECGRecord, kind: str) -> ECGRecord:
    """A copy of the first 10 s."""
    x, fs = COPIES[kind](cut(record.signal.astype(float), record.fs, 0, 10), record.fs)
    good = np.isfinite(x)
    return ECGRecord(np.where(good, x, 0).astype(np.float32), fs, good, record.record_id)


def _read(ref: RecordRef) -> Known | None:
    try:
        return known(read_record(ref, check_leads=False))
    except RecordError:
        return None


def _copies(ref: RecordRef) -> dict[str, Known]:
    record = read_record(ref, check_leads=False)
    return {kind: known(copy(record, kind)) for kind in COPIES}


def groups_of(recordings: Sequence[Known]) -> list[int]:
    groups = SignalGroups()
    for samples, found in recordings:
        groups.add(samples, found)
    return groups.labels()


def recognised(originals: Sequence[Known], places: Sequence[int], copies: Sequence[Known]) -> tuple[float, float]:
    """The shares of the copies of the recordings at ``places`` that the audit and a list of seen ones recognise."""
    labels = groups_of([*originals, *copies])
    audit = np.mean([labels[len(originals) + i] == labels[place] for i, place in enumerate(places)])
    stored = [Fingerprint.from_text(found.to_text()) for _, found in originals if found is not None]
    hashes = {samples for samples, _ in originals} - {""}
    asked = [i for i, (_, found) in enumerate(copies) if found is not None]
    seen = np.array([samples in hashes for samples, _ in copies])
    seen[asked] |= seen_among([copies[i][1] for i in asked], stored)
    return float(audit), float(seen.mean())


def search_seconds(originals: Sequence[Known]) -> list[str]:
    """How long grouping takes for a quarter, a half and all of the recordings."""
    said = []
    for share in (4, 2, 1):
        part = originals[: len(originals) // share]
        start = time.process_time()
        groups_of(part)
        said.append(f"{len(part)}: {time.process_time() - start:.1f} s")
    return said


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="manifests")
    parser.add_argument("--records", type=int, default=100, help="recordings to copy")
    parser.add_argument("--workers", type=int, default=2, help="processes that read")
    arguments = parser.parse_args()
    refs = [ref for folder in arguments.data for ref, _ in load_records(folder).values()]
    read = list(ordered_map(_read, refs, arguments.workers))
    readable = [i for i, one in enumerate(read) if one is not None and one[1] is not None]
    if len(readable) < arguments.records:
        raise UserError(f"--records {arguments.records}: only {len(readable)} recordings can be read and compared")
    refs, originals = [refs[i] for i in readable], [read[i] for i in readable]
    places = sorted(np.random.default_rng(0).choice(len(refs), arguments.records, replace=False).tolist())
    copies = list(ordered_map(_copies, [refs[i] for i in places], arguments.workers))
    rows = []
    for kind in COPIES:
        audit, seen = recognised(originals, places, [found[kind] for found in copies])
        rows.append({"copy": kind, "audit": f"{audit:.1%}", "seen": f"{seen:.1%}"})
    labels = groups_of(originals)
    same = [ref.record_id for ref, label in zip(refs, labels, strict=True) if labels.count(label) > 1]
    notes = (
        f"{len(originals)} recordings; in groups without any copy planted: {', '.join(same) or 'none'}\n"
        f"CPU time of the search: {', '.join(search_seconds(originals))}"
    )
    report("copies", rows, arguments.out, notes)


if __name__ == "__main__":
    run_command(main)
