"""Evaluate a checkpoint, look at results.

python run_eval.py ENV_FILE              evaluate, as eval.sh does
python run_eval.py --check RESULT        compute the scores of a result again from its predictions; exit code 1 where
                                         they differ
python run_eval.py --rescore RESULT NAME the saved predictions by another definition (strict, heartllm, ecg-bench)
python run_eval.py --compare A B         two results on the same samples: difference, interval, paired test
python run_eval.py --seeds A B C ...     several runs in one table: mean, SD, interval

The last three print a table; --out FILE writes all figures as JSON.
"""

import argparse
import json
import sys
from pathlib import Path

from cardiolect.utils.command_line import Parser
from cardiolect.utils.errors import exit_on_user_error, make_folder


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("env_file", nargs="?", help="settings of the evaluation, see docs/SETTINGS.md")
    what.add_argument("--check", type=Path, metavar="RESULT", help="result.json or its folder")
    what.add_argument("--rescore", nargs=2, metavar=("RESULT", "NAME"), help="result, and the name of a definition")
    what.add_argument("--compare", type=Path, nargs=2, metavar=("A", "B"), help="results, or their folders")
    what.add_argument("--seeds", type=Path, nargs="+", metavar="RESULT", help="results, or their folders")
    parser.add_argument(
        "--metrics", metavar="NAME", help="definition by which --compare and --seeds score; that of the results"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file for the figures that are printed")
    arguments = parser.parse_args()
    if arguments.env_file or arguments.check:
        if arguments.out:
            parser.error("--out goes with --rescore, --compare and --seeds")
        if arguments.check:
            check(arguments.check)
        else:
            from cardiolect.model.entry import run_stage

            run_stage("eval", arguments.env_file)
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


def check(result: Path) -> None:
    from cardiolect.model.evaluation.result import check_result

    if differences := check_result(result):
        print("\n".join(differences))
        sys.exit(1)
    print(f"{result}: every score follows from its predictions")


if __name__ == "__main__":
    exit_on_user_error(main)
