"""Train one stage: ``python run_main.py tokenizer|pretrain|finetune ENV_FILE``."""

from cardiolect.model.entry import run_stage
from cardiolect.utils.command_line import Parser
from cardiolect.utils.errors import exit_on_user_error


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("stage", choices=("tokenizer", "pretrain", "finetune"))
    parser.add_argument("env_file", help="settings of the experiment, see docs/SETTINGS.md")
    arguments = parser.parse_args()
    run_stage(arguments.stage, arguments.env_file)


if __name__ == "__main__":
    exit_on_user_error(main)
