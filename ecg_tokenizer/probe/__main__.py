from cardiolect.ecg_tokenizer.probe.command import main
from cardiolect.utils.command_line import run_command

if __name__ == "__main__":
    run_command(main)
