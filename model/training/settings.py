"""Settings of pretraining and fine-tuning."""

import math
from collections.abc import Collection, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import Field

from cardiolect.data_provider.examples import TaskName
from cardiolect.data_provider.settings import DataSettings, check_record_seconds
from cardiolect.ecg_tokenizer.retrieval.settings import RetrievalSettings
from cardiolect.model.llm.quantization import Bits, check_installed
from cardiolect.model.llm.sources import check_source
from cardiolect.model.training.deepspeed_config import check_deepspeed_config, read_deepspeed_config, splits_weights
from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError
from cardiolect.utils.precision import AUTO, Precision
from cardiolect.utils.resume import DESCRIPTION as HOW_TO_RESUME
from cardiolect.utils.resume import Resume
from cardiolect.utils.schedule import DESCRIPTION, Schedule, check_warmup
from cardiolect.utils.settings import Names, Paths, need_path

ALL_LINEAR = "all-linear"
WARMUP_STEPS = 50  # if neither WARMUP_STEPS nor WARMUP_RATIO is set; at most a tenth of the run
ADAPTERS = {"lora_rank", "lora_alpha", "lora_dropout", "lora_targets", "lora_variant", "train_norms"}  # of TUNING=lora
TINY = {"tiny_corpus", "tiny_vocabulary", "tiny_layers", "tiny_hidden", "tiny_heads", "tiny_tied"}
OF_NEW_CHECKPOINTS = TINY | {"llm_path", "tokenizer_path", "projector", "token_row_spread"}
ROWS_FASTER = 5  # docs/LLM.md: rows that start at half the spread of text rows then learn as fast as at the whole


def _check_reports(report_to: list[str]) -> None:
    """Raise `UserError` unless REPORT_TO names trackers that are there."""
    if unknown := [name for name in report_to if name not in ("tensorboard", "wandb", "none")]:
        raise UserError(f"REPORT_TO: {', '.join(unknown)} is not known; choose from tensorboard, wandb, none")
    if "none" in report_to and len(report_to) > 1:
        raise UserError("REPORT_TO: none rules out all other names")
    if "wandb" in report_to and find_spec("wandb") is None:
        raise UserError("REPORT_TO: wandb is not installed; pip install wandb, or leave it out")


