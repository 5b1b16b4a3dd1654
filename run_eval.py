"""Evaluate a checkpoint: ``python run_eval.py ENV_FILE`` (eval.sh calls it)."""

import argparse

from model.settings import EvalSettings
from utils.errors import exit_on_user_error
from utils.launch import ensure_ranks, join_ranks, leave_ranks
from utils.memory import keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("env_file", help="settings of the evaluation, see docs/SETTINGS.md")
    settings = EvalSettings.load(parser.parse_args().env_file)
    ensure_ranks(settings.num_processes)
    keep_freed_memory()
    from model.evaluation import evaluate

    join_ranks(settings.device)
    evaluate(settings)
    leave_ranks()


if __name__ == "__main__":
    exit_on_user_error(main)
