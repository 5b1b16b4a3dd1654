"""Measures simulated signals against their truth, and looks for contradictions in what is said about them.

python -m cardiolect.data_provider.simulator.check CORPUS ...
python -m cardiolect.data_provider.simulator.check [--records 300] [--seed 5] [--mode default|varied]

CORPUS is a folder made by cardiolect simulate: its truth file is compared with its signals, tables, reports, questions,
and with what the simulator draws with its seed. Without one, recordings are drawn. Intervals, axis, voltages and rhythm
are measured by `ecgqa.intervals`, which knows nothing of the simulator. The exit code is 1 if an error is out of the
bounds in the table, or if anything that is said about a recording contradicts something else.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cardiolect.data_provider.simulator.check.measured import Measured
from cardiolect.data_provider.simulator.check.stored import check_stored
from cardiolect.data_provider.simulator.check.texts import text_contradictions
from cardiolect.data_provider.simulator.patients import draw_patient, stream
from cardiolect.data_provider.simulator.questions import ask_all
from cardiolect.data_provider.simulator.render import simulate
from cardiolect.data_provider.simulator.reports import report
from cardiolect.data_provider.simulator.varied.questions import varied_questions
from cardiolect.data_provider.simulator.varied.render import simulate_varied
from cardiolect.utils.command_line import Parser, integer, run_command
from cardiolect.utils.progress import progress

MODES: dict[str, Callable] = {"default": simulate, "varied": simulate_varied}
RECORDS, SEED = 300, 5
SHOWN = 5  # contradictions that are printed


def check(mode: str, records: int, seed: int) -> tuple[str, bool]:
    """Simulate patients with one recording each; the table of what was measured, and whether all of it is good."""
    truths, measured = [], Measured()
    for index in progress(range(records), desc=mode, unit="ECG", disable=None):
        truth, signal = MODES[mode](seed, index, draw_patient(seed, index, fold=1))
        truths.append(truth)
        measured.add(truth, signal)
    asked = ask_all(truths, stream(seed, 0, 0), asked=varied_questions() if mode == "varied" else None)
    of: dict[int, list[dict]] = {}
    for row in asked:
        of.setdefault(row["ecg_id"][0], []).append(row)
    said = {t.record_id: text_contradictions(t, report(t), of.get(t.record_id, [])) for t in truths}
    against = [f"record {record}: {'; '.join(words)}" for record, words in said.items() if words]
    table, good = measured.table(f"{mode}: {records} recordings, seed {seed}")
    summary = f"contradictions in reports and {len(asked)} answers: {len(against)} of {records} recordings"
    return "\n".join([table, summary, *against[:SHOWN]]), good and not against


def main(arguments: Sequence[str] | None = None) -> None:
    shape = argparse.RawDescriptionHelpFormatter
    parser = Parser("python -m cardiolect.data_provider.simulator.check", description=__doc__, formatter_class=shape)
    parser.add_argument("corpus", type=Path, nargs="*", help="folder made by cardiolect simulate")
    parser.add_argument("--records", type=integer(1, 99999), help=f"recordings to draw of each mode, {RECORDS}")
    parser.add_argument("--seed", type=integer(0), help=f"default: {SEED}")
    parser.add_argument("--mode", choices=MODES, action="append", help="default: both")
    args = parser.parse_args(arguments)
    if args.corpus and (given := [n for n in ("records", "seed", "mode") if getattr(args, n) is not None]):
        parser.error(f"--{given[0]} is for recordings to draw, not for a corpus")
    seed = SEED if args.seed is None else args.seed
    checked = (
        map(check_stored, args.corpus)
        if args.corpus
        else (check(mode, args.records or RECORDS, seed) for mode in args.mode or MODES)
    )
    good = True
    for text, fine in checked:
        print(text, end="\n\n")
        good &= fine
    if not good:
        print("out of bounds or contradictory: see above", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
