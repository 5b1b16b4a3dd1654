"""Ask a language model about electrocardiograms. Not for clinical diagnosis.

A RECORD is any file that docs/DATA.md lists; a WFDB record with or without extension, one of an HDF5 file as FILE#ID.
"""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from cardiolect.model.cli.arguments import Parser, licence, line, named, number, path, whole, words
from cardiolect.utils.errors import exit_on_user_error

CHECKPOINT = Path("checkpoints/quickstart/llm")
TOOLS = {  # commands with a parser of their own: module with `main`, and what it does
    "simulate": ("cardiolect.data_provider.simulator.corpus", "simulate labelled ECGs"),
    "download": ("cardiolect.data_provider.corpora.download.__main__", "download an openly served corpus"),
    "prepare": ("cardiolect.data_provider.corpora.prepare", "make a manifest of a published corpus"),
    "audit": ("cardiolect.data_provider.audit.__main__", "look prepared corpora over; exit code 1 if anything leaks"),
    "derive": ("cardiolect.data_provider.ecgqa.derived", "derive ECG-QA questions from PTB-XL's labels"),
    "fidelity": ("cardiolect.ecg_tokenizer.fidelity.panel", "measure what a tokenizer keeps of an ECG"),
    "summary": ("cardiolect.model.evaluation.summary", "put a finished pipeline on one page"),
    "judge": ("cardiolect.model.evaluation.judge", "have a language model judge reports or conversations"),
    "ecgbench": ("cardiolect.utils.metrics.ecgbench.__main__", "score answers to a task of ECGBench"),
    "statements": ("cardiolect.utils.metrics.statements.__main__", "read reports as SCP codes"),
    "settings": ("cardiolect.model.cli.settings_page", "print every key of an env file as Markdown"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. What it needs is imported when it is known: --help and a mistyped option answer at once."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments and arguments[0] in TOOLS:
        import_module(TOOLS[arguments[0]][0]).main(arguments[1:])
        return
    parser = build_parser()
    given, others = parser.parse_known_args(arguments)
    options = vars(given)
    # argparse gives up a list of words once an option stands among them: ask RECORD --patient "age 56" QUESTION
    others = [word for word in others if word != "--"]
    unknown = [word for word in others if word.startswith("-") and " " not in word]
    if "questions" in options and not unknown:
        options["questions"] += others
    elif others:
        parser.error(f"unrecognized arguments: {' '.join(unknown or others)}")
    module, _, function = options.pop("run").partition(":")
    getattr(import_module(module), function)(**options)


def run() -> None:
    """`main` as a command: a reader that goes away and Ctrl-C end it without a word."""
    try:
        try:
            exit_on_user_error(main)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at exit
        sys.exit(141)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"error: {error.strerror}", file=sys.stderr)
        sys.exit(2)


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        "cardiolect",
        usage="cardiolect COMMAND ...; cardiolect COMMAND --help says more",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:",
    )
    commands = parser.add_subparsers(metavar="COMMAND", prog="cardiolect", required=True, help=argparse.SUPPRESS)

    def command(name: str, run: str, what: str) -> argparse.ArgumentParser:
        parser.epilog += f"\n  {name:11}{what}"
        added = commands.add_parser(name, description=what[0].upper() + what[1:] + ".")
        added.set_defaults(run=run)
        return added

    ask = command("ask", "cardiolect.model.cli.ask:ask", "answer questions about an ECG")
    _add_record(ask)
    ask.add_argument("questions", nargs="*", metavar="QUESTION", help="each is answered on its own")
    ask.add_argument(
        "-i", "--chat", action="store_true", help="a conversation: questions from stdin, up to an empty line"
    )
    ask.add_argument("--second", type=named, metavar="RECORD", help="another ECG, for a question that compares both")
    report = command("report", "cardiolect.model.cli.ask:report", "write the report of an ECG")
    _add_record(report)
    for each in (ask, report):
        _add_patient(each)
        _add_generation(each)
        _add_device(each)
        each.add_argument("--endpoint", type=line, metavar="URL", help="ask this server; the ECG becomes tokens here")
        each.add_argument("--model", default="", metavar="NAME", help="the server's name of it, where it holds several")
        each.add_argument(
            "--logit-bias", action="store_true", help="keep ECG tokens out of answers of vLLM and llama.cpp"
        )
        each.add_argument("--verbose", action="store_true", help="time to first token and tokens per second on stderr")

    tokens = command(
        "tokens", "cardiolect.model.cli.tokens:tokens", "print an ECG as the tokens that a language model reads"
    )
    _add_record(tokens)
    tokens.add_argument("--codes", action="store_true", help="numbers instead of tokens")
    show = command("show", "cardiolect.model.cli.show:show", "draw an ECG on paper")
    _add_record(show)
    show.add_argument("--out", type=path, required=True, metavar="FILE", help="picture: .png, .pdf, .svg")
    show.add_argument("--reconstruction", action="store_true", help="with what the tokens keep of it, in blue")
    show.add_argument("--question", metavar="QUESTION", help="answer it and shade where the answer came from")
    _add_patient(show)
    _add_device(show)

    for stage, what in {
        "tokenizer": "train an ECG tokenizer, as run_tokenizer.sh does",
        "pretrain": "teach a language model ECG tokens, as pretrain.sh does",
        "finetune": "teach it questions and reports, as finetune.sh does",
        "eval": "evaluate a checkpoint beside its floors, as eval.sh does",
    }.items():
        added = command(stage, "cardiolect.model.entry:run_stage", what)
        added.set_defaults(stage=stage)
        added.add_argument("env_file", metavar="ENV_FILE", help="settings of the experiment, see docs/SETTINGS.md")

    merge = command("merge", "cardiolect.model.serving.publish:merge", "fold adapters into a stock checkpoint")
    export = command(
        "export", "cardiolect.model.serving.publish:export", "make a folder for a model hub, with a model card"
    )
    for each in (merge, export):
        each.add_argument("checkpoint", type=path, metavar="CHECKPOINT", help="folder of a checkpoint")
        each.add_argument("--out", type=path, required=True, metavar="FOLDER", help="new or empty")
    export.add_argument(
        "--results", type=path, nargs="+", required=True, metavar="RESULT", help="evaluations of this checkpoint"
    )
    export.add_argument("--name", type=line, help="of the model; else that of FOLDER")
    export.add_argument(
        "--license",
        type=licence,
        default="unknown",
        metavar="ID",
        help="of the weights, as model hubs spell it (cc-by-4.0)",
    )

    demo = command("demo", "cardiolect.model.demo:launch", "a page in the browser to look at ECGs and ask about them")
    serve = command("serve", "cardiolect.model.serving.serve:serve", "an OpenAI-compatible server on this machine")
    for each, port, least in ((demo, 7860, 0), (serve, 8000, 1)):
        _add_checkpoint(each)
        _add_device(each)
        each.add_argument("--port", type=whole(least, 65535), default=port, metavar="N", help=f"{port}")
    _add_page(demo)
    for name, (_, what) in TOOLS.items():
        parser.epilog += f"\n  {name:11}{what}"
    return parser


