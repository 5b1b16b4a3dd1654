"""Stage 1 settings of ``REPRESENTATION=encoder``."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from cardiolect.data_provider.corpora.databases import TABLE
from cardiolect.data_provider.examples import REPORT_TASK, TaskName
from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig, EncoderName
from cardiolect.ecg_tokenizer.training.settings import TrainingSettings
from cardiolect.utils.errors import UserError
from cardiolect.utils.precision import AUTO, TokenizerPrecision
from cardiolect.utils.scp_codes import LabelTask
from cardiolect.utils.settings import need_path

PATCHED = ("st-mem", "mtae")
MASKABLE = (*PATCHED, "mlae")
TINY = "tiny"  # TEXT_ENCODER of one that is trained here
OF_TEXTS = {
    "text_encoder",
    "text_width",
    "text_depth",
    "text_tokens",
    "text_frozen",
    "contrastive_loss",
    "alignment_width",
    "view_weight",
    "caption_weight",
}
OF_TRAINING = {
    "steps",
    "batch_size",
    "crop_seconds",
    "learning_rate",
    "weight_decay",
    "precision",
    "schedule",
    "warmup_steps",
    "eval_steps",
    "patience",
    "save_steps",
    "lead_dropout",
    "gain_jitter",
    "electrode_jitter",
    "wander_chance",
    "time_stretch",
}


class EncoderSettings(TrainingSettings):
    """An encoder, how it is trained before a language model sees it, and the rows that it gives."""

    representation: Literal["encoder"] = Field("encoder", description="Features of an encoder, projected.")
    encoder: EncoderName = Field(
        "s4",
        description="s4: a small one; resnet18, resnet50, resnet101: MERL's; xresnet101: that of PTB-XL's benchmark; "
        "convnext-atto to convnext-huge: ESI's; st-mem, mtae, mlae: transformers over patches; "
        "picture: VISION_ENCODER, which is shown the drawn ECG.",
    )
    vision_encoder: Path | None = Field(
        None, description="picture: folder of a ViT, CLIP or SigLIP model of transformers, with its weights."
    )
    encoder_width: int = Field(0, ge=0, description="Width of the first stage, or of a transformer; 0: as published.")
    encoder_depth: int = Field(0, ge=0, description="Blocks of every stage, or of a transformer; 0: as published.")
    patch_ms: float = Field(400, gt=0, description="st-mem, mtae: milliseconds of a patch.")
    encoder_seconds: float = Field(
        10, gt=0, description="st-mem, mtae, mlae: seconds of ECG in training; mlae cuts longer ones."
    )
    encoder_scaling: Literal["millivolts", "deviation", "range"] = Field(
        "millivolts",
        description="deviation, range: divided by those of all leads together, as published, which loses voltages.",
    )
    encoder_tokens: int = Field(
        0, ge=0, description="Rows of an ECG in prompts: means of neighbouring tokens; 0: one for each token."
    )
    encoder_frozen: bool = Field(
        True,
        description="true: features are computed once and cached; false: the encoder is trained with the LLM.",
    )
    encoder_init: Path | None = Field(
        None,
        description="Folder of another stage 1 run of the same ENCODER and sizes, or a checkpoint's ecg_tokenizer: "
        "training starts from its weights. Empty: from random ones.",
    )
    accept_unknown_leakage: bool = Field(
        False,
        description="ENCODER_INIT: start from an encoder whose list of seen recordings is missing or was changed; "
        "evaluations are marked as leakage unknown.",
    )
    objective: Literal["none", "supervised", "masked", "contrastive"] = Field(
        "supervised",
        description="supervised: LABELS of PTB-XL's table; masked: st-mem, mtae and mlae restore hidden patches; "
        "contrastive: ECGs and reports (TRAIN_DATA) are brought together; none: random weights, or those of "
        "ENCODER_INIT, for what trains them later.",
    )
    labels: LabelTask = Field(
        "all", description="supervised: which SCP statements, by the tasks of PTB-XL's benchmark; all: all 71."
    )
    mask_share: float = Field(0.75, gt=0, lt=1, description="masked: share of the patches that are hidden.")
    decoder_width: int = Field(
        256, ge=8, description="masked, and contrastive with captions: width of the decoder, which is not kept."
    )
    decoder_depth: int = Field(4, ge=1, description="masked, and contrastive with captions: blocks of the decoder.")
    text_encoder: str = Field(
        "tiny",
        description="contrastive: folder of a model of transformers (BioLinkBERT, MedCPT, ...), or tiny: a small BERT "
        "that is trained from random weights.",
    )
    text_width: int = Field(128, ge=8, description="TEXT_ENCODER=tiny: its width.")
    text_depth: int = Field(2, ge=1, description="TEXT_ENCODER=tiny: its layers.")
    text_tokens: int = Field(
        128, ge=4, description="contrastive: tokens of a report; longer ones are cut, and counted."
    )
    text_frozen: bool = Field(False, description="contrastive: true keeps the text encoder as it is.")
    contrastive_loss: Literal["infonce", "siglip"] = Field(
        "infonce", description="contrastive: a report against all of the batch, or each pair by itself (SigLIP)."
    )
    alignment_width: int = Field(256, ge=8, description="contrastive: width of the space of ECGs and reports.")
    view_weight: float = Field(
        1.0, ge=0, description="contrastive: weight of the loss between two views of an ECG (MERL); 0: none."
    )
    caption_weight: float = Field(
        0.0, ge=0, description="contrastive: weight of a decoder's loss, which writes the report (ESI: 1); 0: none."
    )
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW.")
    precision: TokenizerPrecision = Field(
        "fp32", description=f"Precision of training; features are computed in fp32. {AUTO}, fp32 on others."
    )

    @property
    def label_tables(self) -> list[Path]:
        return [root / TABLE for root in self.data_root] if self.objective == "supervised" else []

    @property
    def vision(self) -> str:
        """The configuration of VISION_ENCODER, as JSON."""
        if not self.vision_encoder:
            return ""
        from cardiolect.ecg_tokenizer.encoders.architectures.picture import describe  # imports PyTorch

        return describe(self.vision_encoder)

    @property
    def task(self) -> TaskName | None:
        return REPORT_TASK if self.objective == "contrastive" else None

    def config(self) -> EncoderConfig:
        """The encoder described by these settings."""
        seconds = self.encoder_seconds if self.encoder == "mlae" else self.patch_ms / 1000
        return EncoderConfig(
            encoder=self.encoder,
            width=self.encoder_width,
            depth=self.encoder_depth,
            patch=round(seconds * self.sampling_rate),
            sampling_rate=self.sampling_rate,
            scaling=self.encoder_scaling,
            tokens=self.encoder_tokens,
            frozen=self.encoder_frozen,
            vision=self.vision,
        )

    def unused(self) -> Iterable[tuple[str, Collection[str]]]:
        if self.encoder == "picture":
            yield "ENCODER=picture: VISION_ENCODER has its sizes", {"encoder_width", "encoder_depth"}
        else:
            yield f"ENCODER={self.encoder}: no pictures", {"vision_encoder"}
        if self.encoder not in PATCHED:
            yield f"ENCODER={self.encoder}: no patches", {"patch_ms"}
        if self.encoder not in MASKABLE:
            yield f"ENCODER={self.encoder} takes any length", {"encoder_seconds"}
        if self.objective != "supervised":
            yield f"OBJECTIVE={self.objective}: no labels", {"labels"}
        if self.objective != "masked":
            yield f"OBJECTIVE={self.objective}: nothing is masked", {"mask_share"}
        if self.objective != "masked" and not (self.objective == "contrastive" and self.caption_weight):
            yield "there is no decoder", {"decoder_width", "decoder_depth"}
        if self.objective != "contrastive":
            yield f"OBJECTIVE={self.objective}: no reports", OF_TEXTS
        elif self.text_encoder != TINY:
            yield "TEXT_ENCODER is not tiny", {"text_width", "text_depth"}
        if self.objective == "none":
            yield "OBJECTIVE=none: nothing is trained", OF_TRAINING
        if not self.encoder_init:
            yield "ENCODER_INIT is not set", {"accept_unknown_leakage"}

    def check(self) -> None:
        super().check()
        exact = self.patch_ms * self.sampling_rate / 1000
        if self.encoder in PATCHED and (exact < 1 or abs(exact - round(exact)) > 1e-6):
            raise UserError(
                f"PATCH_MS: {self.patch_ms:g} ms is {exact:g} samples at SAMPLING_RATE {self.sampling_rate} Hz; "
                "choose a whole number of samples"
            )
        if self.objective == "masked" and self.encoder not in MASKABLE:
            raise UserError(
                f"OBJECTIVE=masked: {self.encoder} has no patches to hide; ENCODER can be {', '.join(MASKABLE)}"
            )
        if self.encoder in MASKABLE and self.objective != "none" and self.crop_seconds != self.encoder_seconds:
            raise UserError(
                f"CROP_SECONDS={self.crop_seconds:g}: {self.encoder} knows only the positions of its training; set "
                f"it to ENCODER_SECONDS ({self.encoder_seconds:g})"
            )
        if self.objective in ("supervised", "contrastive") and self.time_stretch:
            what = "LABELS" if self.objective == "supervised" else "reports"
            raise UserError(f"TIME_STRETCH changes the rate and the intervals that {what} state; leave it out")
        if self.objective == "contrastive":
            self._check_texts()
        if self.encoder == "picture":
            if not self.encoder_init:
                need_path("VISION_ENCODER", self.vision_encoder, "the folder of a ViT, CLIP or SigLIP model")
            if self.encoder_scaling != "millivolts":
                raise UserError(f"ENCODER_SCALING={self.encoder_scaling}: pictures are drawn in millivolts")
        for path in self.label_tables:
            need_path("LABELS", path, "the label table of PTB-XL or of a simulated corpus")
        if self.encoder_init:
            need_path(
                "ENCODER_INIT", self.encoder_init / "model.safetensors", "the encoder that an earlier stage 1 run wrote"
            )
        if self.objective == "none" and self.encoder.startswith("resnet") and not self.encoder_init:
            raise UserError(
                f"OBJECTIVE=none: {self.encoder} with random weights needs data for its batch norms; use supervised, "
                "or set ENCODER_INIT"
            )
        if self.encoder_width % 8:
            raise UserError(f"ENCODER_WIDTH={self.encoder_width}: give a multiple of 8, or 0 for the published width")

    def _check_texts(self) -> None:
        if self.text_encoder != TINY:
            need_path("TEXT_ENCODER", Path(self.text_encoder), "the folder of a model of transformers, or is tiny")
        if self.text_encoder == TINY and self.text_frozen:
            raise UserError("TEXT_FROZEN: a tiny text encoder has random weights; train it, or name another")
        for key, width in (("TEXT_WIDTH", self.text_width), ("DECODER_WIDTH", self.decoder_width)):
            if width % 8 or (width > 64 and width % 64):
                raise UserError(f"{key}={width}: give a multiple of 64, or of 8 if it is less")
        if self.batch_size < 2:
            raise UserError("BATCH_SIZE=1: contrastive training tells recordings of a batch apart; give more")