class TrainSettings(DataSettings):
    """Settings shared by pretraining and fine-tuning."""

    record_seconds: float = Field(
        0.0,
        ge=0,
        description="Longer recordings are cut to this many seconds: training draws one of the windows that cover a "
        "recording in every epoch, validation takes the first; 0: whole recordings.",
    )
    batch_size: int = Field(8, ge=1, description="Most ECGs (with their questions) per batch on each rank.")
    batch_tokens: int = Field(
        0,
        ge=0,
        description="Most tokens per batch on each rank, padding included: long sequences come in smaller batches than "
        "BATCH_SIZE; 0: no limit.",
    )
    gradient_accumulation_steps: int = Field(1, ge=1, description="Batches per optimiser step.")
    train_epochs: float = Field(1, gt=0, description="Passes over the training data.")
    max_steps: int = Field(0, ge=0, description="Stop after this many optimiser steps; 0: after TRAIN_EPOCHS.")
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw",
        description="muon: Muon for weight matrices, AdamW for the rest; for models with random weights.",
    )
    learning_rate: float = Field(1e-4, gt=0, description="Peak learning rate of AdamW.")
    muon_learning_rate: float = Field(0.02, gt=0, description="Peak learning rate of Muon.")
    schedule: Schedule = Field("cosine", description=DESCRIPTION)
    warmup_steps: int | None = Field(
        None,
        ge=0,
        description=f"Optimiser steps before the peak learning rate. Empty: {WARMUP_STEPS}, or a tenth of a run of "
        f"fewer than {10 * WARMUP_STEPS} steps.",
    )
    warmup_ratio: float = Field(
        0.0, ge=0, lt=1, description="Share of the run before the peak learning rate; 0: WARMUP_STEPS instead."
    )
    token_row_learning_rate: float = Field(
        0.0,
        ge=0,
        description="Peak learning rate of the ECG tokens' rows of embedding and head; 0: "
        f"{ROWS_FASTER} times LEARNING_RATE with TUNING=lora, LEARNING_RATE with TUNING=full.",
    )
    weight_decay: float = Field(0.01, ge=0, description="Weight decay; not applied to embeddings, norms and biases.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradient clipping (OPTIMIZER=adamw).")
    eval_steps: int = Field(200, ge=1, description="Steps between validations; the best is kept.")
    patience: int = Field(
        0, ge=0, description="Stop after this many validations without a better loss; 0: train to the end."
    )
    verbose_steps: int = Field(20, ge=1, description="Steps between log entries of loss, speed and memory.")
    report_to: Names = Field(
        ["tensorboard"],
        description="Where log entries go: tensorboard (OUTPUT_DIR/tensorboard), wandb (its package must be "
        "installed) or both; none: nowhere.",
    )
    save_steps: int = Field(
        0, ge=0, description="Steps between saved steps (RESUME); each new best is saved too. 0: EVAL_STEPS."
    )
    resume: Resume = Field("auto", description=HOW_TO_RESUME.format(result="checkpoint"))
    accept_unknown_leakage: bool = Field(
        False,
        description="Train from an ECG tokenizer or checkpoint whose list of seen recordings is missing or was "
        "changed; evaluations of the result are marked as leakage unknown.",
    )
    precision: Precision = Field(
        "fp32",
        description=f"Precision of the language model; fp16 needs a GPU. {AUTO}; fp16 on other GPUs, fp32 on other "
        "CPUs.",
    )
    load_bits: Bits = Field(
        0,
        description="Load the layers of the language model in 4 (NF4) or 8 bits and train adapters on them "
        "(QLoRA), with bitsandbytes; 0: as they are, or for CHECKPOINT as it was trained.",
    )
    gradient_checkpointing: bool = Field(False, description="Recompute activations: less memory, but slower.")
    num_processes: int = Field(1, ge=1, description="Ranks to start on this machine.")
    deepspeed_config: Path = Field(
        Path("ds_config_zero2.json"),
        description="DeepSpeed configuration. ds_config_zero3.json splits the weights over ranks, too.",
    )
    tuning: Literal["lora", "full", "none"] = Field(
        "lora",
        description="Trained weights of the language model. lora: adapters and new token rows; full: everything; none: "
        "nothing, so that only the projector of embedded ECGs is trained, and an encoder that is not frozen.",
    )
    lora_rank: int = Field(64, ge=1, description="Rank of the adapters.")
    lora_alpha: int = Field(16, ge=1, description="Alpha of the adapters: they are scaled by LORA_ALPHA / LORA_RANK.")
    lora_variant: Literal["lora", "rslora", "dora"] = Field(
        "lora",
        description="Kind of the adapters. rslora: scaled by LORA_ALPHA / sqrt(LORA_RANK); dora: the lengths of weight "
        "rows are trained apart from their directions.",
    )
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="Dropout on the adapters' input.")
    lora_targets: Names = Field(
        [ALL_LINEAR],
        min_length=1,
        description="Names of the linear layers that get adapters; all-linear: all of the language model, without its "
        "head.",
    )
    train_norms: bool = Field(
        False, description="Also train the normalisation layers (TUNING=full always does); adapters keep them."
    )
    train_text_rows: bool = Field(False, description="Also train the embedding rows of text tokens (TUNING=full only).")
    replay_text: Paths = Field(
        default_factory=list,
        description='Plain text to train on as well, against forgetting: .jsonl files with {"text": ...} or '
        '{"messages": [{"role": ..., "content": ...}]} per line, or any other text files of one document each.',
    )
    replay_share: float = Field(
        0.1, gt=0, lt=1, description="REPLAY_TEXT: share of the training sequences, and so of the loss, that is text."
    )
    checkpoint_format: Literal["merged", "adapter"] = Field(
        "merged",
        description="merged: a complete stock model; adapter: only LoRA and the new rows, needs the base model.",
    )

    def unused(self) -> Iterable[tuple[str, Collection[str]]]:
        if self.tuning == "full":
            yield "TUNING=full trains the whole model", ADAPTERS
        if self.tuning == "none":
            yield "TUNING=none: the language model is frozen", ADAPTERS | {"token_row_learning_rate"}
        if self.optimizer == "muon":
            yield "OPTIMIZER=muon does not clip gradients", {"max_grad_norm"}
        else:
            yield f"OPTIMIZER={self.optimizer}", {"muon_learning_rate"}
        if self.max_steps:
            yield "MAX_STEPS ends the run", {"train_epochs"}

    def warmup(self, steps: int) -> int:
        """Optimiser steps before the peak learning rate in a run of so many. Raises `UserError` if that is all."""
        if self.warmup_ratio:
            key, warmup = "WARMUP_RATIO", math.ceil(self.warmup_ratio * steps)
        elif self.warmup_steps is not None:
            key, warmup = "WARMUP_STEPS", self.warmup_steps
        else:
            return min(WARMUP_STEPS, steps // 10)
        check_warmup(key, warmup, steps)
        return warmup

    @property
    def clipping(self) -> float:
        """The norm above which gradients are clipped; 0: never."""
        # DeepSpeed would clip the updates that Muon has orthogonalised, whose norm does not depend on the gradient.
        return 0.0 if self.optimizer == "muon" else self.max_grad_norm

    @property
    def row_rate(self) -> float:
        """The peak learning rate of the ECG tokens' rows."""
        faster = ROWS_FASTER if self.tuning == "lora" else 1
        return self.token_row_learning_rate or faster * self.learning_rate

    def check(self) -> None:
        super().check()
        check_record_seconds(self.record_seconds)
        need_path("DEEPSPEED_CONFIG", self.deepspeed_config, "a DeepSpeed configuration")
        zero = read_deepspeed_config(self.deepspeed_config).get("zero_optimization", {})
        if self.optimizer == "muon" and splits_weights(self.deepspeed_config) and zero.get("reduce_scatter", True):
            raise UserError(
                f"DEEPSPEED_CONFIG: {self.deepspeed_config}: with ZeRO-3, OPTIMIZER=muon needs reduce_scatter=false in "
                "zero_optimization"
            )
        if ALL_LINEAR in self.lora_targets and len(self.lora_targets) > 1:
            raise UserError(f"LORA_TARGETS: {ALL_LINEAR} stands for all names; give it alone, or remove it")
        _check_reports(self.report_to)
        if self.warmup_ratio and "warmup_steps" in self.model_fields_set:
            raise UserError("WARMUP_RATIO and WARMUP_STEPS are both set; leave one of them empty")
        if self.max_steps:
            self.warmup(self.max_steps)
        if self.token_row_learning_rate and self.train_text_rows:
            raise UserError(
                "TOKEN_ROW_LEARNING_RATE: with TRAIN_TEXT_ROWS=true, rows of text and ECGs are trained as one table; "
                "set one of the two"
            )
        if self.train_text_rows and self.tuning != "full":
            raise UserError("TRAIN_TEXT_ROWS=true needs TUNING=full")
        if self.optimizer == "muon" and self.tuning != "full":
            raise UserError("OPTIMIZER=muon needs TUNING=full: adapters are not whole weight matrices")
        for path in self.replay_text:
            need_path("REPLAY_TEXT", path, "a .txt or .jsonl file with plain text")
        if "replay_share" in self.model_fields_set and not self.replay_text:
            raise UserError("REPLAY_SHARE needs REPLAY_TEXT, files with plain text")
        if self.load_bits:
            self.check_quantized()
        if self.precision == "fp16" and choose_device(self.device).type == "cpu":
            raise UserError("PRECISION=fp16: training needs a GPU; on a CPU set fp32 or bf16")
        numbers = {
            "gradient_accumulation_steps": ("GRADIENT_ACCUMULATION_STEPS", self.gradient_accumulation_steps),
            "gradient_clipping": ("MAX_GRAD_NORM" if self.clipping else "that of OPTIMIZER=muon", self.clipping),
        }
        check_deepspeed_config(self.deepspeed_config, self.precision, numbers)
        if self.checkpoint_format == "adapter" and self.tuning != "lora":
            raise UserError("CHECKPOINT_FORMAT=adapter needs TUNING=lora")

    def check_quantized(self) -> None:
        """Raise `UserError` if a quantised model cannot be trained like this."""
        key = f"LOAD_BITS={self.load_bits}"
        if self.tuning != "lora":
            raise UserError(f"{key} needs TUNING=lora: weights of so few bits cannot be trained themselves")
        if self.lora_variant == "dora":
            raise UserError(f"{key}: LORA_VARIANT=dora needs the lengths of whole weights; set lora or rslora")
        if self.checkpoint_format != "adapter":
            raise UserError(
                f"{key} needs CHECKPOINT_FORMAT=adapter: adapters cannot be merged into quantised weights; cardiolect "
                "merge later merges them into the whole ones"
            )
        if splits_weights(self.deepspeed_config):
            raise UserError(
                f"{key}: DEEPSPEED_CONFIG={self.deepspeed_config} is ZeRO-3, which cannot split quantised weights; use "
                "ds_config_zero2.json"
            )
        check_installed(key)


class LanguageModelSettings(TrainSettings):
    """The language model that a run starts from, and the representation of ECGs in its prompts."""

    llm_path: str = Field(
        "",
        description="Causal language model: a folder, a GGUF file (converted once to a folder next to it), OWNER/NAME "
        "on the Hugging Face hub; or tiny, a small Llama with random weights.",
    )
    tokenizer_path: Path | None = Field(None, description="Folder of the ECG tokenizer (stage 1).")
    projector: Literal["linear", "mlp"] = Field(
        "linear", description="Layers between embedded ECGs (REPRESENTATION=patches or encoder) and the language model."
    )
    token_row_spread: float = Field(
        0.5,
        gt=0,
        description="Spread of the ECG tokens' rows before training, in standard deviations of the text rows. "
        "LLM_PATH=tiny always has 1.",
    )
    tiny_corpus: Paths = Field(default_factory=list, description="LLM_PATH=tiny: texts to train its BPE on.")
    tiny_vocabulary: int = Field(1024, ge=300, description="LLM_PATH=tiny: size of its text vocabulary.")
    tiny_layers: int = Field(4, ge=1, description="LLM_PATH=tiny: number of layers.")
    tiny_hidden: int = Field(192, ge=16, description="LLM_PATH=tiny: width.")
    tiny_heads: int = Field(6, ge=1, description="LLM_PATH=tiny: number of attention heads.")
    tiny_tied: bool = Field(True, description="LLM_PATH=tiny: share one table between embedding and head.")

    def unused(self) -> Iterable[tuple[str, Collection[str]]]:
        yield from super().unused()
        if self.llm_path == "tiny":
            yield "in LLM_PATH=tiny, all rows start at the same spread", {"token_row_spread"}
        else:
            yield "LLM_PATH is not tiny", TINY

    def check_language_model(self) -> None:
        """Raise `UserError` unless LLM_PATH and TOKENIZER_PATH name a model and a tokenizer that work together."""
        need_path("TOKENIZER_PATH", self.tokenizer_path, "the ECG tokenizer that stage 1 wrote")
        if not self.llm_path:
            raise UserError("LLM_PATH is not set; it must be a folder with a causal language model, or the word tiny")
        if self.llm_path != "tiny":
            check_source(self.llm_path)
            return
        if not self.tiny_corpus and not self.train_data and not self.prepared:
            raise UserError("LLM_PATH=tiny needs TINY_CORPUS: JSON files with the texts to train its BPE on")
        for path in self.tiny_corpus:
            need_path("TINY_CORPUS", path, "a JSON file or folder with questions or reports")
        if self.tiny_hidden % (2 * self.tiny_heads):
            raise UserError("TINY_HIDDEN must be a multiple of 2 * TINY_HEADS")
        if self.tuning != "full":
            raise UserError("LLM_PATH=tiny starts from random weights, so it needs TUNING=full")


class PretrainSettings(LanguageModelSettings):
    """Stage 2: next-token prediction over ECG tokens."""

    pretrain_objective: Literal["causal", "multiscale"] = Field(
        "causal", description="causal: every position is supervised; multiscale: HeartLLM's five windows per ECG."
    )

    def check(self) -> None:
        super().check()
        if self.tuning == "none":
            raise UserError("TUNING=none: pretraining has nothing else to train; set lora or full")
        self.check_language_model()


class FinetuneSettings(RetrievalSettings, LanguageModelSettings):
    """Stage 3: fine-tuning on questions, reports or conversations."""

    tasktype: Literal[TaskName, "all"] = Field(
        description="qa: questions and answers; report: whole reports; instruct: conversations; all: all three packed."
    )
    checkpoint: Path | None = Field(
        None,
        description="Checkpoint to start from (stage 2, or another stage 3). If empty, LLM_PATH and TOKENIZER_PATH "
        "start a new one: embedded ECGs have no stage 2.",
    )
    prompt: Literal["plain", "chat"] = Field(
        "plain",
        description="How questions are written, in training and whenever the checkpoint is asked. plain: "
        "`Question: ... Answer:`; chat: by the language model's own chat template.",
    )
    questions_per_ecg: int = Field(
        6, ge=1, description="Questions and reports packed after one ECG in a training sequence."
    )
    ecg_loss_weight: float = Field(
        0.0, ge=0, description="Weight of next-token prediction on the ECG, relative to the text."
    )
    ecg_dropout: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="Share of training sequences without the ECG, so that the no-ECG floor is a fair one.",
    )
    patient_dropout: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="Share of training sequences without age, sex, height and weight, for ECGs whose patient is not "
        "known.",
    )

    part_dropout: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="REPRESENTATION=measured: share of training sequences that keep only the codes, and as many only "
        "the measured values, so that each part alone can be evaluated (FLOORS=codes_only,measured_only).",
    )

    def unused(self) -> Iterable[tuple[str, Collection[str]]]:
        yield from self.unused_neighbours()
        if not self.checkpoint:
            yield from super().unused()
            return
        yield from TrainSettings.unused(self)
        # The environment may hold keys of pretrain.sh.
        yield "CHECKPOINT holds a language model and an ECG tokenizer", OF_NEW_CHECKPOINTS

    def check(self) -> None:
        super().check()
        self.check_neighbours()
        if self.checkpoint is None and not self.llm_path:
            raise UserError("CHECKPOINT is not set; it must be a checkpoint that pretrain.sh or finetune.sh wrote")
        if self.checkpoint:
            need_path("CHECKPOINT", self.checkpoint, "a checkpoint that pretrain.sh or finetune.sh wrote")
        else:
            self.check_language_model()
        if not self.train_data and not self.prepared:
            raise UserError("TRAIN_DATA is not set; it must list JSON files with questions or reports")
