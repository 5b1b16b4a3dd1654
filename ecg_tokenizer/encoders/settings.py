"""Stage 1 settings of ``REPRESENTATION=encoder``."""

from collections.abc import Collection, Iterable
from typing import Literal

from pydantic import Field

from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig, EncoderName
from cardiolect.ecg_tokenizer.training.settings import TrainingSettings
from cardiolect.utils.errors import UserError
from cardiolect.utils.precision import AUTO, TokenizerPrecision
from cardiolect.utils.scp_codes import LabelTask

PATCHED = ("st-mem", "mtae")
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
        "convnext-atto to convnext-huge: ESI's; st-mem, mtae, mlae: transformers over patches.",
    )
    encoder_width: int = Field(0, ge=0, description="Width of the first stage, or of a transformer; 0: as published.")
    encoder_depth: int = Field(0, ge=0, description="Blocks of every stage, or of a transformer; 0: as published.")
    patch_ms: float = Field(400, gt=0, description="st-mem, mtae: milliseconds of a patch.")
    encoder_seconds: float = Field(10, gt=0, description="mlae: seconds of ECG in a token; longer ECGs are cut.")
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
    objective: Literal["none", "supervised"] = Field(
        "supervised",
        description="supervised: LABELS of PTB-XL's table; none: random weights, for what trains them later.",
    )
    labels: LabelTask = Field(
        "all", description="supervised: which SCP statements, by the tasks of PTB-XL's benchmark; all: all 71."
    )
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW.")
    precision: TokenizerPrecision = Field(
        "fp32", description=f"Precision of training; features are computed in fp32. {AUTO}, fp32 on others."
    )

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
        )

    def unused(self) -> Iterable[tuple[str, Collection[str]]]:
        if self.encoder not in PATCHED:
            yield f"ENCODER={self.encoder}: no patches", {"patch_ms"}
        if self.encoder != "mlae":
            yield f"ENCODER={self.encoder} takes any length", {"encoder_seconds"}
        if self.objective == "none":
            yield "OBJECTIVE=none: nothing is trained", {*OF_TRAINING, "labels"}

    def check(self) -> None:
        super().check()
        exact = self.patch_ms * self.sampling_rate / 1000
        if self.encoder in PATCHED and (exact < 1 or abs(exact - round(exact)) > 1e-6):
            raise UserError(
                f"PATCH_MS: {self.patch_ms:g} ms is {exact:g} samples at SAMPLING_RATE {self.sampling_rate} Hz; "
                "choose a whole number of samples"
            )
        if self.encoder == "mlae" and self.objective != "none" and self.crop_seconds != self.encoder_seconds:
            raise UserError(
                f"CROP_SECONDS={self.crop_seconds:g}: mlae reads ECGs of one length; set it to ENCODER_SECONDS "
                f"({self.encoder_seconds:g})"
            )
