"""Measures simulated signals against their truth, and looks for contradictions in what is said about them.

python -m cardiolect.data_provider.simulator.check [--records 300] [--seed 5] [--mode default|varied]

Intervals, axis, voltages and rhythm are measured by `ecgqa.intervals`, which knows nothing of the simulator. The exit
code is 1 if an error is out of the bounds in the table, or if anything that is said about a recording contradicts
something else.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

import numpy as np
from tqdm import tqdm

from cardiolect.data_provider.ecgqa.intervals import FS, measure_intervals
from cardiolect.data_provider.simulator.check.noise import judge_noise
from cardiolect.data_provider.simulator.check.signals import Case, judge_bounds, judge_shares
from cardiolect.data_provider.simulator.check.texts import text_contradictions
from cardiolect.data_provider.simulator.patients import draw_patient, stream
from cardiolect.data_provider.simulator.questions import ask_all
from cardiolect.data_provider.simulator.render import simulate
from cardiolect.data_provider.simulator.reports import report
from cardiolect.data_provider.simulator.truth import Truth
from cardiolect.data_provider.simulator.varied.questions import varied_questions
from cardiolect.data_provider.simulator.varied.render import simulate_varied
from cardiolect.utils.command_line import Parser, integer, run_command

MODES: dict[str, Callable] = {"default": simulate, "varied": simulate_varied}
SHOWN = 5  # contradictions that are printed


def check(mode: str, records: int, seed: int) -> tuple[str, bool]:
    """Simulate patients with one recording each; the table of what was measured, and whether all of it is good."""
    made: list[tuple[Truth, np.ndarray]] = []
    cases = []
    unread = 0
    for index in tqdm(range(records), desc=mode, unit="ECG", disable=None):
        truth, signal = MODES[mode](seed, index, draw_patient(seed, index, fold=1))
        made.append((truth, signal))
        found = measure_intervals(signal, FS)
        unread += found is None
        cases += [] if found is None else [Case(truth, found)]
    truths = [truth for truth, _ in made]
    asked = ask_all(truths, stream(seed, 0, 0), asked=varied_questions() if mode == "varied" else None)
    of: dict[int, list[dict]] = {}
    for row in asked:
        of.setdefault(row["ecg_id"][0], []).append(row)
    said = {t.record_id: text_contradictions(t, report(t), of.get(t.record_id, [])) for t in truths}
    against = [f"record {record}: {'; '.join(words)}" for record, words in said.items() if words]
    rows = [*judge_bounds(cases), *judge_shares(cases), *judge_noise(made)]
    lines = [
        f"{mode}: {records} recordings, seed {seed}; {unread} without beats that can be found",
        "| measured against the truth | n | median or share | 10-90 % | bounds |",
        "| --- | --- | --- | --- | --- |",
        *(line for line, _ in rows),
        f"contradictions in reports and {len(asked)} answers: {len(against)} of {records} recordings",
        *against[:SHOWN],
    ]
    return "\n".join(lines), not against and all(good for _, good in rows)


def main(arguments: Sequence[str] | None = None) -> None:
    shape = argparse.RawDescriptionHelpFormatter
    parser = Parser("python -m cardiolect.data_provider.simulator.check", description=__doc__, formatter_class=shape)
    parser.add_argument("--records", type=integer(1, 99999), default=300, help="recordings of each mode")
    parser.add_argument("--seed", type=integer(0), default=5)
    parser.add_argument("--mode", choices=MODES, action="append", help="default: both")
    args = parser.parse_args(arguments)
    good = True
    for mode in args.mode or MODES:
        table, fine = check(mode, args.records, args.seed)
        print(table, end="\n\n")
        good &= fine
    if not good:
        print("out of bounds or contradictory: see above", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
