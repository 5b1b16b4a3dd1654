"""What a comparison runs: a folder of env files for each representation, and whether they compare like with like."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cardiolect.data_provider.settings import DataSettings
from cardiolect.ecg_tokenizer.representations import REPRESENTATIONS
from cardiolect.model.all_settings import program_of, settings_class
from cardiolect.model.evaluation.settings import EvalSettings
from cardiolect.model.training.settings import (
    FinetuneSettings,
    LanguageModelSettings,
    PretrainSettings,
    TrainSettings,
)
from cardiolect.utils.errors import UserError
from cardiolect.utils.settings import EnvSettings

TOKENIZER, PRETRAIN, FINETUNE, EVAL = "tokenizer", "pretrain", "finetune", "eval"
PATHS = {"output_dir", "cache_dir", "checkpoint", "tokenizer_path"}  # differ by nature
BEGINS = set(LanguageModelSettings.model_fields) - set(TrainSettings.model_fields) - {"projector", "tokenizer_path"}
ASKED = set(DataSettings.model_fields) | {"tasktype", "questions_per_ecg"}


class Stage(NamedTuple):
    """One run of an entry point. name: that of its env file; command: of ``cardiolect``."""

    name: str
    command: str
    env_file: Path
    settings: Any  # of the stage's own class

    @property
    def output_dir(self) -> Path:
        return self.settings.output_dir


class Plan(NamedTuple):
    """The stages of one representation, in order: tokenizer, perhaps pretraining, fine-tuning, evaluations."""

    name: str
    stages: list[Stage]

    def stage(self, command: str) -> Stage | None:
        return next((stage for stage in self.stages if stage.command == command), None)

    @property
    def tests(self) -> list[Stage]:
        return [stage for stage in self.stages if stage.command == EVAL]

    @property
    def begin(self) -> LanguageModelSettings:
        """Settings of the stage that begins the language model."""
        return (self.stage(PRETRAIN) or self.stage(FINETUNE)).settings


def read_plans(folder: Path, only: Sequence[str] = ()) -> list[Plan]:
    """The plans of a folder, a subfolder each, in the order of ``only`` or of the table of representations.

    Every env file is read before anything runs. Raises `UserError` if one is missing or wrong, if the stages of a
    representation do not follow one another, or if two representations do not compare like with like.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; it holds a folder of env files for each representation")
    there = sorted(path.parent.name for path in folder.glob(f"*/{TOKENIZER}.env"))
    if not there:
        raise UserError(f"{folder}: no representation here; each is a folder with {TOKENIZER}.env and the other stages")
    for name in only:
        if name not in there:
            raise UserError(f"--only: no {name} in {folder}; there are {', '.join(there)}")
    plans = [_read_plan(folder / name) for name in only or there]
    if not only:
        kinds = list(REPRESENTATIONS)
        plans.sort(key=lambda plan: kinds.index(plan.stages[0].settings.representation))
    _check_outputs(plans)
    check_alike(plans)
    return plans


def _read_plan(folder: Path) -> Plan:
    stages = []
    for name in (TOKENIZER, PRETRAIN, FINETUNE, *sorted(path.stem for path in folder.glob("test_*.env"))):
        file = folder / f"{name}.env"
        if name == PRETRAIN and not file.exists():
            continue
        command = EVAL if name.startswith("test_") else name
        stages.append(Stage(name, command, file, settings_class(command, file).read(file, program_of)))
    plan = Plan(folder.name, stages)
    if not plan.tests:
        raise UserError(f"{folder}: no evaluation; add test_qa.env or test_report.env")
    _check_chain(plan)
    return plan


def _check_chain(plan: Plan) -> None:
    """Each stage begins with what an earlier one of the same representation writes."""
    finetune, pretrain = plan.stage(FINETUNE), plan.stage(PRETRAIN)
    begin = pretrain or finetune
    links = [(begin, "tokenizer_path", plan.stages[0])]
    if pretrain:
        links.append((finetune, "checkpoint", pretrain))
    links += [(test, "checkpoint", finetune) for test in plan.tests]
    for stage, key, earlier in links:
        if getattr(stage.settings, key) != earlier.output_dir:
            raise UserError(
                f"{stage.env_file}: {key.upper()} must be the OUTPUT_DIR of {earlier.env_file}, {earlier.output_dir}"
            )


def _check_outputs(plans: Sequence[Plan]) -> None:
    taken: dict[Path, Path] = {}
    for stage in (stage for plan in plans for stage in plan.stages):
        folder = stage.output_dir.resolve()
        if folder in taken:
            raise UserError(f"{stage.env_file}: OUTPUT_DIR {stage.output_dir} is also that of {taken[folder]}")
        taken[folder] = stage.env_file


def check_data(plans: Sequence[Plan]) -> None:
    """Raise `UserError` unless the data of every stage are there; what an earlier stage writes need not be yet."""
    for stage in (stage for plan in plans for stage in plan.stages):
        try:
            stage.settings.check_data()
        except UserError as error:
            raise UserError(f"{stage.env_file}: {error}") from None


def check_alike(plans: Sequence[Plan]) -> None:
    """Raise `UserError` unless all plans have the same language model, seed, training texts and evaluations."""
    first = plans[0]
    for plan in plans[1:]:
        if [test.name for test in plan.tests] != [test.name for test in first.tests]:
            raise UserError(f"{plan.name} and {first.name} have different evaluations")
        pairs = [(plan.begin, first.begin, BEGINS | {"seed"})]
        pairs.append((plan.stage(FINETUNE).settings, first.stage(FINETUNE).settings, ASKED))
        pairs += [
            (a.settings, b.settings, set(EvalSettings.model_fields))
            for a, b in zip(plan.tests, first.tests, strict=True)
        ]
        for ours, others, keys in pairs:
            if different := _different(ours, others, keys):
                key = different[0]
                raise UserError(
                    f"{plan.name} and {first.name} do not compare: {key.upper()} is "
                    f"{getattr(ours, key)} and {getattr(others, key)} ({type(ours).__name__})"
                )


def _different(a: EnvSettings, b: EnvSettings, keys: Iterable[str]) -> list[str]:
    return sorted(key for key in set(keys) - PATHS if getattr(a, key, None) != getattr(b, key, None))


def budgets(plans: Sequence[Plan]) -> dict[str, dict[str, Any]]:
    """Settings of training that are not the same in all plans: ``finetune MAX_STEPS`` -> value by representation."""
    found: dict[str, dict[str, Any]] = {}
    # Fine-tuning has the keys of a new language model too, and uses them only if there was no pretraining.
    for command, cls, ignored in ((PRETRAIN, PretrainSettings, PATHS), (FINETUNE, FinetuneSettings, PATHS | BEGINS)):
        stages = {plan.name: stage.settings for plan in plans if (stage := plan.stage(command))}
        for key in cls.model_fields:
            values = {name: getattr(settings, key) for name, settings in stages.items()}
            if key not in ignored and any(value != next(iter(values.values())) for value in values.values()):
                found[f"{command} {key.upper()}"] = values
    return found
