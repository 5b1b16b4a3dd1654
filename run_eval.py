"""Evaluate a checkpoint, or analyse saved results.

python run_eval.py ENV_FILE              evaluate, like eval.sh
python run_eval.py --check RESULT        recompute the scores of a result from its predictions; exit code 1 if any
                                         differs
python run_eval.py --rescore RESULT NAME score the saved predictions by another definition (strict, heartllm, ecg-bench)
python run_eval.py --compare A B         compare two results on the same samples: difference, interval, paired test
python run_eval.py --seeds A B C ...     summarise several runs in one table: mean, SD, interval
python run_eval.py --table latex A B ... the scores of one or several results for a paper: latex, markdown or csv
python run_eval.py --grid latex A B ...  train on X, test on Y: a row for each test set, a column for each training set

--rescore, --compare, --seeds and --grid print a table; --out FILE also writes all figures as JSON, or the grid as a
picture if FILE ends with png, svg or pdf.
"""

import argparse
import json
import sys
from pathlib import Path

from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.errors import UserError, make_folder
from cardiolect.utils.launchers import only_main_rank


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument(
        "env_file", nargs="?", metavar="ENV_FILE", help="settings of the evaluation, see docs/SETTINGS.md"
    )
    mode.add_argument("--check", type=Path, metavar="RESULT", help="a result.json or its folder")
    mode.add_argument("--rescore", nargs=2, metavar=("RESULT", "NAME"), help="a result, and a definition of the scores")
    mode.add_argument("--compare", type=Path, nargs=2, metavar=("A", "B"), help="two results or their folders")
    mode.add_argument("--seeds", type=Path, nargs="+", metavar="RESULT", help="results or their folders")
    mode.add_argument(
        "--table",
        nargs="+",
        metavar=("STYLE", "RESULT"),
        help="latex, markdown or csv, and results or their folders; prints their scores",
    )
    mode.add_argument(
        "--grid", nargs="+", metavar=("STYLE", "RESULT"), help="the same, by training and test set, with score and gap"
    )
    parser.add_argument(
        "--metrics",
        metavar="NAME",
        help="definition of the scores for --compare and --seeds (default: that of the results)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file to write the figures to")
    arguments = parser.parse_args()
    if arguments.env_file or arguments.check or arguments.table:
        if arguments.out:
            parser.error("--out needs --rescore, --compare, --seeds or --grid")
        if arguments.env_file:
            from cardiolect.model.entry import run_stage

            run_stage("eval", arguments.env_file)
            return
    only_main_rank()
    if arguments.check:
        check(arguments.check)
        return
    if arguments.table or arguments.grid:
        from cardiolect.model.evaluation.paper_table import STYLES, paper_table

        style, *results = arguments.table or arguments.grid
        if style not in STYLES or not results:
            name = "--table" if arguments.table else "--grid"
            parser.error(f"{name} takes one of {', '.join(STYLES)}, then results")
        results = [Path(result) for result in results]
        if arguments.table:
            print(paper_table(results, style))
        else:
            print_grid(results, style, arguments.out)
        return
    if arguments.rescore:
        from cardiolect.model.evaluation.result import rescore
        from cardiolect.model.evaluation.tables import scores_table as table

        figures = rescore(Path(arguments.rescore[0]), arguments.rescore[1])
    elif arguments.compare:
        from cardiolect.model.evaluation.compare import compare
        from cardiolect.model.evaluation.compare import comparison_table as table

        figures = compare(*arguments.compare, metrics=arguments.metrics)
    else:
        from cardiolect.model.evaluation.seeds import runs_table as table
        from cardiolect.model.evaluation.seeds import several_runs

        figures = several_runs(arguments.seeds, metrics=arguments.metrics)
    print(table(figures))
    if arguments.out:
        make_folder("--out:", arguments.out.parent)
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n")


def print_grid(results: list[Path], style: str, out: Path | None) -> None:
    """Print the grid of results in a style, and write it to ``out``: its figures as JSON, or else a picture."""
    from cardiolect.model.evaluation.transfer import grid_figure, grid_table, transfer

    grid = transfer(results)
    print(grid_table(grid, style))
    if out is None:
        return
    make_folder("--out:", out.parent)
    if out.suffix == ".json":
        out.write_text(json.dumps(grid, indent=2) + "\n")
        return
    try:
        grid_figure(grid).savefig(out)
    except ValueError as error:
        raise UserError(f"--out: {out}: {error}") from None


def check(result: Path) -> None:
    """Print the scores of a result that its predictions do not reproduce, if any; exit with code 1 in that case."""
    from cardiolect.model.evaluation.reasoning import result as reasoning
    from cardiolect.model.evaluation.result import check_result

    check_result = reasoning.check_result if reasoning.is_reasoning(result) else check_result
    if differences := check_result(result):
        print("\n".join(differences))
        sys.exit(1)
    print(f"{result}: every score follows from its predictions")


if __name__ == "__main__":
    run_command(main, every_rank=True)
