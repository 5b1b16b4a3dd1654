"""Writes a simulated corpus in PTB-XL's layout, with ECG-QA questions and HeartLLM reports.

cardiolect simulate --out DIR --records 6000 --seed 7 [--workers 2]
cardiolect simulate --out DIR --varied [--noise-from PTBXL --noise-folds 1-8]
"""

import hashlib
import json
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cardiolect.data_provider.audit.seen import save_seen
from cardiolect.data_provider.corpora.databases import MADE
from cardiolect.data_provider.corpora.ptbxl_database import parse_folds
from cardiolect.data_provider.corpora.simulated_folder import TRUTH
from cardiolect.data_provider.simulator.comparisons import compare_all
from cardiolect.data_provider.simulator.patients import PLAN_STREAM, draw_patient, plan_patients, stream
from cardiolect.data_provider.simulator.ptbxl_tables import filename_hr, report_row, write_database, write_measurements
from cardiolect.data_provider.simulator.questions import ask_all
from cardiolect.data_provider.simulator.render import simulate
from cardiolect.data_provider.simulator.truth import Truth
from cardiolect.data_provider.simulator.varied.questions import varied_questions
from cardiolect.data_provider.simulator.varied.real_noise import noise_library, noise_sources
from cardiolect.data_provider.simulator.varied.render import simulate_varied
from cardiolect.data_provider.simulator.wfdb_write import write_wfdb
from cardiolect.utils.command_line import Parser
from cardiolect.utils.errors import UserError, make_folder
from cardiolect.utils.progress import progress

VERSION = 9  # increment when the same seed gives different bytes
VARIED_VERSION = 4  # the same for the varied mode
SPLITS = {"train": range(1, 9), "valid": range(9, 10), "test": range(10, 11)}
UNFINISHED = f"{MADE}.part"

Task = tuple[Path, int, int, int, int, bool]  # out, seed, record index, patient index, fold, varied


_library: np.ndarray | None = None  # real noise for all records of this worker process


@dataclass(frozen=True)
class Variety:
    """Settings of a varied corpus.

    noise_from: folder of PTB-XL, whose recordings in ``noise_folds`` provide the noise; None: noise is simulated.
    """

    noise_from: Path | None = None
    noise_folds: str = "1-8"


def write_corpus(out: Path, records: int, seed: int, workers: int = 2, variety: Variety | None = None) -> bool:
    """Write the corpus to ``out``; returns False if it already exists with the same settings.

    variety: None for the default corpus. The bytes depend on records, seed and variety only, not on the number of
    workers. Raises `UserError` for invalid settings and if ``out`` holds anything else.
    """
    settings: dict[str, Any] = {"simulator_version": VERSION, "records": records, "seed": seed}
    _check_settings(records, seed, workers)
    library = None
    if variety is not None:
        settings["varied"] = VARIED_VERSION
        if variety.noise_from is not None:
            library = noise_library(variety.noise_from, parse_folds(variety.noise_folds, "--noise-folds"))
            settings["noise_folds"] = variety.noise_folds
            settings["noise_recordings"] = len(library)
            settings["noise_sha256"] = hashlib.sha256(library.tobytes()).hexdigest()
    if _made_before(out, settings):
        print(f"{out} already holds this corpus ({records} records, seed {seed}): nothing to do")
        return False
    make_folder("--out", out)
    (out / UNFINISHED).write_text(json.dumps(settings))
    if library is not None:  # a model trained on this corpus has seen their noise
        save_seen(out, noise_sources(variety.noise_from, parse_folds(variety.noise_folds, "--noise-folds")))
    print(f"writing {records} records to {out}")
    started = time.perf_counter()
    truths = _write_records(out, records, seed, workers, variety is not None, library)
    print(f"{records / (time.perf_counter() - started):.0f} ECGs/s with {workers} worker{'s' * (workers > 1)}")
    write_database(out / "ptbxl_database.csv", truths)
    write_measurements(out / "measurements.csv", truths)
    (out / TRUTH).write_text("".join(json.dumps(t.to_json()) + "\n" for t in truths))
    _write_splits(out, truths, seed, variety is not None)
    (out / UNFINISHED).write_text(json.dumps(settings, indent=1) + "\n")
    (out / UNFINISHED).replace(out / MADE)  # last, so that an interrupted corpus is never mistaken for a finished one
    return True


def _check_settings(records: int, seed: int, workers: int) -> None:
    if not 1 <= records <= 99999:
        raise UserError(f"--records {records}: give 1 to 99999, as file names have five digits")
    if seed < 0:
        raise UserError(f"--seed {seed}: give 0 or more")
    if workers < 1:
        raise UserError(f"--workers {workers}: give 1 or more")


