"""Compare representations: train and evaluate each by its own env files, and write one table.

FOLDER holds a folder for each representation with tokenizer.env, pretrain.env (unless it embeds ECGs), finetune.env,
and test_*.env, as in env/compare/quickstart. All must have the same language model, seed, texts and evaluations. A
stage that is done with the same settings is not run again. To compare two results, use run_eval.py --compare.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cardiolect.model.comparison.plan import EVAL, Plan, budgets, check_data, read_plans
from cardiolect.model.comparison.run import Record, StageError, files_of, finished, run_stage
from cardiolect.model.comparison.table import column, distortion, fixed_width, markdown, notes, rows_of
from cardiolect.utils.command_line import Parser, file_path, run_command
from cardiolect.utils.errors import UserError, make_folder

TABLES = ("table.txt", "table.md", "table.json")


class Progress:
    """What is done, and how long the rest may take by what the same stages took before."""

    def __init__(self, plans: Sequence[Plan], folder: Path):
        self.left = [(plan.name, stage.name) for plan in plans for stage in plan.stages]
        self.took: dict[str, list[float]] = {}
        for plan in plans:
            for stage in plan.stages:
                record = Record.read(files_of(stage, folder / plan.name)[0])
                if record and record.finished:
                    self.took.setdefault(stage.name, []).append(record.seconds)

    def done(self, plan: str, stage: str, seconds: float | None = None) -> None:
        self.left.remove((plan, stage))
        if seconds is not None:
            self.took.setdefault(stage, []).append(seconds)

    def failed(self, plan: str) -> None:
        self.left = [each for each in self.left if each[0] != plan]

    def __str__(self) -> str:
        known = [float(np.mean(self.took[stage])) for _, stage in self.left if stage in self.took]
        if not self.left:
            return "all stages are done"
        if not known:
            return f"{len(self.left)} stages left"
        bound = "" if len(known) == len(self.left) else "more than "
        return f"{len(self.left)} stages left, {bound}{duration(sum(known))}"


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def compare(folder: Path, only: Sequence[str] = (), out: Path | None = None) -> dict[str, Any]:
    """Run what is not done, write the tables to ``out``, return what table.json holds.

    A representation that fails is left out of the rest; its column says so.
    """
    plans = read_plans(folder, only)
    check_data(plans)
    out = out or Path("results/compare") / folder.resolve().name
    make_folder("--out:", out)
    progress, columns = Progress(plans, out), {}
    for plan in plans:
        columns[plan.name] = _run_plan(plan, out / plan.name, progress)
        written = _write(out, columns, budgets(plans))
    print(f"\n{(out / TABLES[0]).read_text()}\n{', '.join(TABLES)} are in {out}")
    return written


def _run_plan(plan: Plan, folder: Path, progress: Progress) -> dict[str, Any]:
    records: dict[str, Record] = {}
    for number, stage in enumerate(plan.stages, 1):
        label = f"{plan.name} {number}/{len(plan.stages)} {stage.name}"
        # If an earlier stage ran anew, this one does too.
        after = [records[earlier.name].run for earlier in plan.stages[: number - 1] if earlier.command != EVAL]
        if record := finished(stage, folder, after):
            progress.done(plan.name, stage.name)
            print(f"{label}: done before with the same settings, in {duration(record.seconds)}", flush=True)
        else:
            print(f"{label}: {stage.env_file}; {progress}", flush=True)
            try:
                record = run_stage(stage, folder, after)
            except StageError as error:
                progress.failed(plan.name)
                print(f"{label}: failed ({error}); see {files_of(stage, folder)[1]}", flush=True)
                return {"failed": stage.name, "why": str(error)}
            progress.done(plan.name, stage.name, record.seconds)
            print(f"{label}: {duration(record.seconds)}, {record.peak_bytes / 1e9:.2f} GB; {progress}", flush=True)
        records[stage.name] = record
    try:
        return column(plan, records, distortion(plan, folder))
    except UserError as error:
        return {"failed": "distortion", "why": str(error)}


def _write(out: Path, columns: Mapping[str, Any], differ: Mapping[str, Any]) -> dict[str, Any]:
    rows, below = rows_of(columns), notes(columns, differ)
    written = {"representations": dict(columns), "differ": json.loads(json.dumps(differ, default=str))}
    (out / "table.txt").write_text(fixed_width(rows, below))
    (out / "table.md").write_text(markdown(rows, below))
    (out / "table.json").write_text(json.dumps(written, indent=2) + "\n")
    return written


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=file_path, metavar="FOLDER", help="holds a folder of env files for each representation"
    )
    parser.add_argument("--only", metavar="NAMES", help="names of such folders, separated by commas (default: all)")
    parser.add_argument(
        "--out", type=file_path, metavar="DIR", help="tables, logs and times (default: results/compare/NAME of FOLDER)"
    )
    given = parser.parse_args(arguments)
    only = [name.strip() for name in (given.only or "").split(",") if name.strip()]
    try:
        written = compare(given.folder, only, given.out)
    except KeyboardInterrupt:
        print("\nstopped; to continue, run the same command again", file=sys.stderr)
        raise
    if any("failed" in each for each in written["representations"].values()):
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
