"""Settings of pretraining, fine-tuning and evaluation. ``python -m model.settings`` prints all keys as Markdown."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from data_provider.settings import DataSettings
from ecg_tokenizer.settings import TokenizerSettings
from model.results.conditions import CHOICES, NO_ECG, OTHER_ECG
from utils.errors import UserError
from utils.settings import Names, Paths, need_path, settings_table


class TrainSettings(DataSettings):
    """What pretraining and fine-tuning share."""

    batch_size: int = Field(8, ge=1, description="ECGs (with their questions) per step of each rank.")
    gradient_accumulation_steps: int = Field(1, ge=1, description="Batches per optimiser step.")
    train_epochs: float = Field(1, gt=0, description="Passes over the training data.")
    max_steps: int = Field(0, ge=0, description="Stop after so many optimiser steps; 0: TRAIN_EPOCHS decides.")
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw",
        description="muon: Muon for weight matrices, AdamW for the rest; for models with random weights.",
    )
    learning_rate: float = Field(1e-4, gt=0, description="Peak learning rate (AdamW, cosine to a tenth).")
    muon_learning_rate: float = Field(0.02, gt=0, description="Peak learning rate of Muon's matrices, same schedule.")
    warmup_steps: int = Field(50, ge=0, description="Steps of linear warm-up.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay; never on embeddings, norms and biases.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradient clipping (OPTIMIZER=adamw).")
    eval_steps: int = Field(200, ge=1, description="Validate and save every so many steps; the best is kept.")
    verbose_steps: int = Field(20, ge=1, description="Log the loss every so many steps.")
    resume: bool = Field(False, description="Go on from the last saved step in OUTPUT_DIR.")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="Arithmetic of the language model.")
    gradient_checkpointing: bool = Field(False, description="Recompute activations: less memory, more time.")
    num_processes: int = Field(1, ge=1, description="Ranks to start on this machine.")
    deepspeed_config: Path = Field(Path("ds_config_zero2.json"), description="DeepSpeed configuration.")
    tuning: Literal["lora", "full"] = Field("lora", description="lora: adapters and new token rows; full: everything.")
    lora_rank: int = Field(64, ge=1, description="Rank of the adapters.")
    lora_alpha: int = Field(16, ge=1, description="Scale of the adapters.")
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="Dropout on the adapters' input.")
    lora_targets: Names = Field(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        description="Linear layers that get adapters.",
    )
    train_text_rows: bool = Field(
        False, description="Let the embedding rows of text tokens move too (TUNING=full only)."
    )
    checkpoint_format: Literal["merged", "adapter"] = Field(
        "merged", description="merged: a stock model, complete; adapter: LoRA and new rows only, needs the base model."
    )

    def check(self) -> None:
        super().check()
        need_path("DEEPSPEED_CONFIG", self.deepspeed_config, "a DeepSpeed configuration")
        if self.train_text_rows and self.tuning != "full":
            raise UserError("TRAIN_TEXT_ROWS=true needs TUNING=full")
        if self.optimizer == "muon" and self.tuning != "full":
            raise UserError("OPTIMIZER=muon needs TUNING=full: adapters are no whole weight matrices")
        if self.checkpoint_format == "adapter" and self.tuning != "lora":
            raise UserError("CHECKPOINT_FORMAT=adapter needs TUNING=lora")


class PretrainSettings(TrainSettings):
    """Stage 2: next-token prediction over ECG tokens."""

    llm_path: str = Field(description="Folder of a causal language model, or tiny: a small Llama built here.")
    tokenizer_path: Path = Field(description="Folder of the ECG tokenizer (stage 1).")
    pretrain_objective: Literal["causal", "multiscale"] = Field(
        "causal", description="causal: every position supervised; multiscale: HeartLLM's five windows per ECG."
    )
    tiny_corpus: Paths = Field(default_factory=list, description="LLM_PATH=tiny: texts its BPE is trained on.")
    tiny_vocabulary: int = Field(1024, ge=300, description="LLM_PATH=tiny: size of its text vocabulary.")
    tiny_layers: int = Field(4, ge=1, description="LLM_PATH=tiny: layers.")
    tiny_hidden: int = Field(192, ge=16, description="LLM_PATH=tiny: width.")
    tiny_heads: int = Field(6, ge=1, description="LLM_PATH=tiny: attention heads.")
    tiny_tied: bool = Field(True, description="LLM_PATH=tiny: one table for embedding and head.")

    def check(self) -> None:
        super().check()
        need_path("TOKENIZER_PATH", self.tokenizer_path, "the ECG tokenizer that stage 1 wrote")
        if self.llm_path == "tiny":
            if not self.tiny_corpus and not self.train_data and not self.prepared:
                raise UserError("LLM_PATH=tiny needs TINY_CORPUS: JSON files with the texts its BPE is trained on")
            for path in self.tiny_corpus:
                need_path("TINY_CORPUS", path, "a JSON file or folder with questions or reports")
            if self.tiny_hidden % (2 * self.tiny_heads):
                raise UserError("TINY_HIDDEN must be a multiple of 2 * TINY_HEADS")
            if self.tuning == "lora":
                raise UserError("LLM_PATH=tiny has random weights to start with; it needs TUNING=full")
        else:
            need_path("LLM_PATH", Path(self.llm_path), "a folder with a causal language model, or the word tiny")


class FinetuneSettings(TrainSettings):
    """Stage 3: questions or reports."""

    tasktype: Literal["qa", "report", "instruct", "all"] = Field(
        description="qa: questions and answers; report: whole reports; instruct: conversations; all: packed together."
    )
    checkpoint: Path = Field(description="Checkpoint to start from (stage 2, or another stage 3).")
    questions_per_ecg: int = Field(
        6, ge=1, description="Questions and reports packed behind one ECG in a training sequence."
    )
    ecg_loss_weight: float = Field(0.0, ge=0, description="Weight of next-token prediction on the ECG beside the text.")
    ecg_dropout: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="Share of training sequences without the ECG: makes the no-ECG floor an honest one.",
    )

    def check(self) -> None:
        super().check()
        need_path("CHECKPOINT", self.checkpoint, "a checkpoint that pretrain.sh or finetune.sh wrote")
        if not self.train_data and not self.prepared:
            raise UserError("TRAIN_DATA is not set; it names JSON files with questions or reports")


class EvalSettings(DataSettings):
    """Evaluation of a checkpoint."""

    tasktype: Literal["qa", "report", "instruct"] = Field(
        description="qa: questions and answers; report: whole reports; instruct: conversations."
    )
    checkpoint: Path = Field(description="Checkpoint to evaluate.")
    batch_size: int = Field(64, ge=1, description="Sequences generated at once per rank.")
    max_new_tokens: int = Field(
        0, ge=0, description="Tokens generated at most; 0: 170 for qa, 200 for report, 300 for instruct."
    )
    max_samples: int = Field(0, ge=0, description="Evaluate at most so many samples (drawn by SEED); 0: all.")
    keep_seen_patients: bool = Field(
        False, description="Score also samples of patients that a training stage of the checkpoint has seen."
    )
    answer_mode: Literal["generate", "choices"] = Field(
        "generate",
        description="choices: rank the answers that a question can have (TASKTYPE=qa), beside free generation.",
    )
    answer_lists: Path | None = Field(
        None, description="ECG-QA's answers_for_each_template.csv, for ANSWER_MODE=choices; else those of training."
    )
    floors: Names = Field(
        [NO_ECG, OTHER_ECG],
        description="Also evaluated, of no_ecg, other_ecg (another patient's), silenced_leads (a flat line) and "
        "reversed_leads (the twelve in reverse order; shown beside the floors, not one of them); or none.",
    )
    metrics: Literal["strict", "heartllm", "ecg-bench"] = Field(
        "strict",
        description="Definition of the scores, docs/METRICS.md; heartllm and ecg-bench: as their papers' code counts.",
    )
    bertscore_model: Path | None = Field(
        None, description="Folder of a language model; texts then have BERTScore too, docs/METRICS.md."
    )
    bertscore_layer: int = Field(17, ge=0, description="Its layer: 17 for roberta-large, 9 for bert-base.")
    page_examples: int = Field(8, ge=0, description="Samples that result.html shows with their ECG.")
    bootstrap_resamples: int = Field(1000, ge=10, description="Resamples of the confidence interval.")
    num_processes: int = Field(1, ge=1, description="Ranks to start on this machine.")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="Arithmetic of the language model.")

    @property
    def new_tokens(self) -> int:
        return self.max_new_tokens or {"qa": 170, "report": 200, "instruct": 300}[self.tasktype]

    @property
    def floor_conditions(self) -> list[str]:
        return [name for name in CHOICES if name in self.floors]

    def check(self) -> None:
        super().check()
        need_path("CHECKPOINT", self.checkpoint, "a checkpoint that finetune.sh wrote")
        if self.answer_mode == "choices" and self.tasktype != "qa":
            raise UserError("ANSWER_MODE=choices needs TASKTYPE=qa: texts have no list of answers")
        if self.answer_lists:
            need_path("ANSWER_LISTS", self.answer_lists, "ECG-QA's answers_for_each_template.csv")
        if self.bertscore_model and self.tasktype == "qa":
            raise UserError("BERTSCORE_MODEL compares texts; TASKTYPE=qa has answers")
        if self.bertscore_model:
            need_path("BERTSCORE_MODEL", self.bertscore_model, "the folder of a language model")
        if self.floors != ["none"] and (unknown := [name for name in self.floors if name not in CHOICES]):
            raise UserError(f"FLOORS={unknown[0]}: there are {', '.join(CHOICES)}; or none alone")
        if self.corpus_weights:
            raise UserError("CORPUS_WEIGHTS is of training; evaluation takes every sample once")
        if not self.test_data and not self.prepared:
            raise UserError("TEST_DATA is not set; it names JSON files with questions or reports")


class SummarySettings(DataSettings):
    """Where a finished pipeline lies."""

    tokenizer_path: Path = Field(description="Folder of the ECG tokenizer; judged on the recordings of TEST_FOLDS.")
    qa_results: Path = Field(description="OUTPUT_DIR of the evaluation of questions.")
    report_results: Path = Field(description="OUTPUT_DIR of the evaluation of reports.")
    stage_seconds: Path | None = Field(None, description="JSON file with the seconds of each stage.")

    def check(self) -> None:
        super().check()
        need_path("QA_RESULTS", self.qa_results / "result.json", "the scores of questions")
        need_path("REPORT_RESULTS", self.report_results / "result.json", "the scores of reports")


def settings_page() -> str:
    """The text of docs/SETTINGS.md."""
    parts = [
        "# Settings",
        "One env file per experiment; the process environment overrides it: `BATCH_SIZE=2 bash finetune.sh FILE`.",
        "Lists are comma-separated. This page is made by `python -m model.settings > docs/SETTINGS.md`.",
    ]
    for title, cls in (
        ("Tokenizer (`ecg_tokenizer/run_tokenizer.sh`)", TokenizerSettings),
        ("Pretraining (`pretrain.sh`)", PretrainSettings),
        ("Fine-tuning (`finetune.sh`)", FinetuneSettings),
        ("Evaluation (`eval.sh`)", EvalSettings),
        ("Summary (`python -m model.summary`)", SummarySettings),
    ):
        parts += [f"## {title}", settings_table(cls)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(settings_page(), end="")