def _made_before(out: Path, settings: dict[str, Any]) -> bool:
    """Whether the finished corpus exists. Raises `UserError` for anything else that must not be overwritten."""
    if not out.exists():
        return False
    if not out.is_dir():
        raise UserError(f"--out {out} is a file: give a folder")
    for name in (MADE, UNFINISHED):
        if not (out / name).exists():
            continue
        try:
            found = json.loads((out / name).read_text())
        except ValueError:
            found = {}
        found = found if isinstance(found, dict) else {}
        other = [key for key in {**settings, **found} if found.get(key) != settings.get(key)]
        if other:
            raise UserError(
                f"--out {out} has a corpus made with a different --{other[0]}: delete it or give another folder"
            )
        return name == MADE
    if any(out.iterdir()):
        raise UserError(f"--out {out} is neither empty nor a simulated corpus: give a new or empty folder")
    return False


def _write_one(task: Task) -> Truth:
    out, seed, index, owner, fold, varied = task
    patient = draw_patient(seed, owner, fold)
    truth, signal = simulate_varied(seed, index, patient, _library) if varied else simulate(seed, index, patient)
    write_wfdb(out / filename_hr(truth.record_id), signal)
    return truth


def _set_library(library: np.ndarray | None) -> None:
    global _library
    _library = library


def _write_records(
    out: Path, records: int, seed: int, workers: int, varied: bool, library: np.ndarray | None
) -> list[Truth]:
    owner, folds = plan_patients(seed, records)
    tasks: list[Task] = [(out, seed, i, int(owner[i]), int(folds[owner[i]]), varied) for i in range(records)]
    for folder in {(out / filename_hr(i + 1)).parent for i in range(records)}:
        folder.mkdir(parents=True, exist_ok=True)
    bar = {"total": records, "unit": "ECG", "desc": "simulating", "disable": None}
    # Workers, even a single one, are fresh interpreters with one BLAS thread each: on products this small, several
    # threads only wait for each other, and forking a process that has started threads may deadlock.
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        with multiprocessing.get_context("spawn").Pool(workers, _set_library, (library,)) as pool:
            return list(progress(pool.imap(_write_one, tasks, chunksize=32), **bar))
    finally:
        if before is None:
            del os.environ["OPENBLAS_NUM_THREADS"]
        else:
            os.environ["OPENBLAS_NUM_THREADS"] = before


def _write_splits(out: Path, truths: list[Truth], seed: int, varied: bool) -> None:
    """Write the questions, comparisons and reports of each split."""
    sample_id = 0
    for number, (split, folds) in enumerate(SPLITS.items(), start=1):
        members = [t for t in truths if t.fold in folds]
        rows = ask_all(members, stream(seed, PLAN_STREAM, number), sample_id, varied_questions() if varied else None)
        sample_id += len(rows)
        _dump(out / "questions" / f"{split}.json", rows)
        compared = compare_all(members, stream(seed, PLAN_STREAM, number + len(SPLITS)))
        _dump(out / "comparisons" / f"{split}.json", compared)
        _dump(out / "reports" / f"{split}.json", [report_row(t) for t in members])
        print(f"{split}: {len(members)} ECGs, {len(rows)} questions, {len(compared)} comparisons")


def _dump(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n")


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = Parser(prog="cardiolect simulate", description="Simulate labelled ECGs.")
    parser.add_argument("--out", type=Path, required=True, help="new or empty folder")
    parser.add_argument("--records", type=int, default=6000, help="recordings to simulate, 1 to 99999")
    parser.add_argument("--seed", type=int, default=7, help="seed of every random choice")
    parser.add_argument("--workers", type=int, default=2, help="processes that simulate; the result is the same")
    parser.add_argument(
        "--varied", action="store_true", help="make hearts, rhythms and recorders as varied as real ones"
    )
    parser.add_argument(
        "--noise-from",
        type=Path,
        help="with --varied: PTB-XL folder to take real noise from (default: noise is simulated)",
    )
    parser.add_argument("--noise-folds", default="1-8", help="folds of --noise-from to take noise from")
    args = parser.parse_args(argv)
    if args.noise_from and not args.varied:
        raise UserError("--noise-from: real noise needs a varied corpus; add --varied")
    variety = Variety(args.noise_from, args.noise_folds) if args.varied else None
    write_corpus(args.out, args.records, args.seed, args.workers, variety)
