"""``python -m model.serving.demo --checkpoint FOLDER``."""

import argparse
import signal
import sys
from pathlib import Path

from model.serving.demo.server import ANSWER_SECONDS, PORT, UPLOAD_MB, launch
from utils.errors import exit_on_user_error


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m model.serving.demo", description="A page in the browser to look at ECGs and ask about them."
    )
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--host", default="127.0.0.1", help="this machine alone; another opens the page to the network")
    parser.add_argument("--port", type=int, default=PORT, help=f"{PORT}; 0: a free one")
    parser.add_argument("--share", action="store_true", help="open the page to the internet through Gradio's servers")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if there is one")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--quantize", type=int, choices=(8, 4), help="bits of the language model; CUDA, bitsandbytes")
    parser.add_argument("--feedback", type=Path, metavar="FOLDER", help="where to keep what people think of answers")
    parser.add_argument("--max-upload-mb", type=int, default=UPLOAD_MB, metavar="MB", help=str(UPLOAD_MB))
    parser.add_argument("--answer-seconds", type=float, default=ANSWER_SECONDS, metavar="S", help=f"{ANSWER_SECONDS:g}")
    options = vars(parser.parse_args(arguments))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # files are deleted at the end, also at this one
    launch(**options)


if __name__ == "__main__":
    exit_on_user_error(main)
