"""Settings of evaluation and of the summary of a finished pipeline."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from cardiolect.data_provider.examples import TaskName
from cardiolect.data_provider.settings import DataSettings, check_record_seconds
from cardiolect.model.evaluation.conditions import CHOICES, NO_ECG, OTHER_ECG
from cardiolect.model.inference.calibration import PREVALENCE, Point
from cardiolect.model.llm.quantization import Bits, check_installed
from cardiolect.model.prompt.tasks import TASKS
from cardiolect.utils.errors import UserError
from cardiolect.utils.precision import AUTO, Precision
from cardiolect.utils.settings import Names, need_path


class CheckpointSettings(DataSettings):
    """What every evaluation of a checkpoint has."""

    checkpoint: Path = Field(description="Checkpoint to evaluate.")
    record_seconds: float | None = Field(
        None,
        ge=0,
        description="Evaluate only the first so many seconds of longer recordings; 0: whole recordings. Empty: the "
        "RECORD_SECONDS that the checkpoint was trained with.",
    )
    batch_size: int = Field(64, ge=1, description="Sequences generated at once per rank.")
    max_samples: int = Field(0, ge=0, description="Evaluate at most this many samples, drawn by SEED; 0: all.")
    keep_seen_patients: bool = Field(
        False, description="Also score samples of patients that a training stage of the checkpoint has seen."
    )
    max_left_out: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Stop if more than this share of the samples is left out because training has seen the patients.",
    )
    accept_unknown_leakage: bool = Field(
        False,
        description="Evaluate a checkpoint whose list of seen recordings is missing or was changed; the result is "
        "marked as leakage unknown.",
    )
    floors: Names = Field(
        [NO_ECG, OTHER_ECG],
        description="Conditions to evaluate as well: no_ecg, other_ecg (another patient's), silenced_leads (a flat "
        "line), noise (white) and, which are not floors, reversed_leads (the twelve in reverse order), codes_only and "
        "measured_only (one part of the tokens of REPRESENTATION=measured), ranges_only and no_ranges (codes in the "
        "time ranges of questions alone, or everywhere else), no_neighbours, random_neighbours and neighbours_only "
        "(the ECG without similar recordings or with random ones, or these without the ECG; added for checkpoints with "
        "RETRIEVE unless FLOORS is set); or none.",
    )
    bootstrap_resamples: int = Field(1000, ge=10, description="Resamples for confidence intervals.")
    num_processes: int = Field(1, ge=1, description="Ranks to start on this machine.")
    precision: Precision = Field(
        "fp32",
        description=f"Arithmetic of the language model. {AUTO}; fp16 on other GPUs, fp32 on other CPUs.",
    )
    load_bits: Bits | None = Field(
        None,
        description="Load the layers of the language model in 4 or 8 bits, with bitsandbytes; 0: as they are. Empty: "
        "as it was trained.",
    )

    @property
    def floor_conditions(self) -> list[str]:
        return [name for name in CHOICES if name in self.floors]

    def unused(self) -> Iterable[tuple[str, Collection[str]]]:
        if self.keep_seen_patients:
            yield "KEEP_SEEN_PATIENTS=true leaves nobody out", {"max_left_out"}

    def check(self) -> None:
        super().check()
        check_record_seconds(self.record_seconds)
        need_path("CHECKPOINT", self.checkpoint, "a checkpoint that finetune.sh wrote")
        if self.load_bits:
            check_installed(f"LOAD_BITS={self.load_bits}")
        if self.floors != ["none"] and (unknown := [name for name in self.floors if name not in CHOICES]):
            raise UserError(f"FLOORS={unknown[0]}: choose from {', '.join(CHOICES)}, or none alone")
        if self.held_out:
            raise UserError("HELD_OUT is for training; evaluation leaves out what the checkpoint has seen")
        if self.corpus_weights:
            raise UserError("CORPUS_WEIGHTS is for training; evaluation uses every sample once")


class EvalSettings(CheckpointSettings):
    """Evaluation of a checkpoint."""

    tasktype: TaskName = Field(description="qa: questions and answers; report: whole reports; instruct: conversations.")
    max_new_tokens: int = Field(
        0,
        ge=0,
        description="Most tokens of an answer; 0: "
        f"{', '.join(f'{task.max_new_tokens} for {name}' for name, task in TASKS.items())}.",
    )
    answer_mode: Literal["generate", "choices"] = Field(
        "generate",
        description="choices: rank the answers that a question can have (TASKTYPE=qa), in addition to free generation.",
    )
    answer_lists: Path | None = Field(
        None,
        description="ECG-QA's answers_for_each_template.csv, for ANSWER_MODE=choices; default: training answers.",
    )
    calibrated: Literal["auto", "false"] = Field(
        "auto",
        description="auto: ranked yes-or-no answers follow the checkpoint's calibration.json, if there is one "
        "(cardiolect calibrate); false: they are as ranked.",
    )
    operating_point: Point = Field(
        PREVALENCE,
        description="Of calibrated answers, which are yes from a probability of 50 %. prevalence: patients come as in "
        "the validation recordings; balanced: half of them have the finding, as in balanced questions, so the prior "
        "log-odds of validation are subtracted.",
    )
    metrics: Literal["strict", "heartllm", "ecg-bench"] = Field(
        "strict",
        description="Definition of the scores, docs/METRICS.md; heartllm and ecg-bench as in these papers' code.",
    )
    bertscore_model: Path | None = Field(
        None, description="Folder of a language model, with which texts also get BERTScore, docs/METRICS.md."
    )
    bertscore_layer: int = Field(17, ge=0, description="Layer of that model: 17 for roberta-large, 9 for bert-base.")
    page_examples: int = Field(8, ge=0, description="Samples shown with their ECG in result.html.")

    @property
    def new_tokens(self) -> int:
        return self.max_new_tokens or TASKS[self.tasktype].max_new_tokens

    def unused(self) -> Iterable[tuple[str, Collection[str]]]:
        yield from super().unused()
        if self.answer_mode != "choices":
            yield "only ANSWER_MODE=choices ranks answers", {"answer_lists", "calibrated", "operating_point"}
        elif self.calibrated == "false":
            yield "CALIBRATED=false leaves answers as they are ranked", {"operating_point"}
        if not self.bertscore_model:
            yield "BERTSCORE_MODEL is not set", {"bertscore_layer"}

    def check(self) -> None:
        super().check()
        if self.answer_mode == "choices" and not TASKS[self.tasktype].exact_match:
            raise UserError("ANSWER_MODE=choices needs TASKTYPE=qa; texts have no lists of answers")
        if self.answer_lists:
            need_path("ANSWER_LISTS", self.answer_lists, "ECG-QA's answers_for_each_template.csv")
        if self.bertscore_model and TASKS[self.tasktype].exact_match:
            raise UserError("BERTSCORE_MODEL compares texts; with TASKTYPE=qa there are only short answers")
        if self.bertscore_model:
            need_path("BERTSCORE_MODEL", self.bertscore_model, "the folder of a language model")
        if not self.test_data and not self.prepared:
            raise UserError("TEST_DATA is not set; give JSON files with questions or reports")


class SummarySettings(DataSettings):
    """The summary of a finished pipeline."""

    tokenizer_path: Path = Field(description="Folder of the ECG tokenizer; measured on the recordings of TEST_FOLDS.")
    qa_results: Path = Field(description="OUTPUT_DIR of the evaluation of questions.")
    report_results: Path = Field(description="OUTPUT_DIR of the evaluation of reports.")
    stage_seconds: Path | None = Field(None, description="JSON file with the duration of each stage in seconds.")

    def check(self) -> None:
        super().check()
        need_path("QA_RESULTS", self.qa_results / "result.json", "the scores of questions")
        need_path("REPORT_RESULTS", self.report_results / "result.json", "the scores of reports")
