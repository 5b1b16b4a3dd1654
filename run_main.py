"""Train one stage: ``python run_main.py pretrain|finetune ENV_FILE`` (pretrain.sh and finetune.sh call it)."""

import argparse

from model.settings import FinetuneSettings, PretrainSettings
from utils.errors import exit_on_user_error
from utils.launch import ensure_ranks, join_ranks, leave_ranks
from utils.memory import keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=("pretrain", "finetune"))
    parser.add_argument("env_file", help="settings of the experiment, see docs/SETTINGS.md")
    arguments = parser.parse_args()
    settings = (PretrainSettings if arguments.stage == "pretrain" else FinetuneSettings).load(arguments.env_file)
    ensure_ranks(settings.num_processes)
    keep_freed_memory()
    from model import stages  # after the ranks stand: DeepSpeed reads the process environment when imported

    join_ranks(settings.device)
    getattr(stages, arguments.stage)(settings)
    leave_ranks()


if __name__ == "__main__":
    exit_on_user_error(main)