def _add_page(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--host", default="127.0.0.1", help="this machine alone; another opens the page to the network")
    demo.add_argument("--share", action="store_true", help="open the page to the internet through Gradio's servers")
    demo.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    demo.add_argument("--quantize", type=int, choices=(8, 4), help="bits of the language model; CUDA, bitsandbytes")
    demo.add_argument("--feedback", type=path, metavar="FOLDER", help="where to keep what people think of answers")
    demo.add_argument("--max-upload-mb", type=whole(1), default=50, metavar="MB", help="50")
    demo.add_argument("--answer-seconds", type=number(1), default=120.0, metavar="S", help="of one answer at most; 120")


def _add_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("record", type=named, metavar="RECORD", help="file of an ECG")
    parser.add_argument("--start", type=number(0), default=0.0, metavar="SECONDS", help="the 10 s from here on; 0")
    _add_checkpoint(parser)


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", type=path, default=CHECKPOINT, metavar="FOLDER", help=str(CHECKPOINT))


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if there is one")


def _add_patient(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--patient", type=words, default="", help='age, sex, height, weight: "age 56, sex female"')


def _add_generation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-new-tokens", type=whole(1), default=200, metavar="N", help="200")
    parser.add_argument(
        "--temperature", type=number(0), default=0.0, metavar="T", help="0 (the default) says what is most probable"
    )
    parser.add_argument(
        "--seed", type=whole(0, 2**63 - 1), default=0, help="of what is drawn at a higher temperature; 0"
    )
