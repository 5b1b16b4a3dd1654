"""Writes altered copies of recordings, as other devices might have made them: ``cardiolect augment``.

A language model is trained on the codes of a recording, which are computed once, so what varies must be in the files. A
copy has another beginning, gain, bandwidth, noise, sampling rate and voltage step, and slightly displaced electrodes;
labels, patient and fold stay. Questions about the recordings (``--texts``) are asked about the copies too, except those
about noise, of which a copy has more.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cardiolect.data_provider.audit.seen import save_seen
from cardiolect.data_provider.corpora.databases import COPIES, database_in
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, load_database, parse_folds
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.record import INDEPENDENT, resample
from cardiolect.data_provider.simulator.leads import twelve
from cardiolect.data_provider.simulator.noise import wander
from cardiolect.data_provider.simulator.varied.noise import record_through
from cardiolect.data_provider.simulator.varied.real_noise import draw_noise, noise_library, noise_sources
from cardiolect.data_provider.simulator.wfdb_write import write_wfdb
from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.errors import UserError, check_overwriting, make_folder
from cardiolect.utils.parallel import ordered_map
from cardiolect.utils.progress import progress

FS = 500
LATEST_START, CUT_END = 0.6, 0.4  # seconds that a copy loses at most
MIXED = 0.15  # share of a chest lead that comes from its neighbour, at most
TURNED = np.deg2rad(5)  # of the frontal plane, at most: limb electrodes elsewhere
RATES_HZ = (240, 250, 257, 300, 360, 400, 500, 500, 500, 1000)
STEPS_UV = (1.0, 2.5, 4.88, 5.0, 10.0)
HIGH_PASS_HZ = (0.05, 0.05, 0.1)  # a higher one would move ST, which the labels of the originals are about
NOISE, WANDER = 0.5, 0.3  # shares of copies that get another recording's noise, or wander
BEYOND = 100_000  # ecg_ids of copies are those of their recordings and multiples of this


@dataclass(frozen=True)
class Copy:
    """One copy to write. number: 1, 2, ... of this recording."""

    ref: RecordRef
    number: int

    @property
    def ecg_id(self) -> int:
        return int(self.ref.record_id) + BEYOND * self.number

    @property
    def name(self) -> str:
        return f"records500/{self.number:02d}/{self.ref.record_id}"


def altered(signal: np.ndarray, library: np.ndarray | None, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A copy of ``(12, T)`` mV at `FS`, leads in the order of LEADS, and its sampling rate in Hz.

    library: from `real_noise.noise_library`.
    """
    first, last = round(FS * rng.uniform(0, LATEST_START)), signal.shape[1] - round(FS * rng.uniform(0, CUT_END))
    eight = _displaced(signal[list(INDEPENDENT), first:last].astype(float), rng)
    if library is not None and rng.random() < NOISE:
        noise = draw_noise(library, rng)
        eight = eight + rng.uniform(0.2, 1.0) * noise.take(range(eight.shape[1]), axis=1, mode="wrap")
    if rng.random() < WANDER:
        size = np.exp(rng.uniform(np.log(0.02), np.log(0.3)))
        eight = eight + size * wander(rng, eight.shape, rng.uniform(0.05, 0.4))
    eight = record_through(eight, FS, rng, HIGH_PASS_HZ)
    fs = int(rng.choice(RATES_HZ))
    step = rng.choice(STEPS_UV) / 1000
    return twelve(np.round(resample(eight.astype(np.float32), FS, fs) / step) * step).astype(np.float32), fs


