"""Train one stage: ``python run_main.py tokenizer|pretrain|finetune ENV_FILE``."""

from cardiolect.utils.command_line import Parser, run_command


def main() -> None:
    parser = Parser(description="Train one stage.")
    parser.add_argument("stage", choices=("tokenizer", "pretrain", "finetune"))
    parser.add_argument("env_file", metavar="ENV_FILE", help="settings of the experiment, see docs/SETTINGS.md")
    arguments = parser.parse_args()

    from cardiolect.model.entry import run_stage  # slow: imports PyTorch

    run_stage(arguments.stage, arguments.env_file)


if __name__ == "__main__":
    run_command(main, every_rank=True)
