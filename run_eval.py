"""Evaluate a checkpoint, look at results.

python run_eval.py ENV_FILE              evaluate, as eval.sh does
python run_eval.py --check RESULT        compute the scores of a result again from its predictions; exit code 1 where
                                         they differ
python run_eval.py --compare A B         two results on the same samples: difference, interval, paired test
python run_eval.py --seeds A B C ...     several runs in one table: mean, SD, interval
"""

import argparse
import sys
from pathlib import Path

from utils.errors import exit_on_user_error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("env_file", nargs="?", help="settings of the evaluation, see docs/SETTINGS.md")
    what.add_argument("--check", type=Path, metavar="RESULT", help="result.json or its folder")
    what.add_argument("--compare", type=Path, nargs=2, metavar=("A", "B"), help="results, or their folders")
    what.add_argument("--seeds", type=Path, nargs="+", metavar="RESULT", help="results, or their folders")
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.check)
    elif arguments.compare:
        from model.results.compare import compare, comparison_table

        print(comparison_table(compare(*arguments.compare)))
    elif arguments.seeds:
        from model.results.seeds import runs_table, several_runs

        print(runs_table(several_runs(arguments.seeds)))
    else:
        evaluate(arguments.env_file)


def evaluate(env_file: str) -> None:
    from model.settings import EvalSettings
    from utils.launch import ensure_ranks, join_ranks, leave_ranks
    from utils.memory import keep_freed_memory

    settings = EvalSettings.load(env_file)
    ensure_ranks(settings.num_processes)
    keep_freed_memory()
    from model.evaluation import evaluate

    join_ranks(settings.device)
    evaluate(settings)
    leave_ranks()


def check(result: Path) -> None:
    from model.results.document import check_result

    if differences := check_result(result):
        print("\n".join(differences))
        sys.exit(1)
    print(f"{result}: every score follows from its predictions")


if __name__ == "__main__":
    exit_on_user_error(main)
