"""``cardiolect settings``: print every key of every stage as Markdown, which is docs/SETTINGS.md."""

from collections.abc import Sequence

from cardiolect.ecg_tokenizer.representations import REPRESENTATIONS, resolve
from cardiolect.model.evaluation.reasoning.settings import ReasoningSettings
from cardiolect.model.evaluation.settings import EvalSettings, SummarySettings
from cardiolect.model.training.settings import FinetuneSettings, PretrainSettings
from cardiolect.utils.command_line import Parser
from cardiolect.utils.settings import settings_table

_STAGE_1 = "Tokenizer (`ecg_tokenizer/run_tokenizer.sh`)"


def settings_page() -> str:
    """The text of docs/SETTINGS.md."""
    parts = [
        "# Settings",
        "One env file per experiment; the process environment overrides it: `BATCH_SIZE=2 bash finetune.sh FILE`.",
        "A file may begin with `BASE=other.env`, whose lines count unless the file sets the key ([USE.md](USE.md)).",
        "Lists are comma-separated. This page is made by `cardiolect settings > docs/SETTINGS.md`.",
    ]
    for title, cls in (
        *((f"{_STAGE_1}, `REPRESENTATION={name}`", resolve(e.settings)) for name, e in REPRESENTATIONS.items()),
        ("Pretraining (`pretrain.sh`)", PretrainSettings),
        ("Fine-tuning (`finetune.sh`)", FinetuneSettings),
        ("Evaluation (`eval.sh`)", EvalSettings),
        ("Evaluation of reasoning chains (`eval.sh`, `TASKTYPE=reasoning`)", ReasoningSettings),
        ("Summary (`cardiolect summary`)", SummarySettings),
    ):
        parts += [f"## {title}", settings_table(cls)]
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect settings", description="Print all settings of the env files as Markdown.")
    parser.parse_args(arguments)
    print(settings_page(), end="")
