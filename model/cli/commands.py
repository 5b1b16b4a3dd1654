"""Ask a language model about electrocardiograms. Not for clinical diagnosis.

RECORD is a file in any format listed in docs/DATA.md. Name a WFDB record with or without its extension, and a
recording in an HDF5 file as FILE#ID.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from cardiolect.model.llm.builtin import BUILTIN, EXAMPLE, example_path
from cardiolect.model.llm.checkpoint_folder import read_info
from cardiolect.utils.code_version import code_version
from cardiolect.utils.command_line import (
    Parser,
    file_path,
    integer,
    licence_id,
    not_empty,
    number,
    run_command,
    single_line,
    utf8,
)
from cardiolect.utils.garbage import collect_from_now_on, no_collection_at_first
from cardiolect.utils.launchers import only_main_rank

RECORD_TOOLS = ("inspect", "convert")  # tools whose first word is a recording
QUICK = ("ask", "report", "tokens", "show")  # commands that load one checkpoint and soon end
STAGES = {  # the commands whose work ranks share
    "tokenizer": "train an ECG tokenizer, like run_tokenizer.sh",
    "pretrain": "pretrain a language model on ECG tokens, like pretrain.sh",
    "finetune": "fine-tune a language model on questions and reports, like finetune.sh",
    "eval": "evaluate a checkpoint against its floors, like eval.sh",
}
TOOLS = {  # commands with their own parser: the module that holds `main`, and a description
    "inspect": ("cardiolect.data_provider.audit.inspection", "say what is in an ECG file and how it is understood"),
    "simulate": ("cardiolect.data_provider.simulator.corpus", "simulate labelled ECGs"),
    "download": ("cardiolect.data_provider.corpora.download.__main__", "download an openly available corpus"),
    "fetch": ("cardiolect.model.llm.fetch", "get a small language model, or convert one from GGUF"),
    "convert": ("cardiolect.data_provider.readers.convert", "convert ECG files to WFDB, CSV, EDF or DICOM"),
    "prepare": ("cardiolect.data_provider.corpora.prepare", "write the manifest of a published corpus"),
    "audit": ("cardiolect.data_provider.audit.__main__", "check prepared corpora; exit code 1 if there is leakage"),
    "augment": (
        "cardiolect.data_provider.corpora.augmented",
        "write altered copies of recordings, as of other devices",
    ),
    "derive": ("cardiolect.data_provider.ecgqa.derived", "derive ECG-QA questions from PTB-XL labels"),
    "describe": (
        "cardiolect.data_provider.texts.describe.__main__",
        "describe the waveforms of machine statements from texts",
    ),
    "measure": ("cardiolect.data_provider.ecgqa.measured", "measure rate, intervals and axis, and ask about them"),
    "fidelity": ("cardiolect.ecg_tokenizer.fidelity.panel", "measure how much of an ECG a tokenizer preserves"),
    "probe": ("cardiolect.ecg_tokenizer.probe.command", "judge representations without a language model"),
    "compare": ("cardiolect.model.comparison.command", "compare representations on the same data and questions"),
    "summary": ("cardiolect.model.evaluation.summary", "summarise a finished pipeline on one page"),
    "calibrate": ("cardiolect.model.evaluation.calibrate", "calibrate yes-or-no answers on validation recordings"),
    "judge": ("cardiolect.model.evaluation.judge", "have a language model judge reports or conversations"),
    "blind": ("cardiolect.model.evaluation.reasoning.blind", "score reasoning chains without an ECG"),
    "chains": ("cardiolect.data_provider.simulator.chains.command", "write reasoning chains of a simulated corpus"),
    "ecgbench": ("cardiolect.utils.metrics.ecgbench.__main__", "score answers to an ECGBench task"),
    "statements": ("cardiolect.utils.metrics.statements.__main__", "extract SCP codes from reports"),
    "settings": ("cardiolect.model.cli.settings_page", "print all settings of the env files as Markdown"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. Its modules are imported only then, so --help and typing errors are answered at once."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments and arguments[0] not in STAGES:
        only_main_rank()
    if arguments and arguments[0] in TOOLS:
        if arguments[0] in RECORD_TOOLS and len(arguments) > 1:
            arguments[1] = example_path(arguments[1])
        tool = import_module(TOOLS[arguments[0]][0])
        collect_from_now_on()
        tool.main(arguments[1:])
        return
    namespace, extras = build_parser().parse_known_args(arguments)
    options = vars(namespace)
    parser = options.pop("parser")
    # argparse stops collecting positional arguments at an option: ask RECORD --patient "age 56" QUESTION
    extras = [word for word in extras if word != "--"]
    unknown = [word for word in extras if word.startswith("-") and " " not in word]
    if "questions" in options and not unknown:
        options["questions"] = [*options["questions"], *extras]
    elif extras:
        parser.error(f"unrecognized arguments: {' '.join(unknown or extras)}")
    if arguments[0] in ("merge", "export"):  # a missing checkpoint is named before PyTorch is imported
        read_info(options["checkpoint"])
    module, _, function = options.pop("function").partition(":")
    command = getattr(import_module(module), function)
    if arguments[0] not in QUICK:
        collect_from_now_on()
    command(**options)


def run() -> None:
    """The ``cardiolect`` program."""
    with no_collection_at_first():
        run_command(main, every_rank=True)


def build_parser() -> Parser:
    parser = Parser(
        "cardiolect",
        usage="cardiolect COMMAND ... (cardiolect COMMAND --help lists its options)",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:",
    )
    parser.add_argument("--version", action=_Version, help="print the version and, in a git checkout, the commit")
    commands = parser.add_subparsers(metavar="COMMAND", prog="cardiolect", required=True, help=argparse.SUPPRESS)

    def add_command(name: str, function: str, description: str) -> Parser:
        parser.epilog += f"\n  {name:11}{description}"
        command = commands.add_parser(name, description=description[0].upper() + description[1:] + ".")
        command.set_defaults(function=function, parser=command)
        return command

    ask = add_command("ask", "cardiolect.model.cli.ask:ask", "answer questions about an ECG")
    asked_record = _add_record(ask)
    ask.add_argument(
        "questions",
        nargs="*",
        default=[],
        metavar="QUESTION",
        help="without --chat, each question is answered on its own",
    )
    ask.add_argument(
        "-i", "--chat", action="store_true", help="hold a conversation: read questions from stdin until an empty line"
    )
    ask.add_argument(
        "--list",
        dest="listing",
        action=_instead_of(asked_record),
        help="print what the checkpoint can be asked, by subject; takes no RECORD",
    )
    ask.add_argument(
        "--as-typed",
        action="store_true",
        help="send questions unchanged, even if they were not trained or the recording lacks what they need",
    )
    ask.add_argument("--second", type=not_empty, metavar="RECORD", help="second ECG, for questions that compare two")
    report = add_command("report", "cardiolect.model.cli.ask:report", "write a report on an ECG")
    _add_record(report)
    for command in (ask, report):
        _add_patient(command)
        _add_generation(command)
        _add_device(command)
        command.add_argument(
            "--endpoint", type=single_line, metavar="URL", help="send the ECG tokens to this server for the answer"
        )
        command.add_argument(
            "--model", default="", metavar="NAME", help="name of the model on a server that holds several"
        )
        command.add_argument(
            "--logit-bias", action="store_true", help="keep ECG tokens out of answers; needed for vLLM and llama.cpp"
        )
        command.add_argument(
            "--verbose", action="store_true", help="print time to first token and tokens per second to stderr"
        )

    tokens = add_command("tokens", "cardiolect.model.cli.tokens:tokens", "print the tokens of an ECG")
    _add_record(tokens)
    tokens.add_argument("--codes", action="store_true", help="print the codes as numbers")
    show = add_command("show", "cardiolect.model.cli.show:show", "plot an ECG on ECG paper")
    _add_record(show)
    show.add_argument("--out", type=file_path, required=True, metavar="FILE", help="output picture: .png, .pdf or .svg")
    show.add_argument("--reconstruction", action="store_true", help="overlay the ECG decoded from its tokens, in blue")
    show.add_argument(
        "--question", metavar="QUESTION", help="question to answer; a yes or no is shaded where it came from"
    )
    _add_patient(show)
    _add_device(show)

    for stage, description in STAGES.items():
        command = add_command(stage, "cardiolect.model.entry:run_stage", description)
        command.set_defaults(stage=stage)
        command.add_argument("env_file", metavar="ENV_FILE", help="settings of the experiment, see docs/SETTINGS.md")

    merge = add_command("merge", "cardiolect.model.serving.publish:merge", "merge adapters to get a stock checkpoint")
    export = add_command(
        "export", "cardiolect.model.serving.publish:export", "prepare a folder for a model hub, with a model card"
    )
    for command in (merge, export):
        command.add_argument("checkpoint", type=file_path, metavar="CHECKPOINT", help="checkpoint folder")
        command.add_argument(
            "--out", type=file_path, required=True, metavar="FOLDER", help="output folder, new or empty"
        )
    export.add_argument(
        "--results",
        type=file_path,
        nargs="+",
        default=[],
        metavar="RESULT",
        help="evaluation results of this checkpoint, for the card",
    )
    export.add_argument("--name", type=single_line, help="name of the model (default: the name of FOLDER)")
    export.add_argument(
        "--license",
        type=licence_id,
        default="unknown",
        metavar="ID",
        help="licence of the weights as model hubs write it, such as cc-by-4.0 (default: unknown)",
    )
    export.add_argument(
        "--with-index",
        action="store_true",
        help="also publish the texts of training reports that a checkpoint with RETRIEVE holds, see docs/RETRIEVAL.md",
    )

    demo = add_command("demo", "cardiolect.model.demo:launch", "view ECGs and ask about them in the browser")
    serve = add_command(
        "serve", "cardiolect.model.serving.serve:serve", "start an OpenAI-compatible server on this machine"
    )
    for command, port, lowest, note in ((demo, 7860, 0, "; 0 picks a free one"), (serve, 8000, 1, "")):
        _add_checkpoint(command)
        _add_device(command)
        command.add_argument(
            "--port", type=integer(lowest, 65535), default=port, metavar="N", help=f"port (default: {port}{note})"
        )
    _add_page(demo)
    for name, (module, description) in TOOLS.items():
        add_command(name, f"{module}:main", description)  # never parsed here, but a choice like any other
    return parser


class _Version(argparse.Action):
    """An option that prints the version and ends; git is asked only then."""

    def __init__(self, option_strings: list[str], dest: str, **options):
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, **options)

    def __call__(self, parser: Parser, *_) -> None:
        print(f"cardiolect {code_version()}")
        parser.exit()


def _add_page(demo: Parser) -> None:
    demo.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: this machine only; any other opens the page to the network)",
    )
    demo.add_argument("--share", action="store_true", help="open the page to the internet through Gradio's servers")
    demo.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="precision of the weights (default: fp32)"
    )
    demo.add_argument(
        "--quantize",
        type=int,
        choices=(8, 4),
        help='load the language model in 8 or 4 bits; needs CUDA and pip install -e ".[quant]"',
    )
    demo.add_argument("--feedback", type=file_path, metavar="FOLDER", help="folder to store ratings of answers in")
    demo.add_argument(
        "--max-upload-mb", type=integer(1), default=50, metavar="MB", help="largest upload in MB (default: 50)"
    )
    demo.add_argument(
        "--answer-seconds",
        type=number(1),
        default=120.0,
        metavar="S",
        help="time limit for an answer in seconds (default: 120)",
    )


def _instead_of(positional: argparse.Action) -> type[argparse.Action]:
    """A flag with which a positional argument may be left out."""

    class Flag(argparse.Action):
        def __init__(self, option_strings: list[str], dest: str, **options):
            super().__init__(option_strings, dest, nargs=0, default=False, **options)

        def __call__(self, parser: Parser, namespace: argparse.Namespace, *_) -> None:
            setattr(namespace, self.dest, True)
            positional.required = False

    return Flag


def _add_record(parser: Parser) -> argparse.Action:
    record = parser.add_argument(
        "record", type=not_empty, metavar="RECORD", help=f"ECG file, or {EXAMPLE}: a simulated one"
    )
    parser.add_argument(
        "--start",
        type=number(0),
        default=0.0,
        metavar="SECONDS",
        help="start of the part to read, in seconds (default: 0); 10 s, or RECORD_SECONDS of training, are read",
    )
    _add_checkpoint(parser)
    return record


def _add_checkpoint(parser: Parser) -> None:
    parser.add_argument(
        "--checkpoint",
        type=file_path,
        default=BUILTIN,
        metavar="FOLDER",
        help="checkpoint folder (default: the built-in checkpoint)",
    )


def _add_device(parser: Parser) -> None:
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto (the default) uses a GPU if there is one",
    )


def _add_patient(parser: Parser) -> None:
    parser.add_argument(
        "--patient",
        type=utf8,
        default="",
        metavar="TEXT",
        help='age, sex, height and weight, such as "age 56, sex female"',
    )


def _add_generation(parser: Parser) -> None:
    parser.add_argument(
        "--max-new-tokens",
        type=integer(1),
        default=200,
        metavar="N",
        help="maximum length of an answer in tokens (default: 200)",
    )
    parser.add_argument(
        "--temperature",
        type=number(0),
        default=0.0,
        metavar="T",
        help="sampling temperature; 0 (the default) always takes the most probable token",
    )
    parser.add_argument(
        "--seed", type=integer(0, 2**63 - 1), default=0, metavar="N", help="random seed for sampling (default: 0)"
    )