def _displaced(eight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Limb and chest electrodes a little elsewhere."""
    turn = rng.uniform(-TURNED, TURNED)
    lead_i, lead_ii = eight[:2]
    down = (2 * lead_ii - lead_i) / 3**0.5  # the frontal vector, on axes at right angles
    across, down = np.cos(turn) * lead_i - np.sin(turn) * down, np.sin(turn) * lead_i + np.cos(turn) * down
    chest = eight[2:]
    share = rng.uniform(0, MIXED, (6, 1))
    neighbours = chest[np.clip(np.arange(6) + rng.choice([-1, 1]), 0, 5)]
    return np.concatenate([[across, (across + 3**0.5 * down) / 2], (1 - share) * chest + share * neighbours])


def _write(task: Copy, out: Path, library: np.ndarray | None, seed: int) -> bool:
    try:
        record = read_record(task.ref)
    except RecordError:
        return False
    if not record.good.all():
        return False
    rng = np.random.default_rng([seed, task.ecg_id])
    signal, fs = altered(resample(record.signal, record.fs, FS), library, rng)
    write_wfdb(out / task.name, signal, fs)
    return True


def _write_table(source: Path, out: Path, written: Sequence[Copy]) -> None:
    with (source / DATABASE_NAME).open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        rows = {str(int(row["ecg_id"])): row for row in reader}
        columns = reader.fieldnames or []
    with (out / DATABASE_NAME).open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for copy in written:
            files = {"filename_hr": copy.name, "filename_lr": ""}
            writer.writerow(
                {**rows[copy.ref.record_id], "ecg_id": copy.ecg_id, **{c: files[c] for c in columns if c in files}}
            )


def _copied_texts(paths: Sequence[Path], written: Sequence[Copy]) -> list[dict]:
    """The questions of the files, asked about the copies of their recordings."""
    copies: dict[int, list[int]] = {}
    for copy in written:
        copies.setdefault(int(copy.ref.record_id), []).append(copy.ecg_id)
    asked = [
        {**row, "ecg_id": [ecg_id]}
        for path in paths
        for row in json.loads(path.read_bytes())
        if row["attribute_type"] != "noise" and len(row["ecg_id"]) == 1
        for ecg_id in copies.get(row["ecg_id"][0], ())
    ]
    return [{**row, "sample_id": number} for number, row in enumerate(asked)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect augment", description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder in PTB-XL's layout")
    parser.add_argument("--out", type=Path, required=True, help="folder for the copies, in the same layout")
    parser.add_argument("--folds", default="1-7", help="folds whose recordings are copied")
    parser.add_argument("--copies", type=int, default=3, help="of each recording, up to 99")
    parser.add_argument(
        "--texts", type=Path, nargs="+", default=[], help="JSON files of questions, as derive and measure write them"
    )
    parser.add_argument("--noise-from", type=Path, help="PTB-XL folder whose noise is added (default: none is)")
    parser.add_argument("--noise-folds", default="1-7", help="folds of --noise-from")
    parser.add_argument("--seed", type=int, default=42, help="seed of every random choice")
    parser.add_argument("--workers", type=int, default=2, help="processes that write; the result is the same")
    parser.add_argument("--force", action="store_true", help="replace what an earlier run wrote to OUT")
    args = parser.parse_args(arguments)
    if not 1 <= args.copies <= 99:
        raise UserError(f"--copies {args.copies}: give 1 to 99")
    make_folder("--out", args.out)
    check_overwriting(args.out, [DATABASE_NAME, "questions.json"], args.force)
    folds = parse_folds(args.folds, "--folds")
    refs = [ref for ref in load_database(args.source, "--source").values() if ref.fold in folds]
    if not refs:
        raise UserError(f"--source {args.source}: no recordings in folds {args.folds}")
    library, noisy = None, []
    if args.noise_from:
        noise_folds = parse_folds(args.noise_folds, "--noise-folds")
        library, noisy = noise_library(args.noise_from, noise_folds), noise_sources(args.noise_from, noise_folds)
    tasks = [Copy(ref, number) for number in range(1, args.copies + 1) for ref in refs]
    for folder in {(args.out / task.name).parent for task in tasks}:
        folder.mkdir(parents=True, exist_ok=True)
    done = ordered_map(partial(_write, out=args.out, library=library, seed=args.seed), tasks, args.workers)
    written = [
        task
        for task, ok in zip(tasks, progress(done, "copying", len(tasks), unit="ECG", mininterval=1), strict=True)
        if ok
    ]
    _write_table(args.source, args.out, written)
    made = {"database": database_in(args.source), "copies": args.copies, "folds": args.folds, "seed": args.seed}
    (args.out / COPIES).write_text(json.dumps(made, indent=1) + "\n")
    save_seen(args.out, [*refs, *noisy])  # a model trained on the copies has seen these
    asked = _copied_texts(args.texts, written)
    (args.out / "questions.json").write_text(json.dumps(asked, indent=1) + "\n")
    skipped = len(tasks) - len(written)
    print(
        f"{args.out}: {len(written)} copies and {len(asked)} questions about them; {skipped} copies left out, as "
        "samples of their recordings are not usable"
    )


if __name__ == "__main__":
    run_command(main)
