"""Settings of stage 1, read from ``ecg_tokenizer/config.env`` or another env file."""

import math
from pathlib import Path
from typing import Literal

from pydantic import Field

from cardiolect.data_provider.settings import DataSettings
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.utils.errors import UserError
from cardiolect.utils.settings import Integers, Names, need_path

MAX_CODES = 65536  # what the code cache's uint16 can tell apart


class TokenizerSettings(DataSettings):
    """What a tokenizer is and how it is trained."""

    representation: Literal["codes"] = Field(
        "codes", description="How ECGs stand in prompts: codes, by a VQ tokenizer."
    )
    quantizer: Literal["fsq", "vq", "rvq"] = Field(
        "fsq",
        description="fsq: finite scalar; vq: EMA codebook with restarts; rvq: residual vq, several codes a frame.",
    )
    fsq_levels: Integers = Field(
        [8, 5, 5, 5], description="Levels per dimension of fsq; their product is the codebook."
    )
    codebook_size: int = Field(1024, ge=2, le=65536, description="Codes of vq; of each codebook of rvq.")
    codebook_dim: int = Field(8, ge=1, description="Dimension in which vq and rvq look codes up.")
    num_codebooks: int = Field(4, ge=2, description="Codebooks of rvq, and so codes per frame.")
    sampling_rate: int = Field(250, ge=50, description="Rate in Hz at which the tokenizer works; input is resampled.")
    stride_ms: float = Field(
        40, gt=0, description="Milliseconds of ECG, all 12 leads, per frame (one code; rvq: several)."
    )
    coarse_frames: int = Field(
        4,
        ge=0,
        description="Frames whose slow waves, of all leads, one more code holds (always fsq); 0: none.",
    )
    coarse_levels: Integers = Field([5, 5, 5, 5], description="Levels per dimension of coarse codes.")
    hidden: int = Field(192, ge=8, description="Width of the backbone.")
    encoder_depth: int = Field(4, ge=1, description="ConvNeXt blocks before the quantizer.")
    decoder_depth: int = Field(4, ge=1, description="ConvNeXt blocks after the quantizer.")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="Arithmetic of training; codes are always computed in fp32."
    )
    steps: int = Field(4000, ge=1, description="Optimiser steps at most.")
    batch_size: int = Field(32, ge=1, description="Crops per step, of all ranks together.")
    num_processes: int = Field(1, ge=1, description="Ranks to start on this machine; each takes its share of a step.")
    crop_seconds: float = Field(4.0, gt=0, description="Length of a training crop.")
    learning_rate: float = Field(2e-3, gt=0, description="Peak of AdamW's one-cycle schedule.")
    muon_learning_rate: float = Field(0.03, gt=0, description="Peak of Muon's, which trains the blocks' matrices.")
    eval_steps: int = Field(500, ge=1, description="Validate every so many steps.")
    patience: int = Field(8, ge=1, description="Stop after so many validations without a better one.")
    derivative_weight: float = Field(0.5, ge=0, description="Weight of the loss on first differences (slopes).")
    small_wave_weight: float = Field(
        0.0, ge=0, le=1, description="Share of the reconstruction loss taken on companded (asinh) millivolts."
    )
    texture_weight: float = Field(0.0, ge=0, description="Weight of the loss on local noise level (log slope energy).")
    measurements_data: Path | None = Field(
        None,
        description="CSV of measurements by ecg_id or study_id, such as the simulator's measurements.csv. Rows of "
        "recordings that are not trained on stay unused.",
    )
    measurements: Names = Field(
        [],
        description="Columns of MEASUREMENTS_DATA that codes shall hold: times and rates (voltages are jittered).",
    )
    measurement_weight: float = Field(0.3, ge=0, description="Weight of the loss on measurements read from the codes.")
    lead_dropout: float = Field(0.05, ge=0, lt=1, description="Chance that a lead of a crop is silenced in the input.")
    gain_jitter: float = Field(0.2, ge=0, lt=1, description="Crops are scaled by a factor within 1 +- this.")
    electrode_jitter: float = Field(
        0.0, ge=0, description="Leads of a crop are mixed at random by up to this share, as by displaced electrodes."
    )
    wander_chance: float = Field(0.0, ge=0, le=1, description="Chance that a crop gets baseline wander on top.")
    time_stretch: float = Field(
        0.0, ge=0, lt=1, description="Crops are stretched in time by a factor within exp(+- this)."
    )

    @property
    def stride(self) -> int:
        """Samples per frame."""
        return round(self.stride_ms * self.sampling_rate / 1000)

    @property
    def codes(self) -> int:
        """Different codes of all codebooks."""
        frames = {
            "fsq": math.prod(self.fsq_levels),
            "vq": self.codebook_size,
            "rvq": self.num_codebooks * self.codebook_size,
        }[self.quantizer]
        return frames + (math.prod(self.coarse_levels) if self.coarse_frames else 0)

    def config(self) -> TokenizerConfig:
        """The architecture that these settings ask for."""
        return TokenizerConfig(
            quantizer=self.quantizer,
            fsq_levels=tuple(self.fsq_levels),
            codebook_size=self.codebook_size,
            codebook_dim=self.codebook_dim,
            num_codebooks=self.num_codebooks if self.quantizer == "rvq" else 1,
            sampling_rate=self.sampling_rate,
            stride=self.stride,
            coarse_frames=self.coarse_frames,
            coarse_levels=tuple(self.coarse_levels),
            hidden=self.hidden,
            encoder_depth=self.encoder_depth,
            decoder_depth=self.decoder_depth,
        )

    def check(self) -> None:
        super().check()
        exact = self.stride_ms * self.sampling_rate / 1000
        if self.stride < 1 or abs(exact - self.stride) > 1e-6:
            raise UserError(
                f"STRIDE_MS: {self.stride_ms:g} ms is {exact:g} samples at SAMPLING_RATE {self.sampling_rate} Hz; "
                "choose a whole number of samples"
            )
        for key, levels in (("FSQ_LEVELS", self.fsq_levels), ("COARSE_LEVELS", self.coarse_levels)):
            if min(levels, default=0) < 3:
                raise UserError(f"{key}: every level must be 3 or more")
        if self.codes > MAX_CODES:
            raise UserError(
                f"{self.codes} codes in all codebooks, coarse ones included; at most {MAX_CODES}: lower FSQ_LEVELS, "
                "CODEBOOK_SIZE, NUM_CODEBOOKS or COARSE_LEVELS"
            )
        if self.coarse_frames == 1:
            raise UserError("COARSE_FRAMES: a coarse code must hold for 2 frames or more; 0 for none")
        if bool(self.measurements_data) != bool(self.measurements):
            raise UserError("MEASUREMENTS_DATA and MEASUREMENTS: set both, a CSV file and its columns, or neither")
        if self.measurements and self.time_stretch:
            raise UserError("TIME_STRETCH changes the times that MEASUREMENTS hold; set one of them")
        if ids := {"ecg_id", "study_id"} & set(self.measurements):
            raise UserError(f"MEASUREMENTS: {ids.pop()} says whose the measurements are; it is none")
        if self.measurements_data and len(self.data_root) > 1:
            raise UserError("MEASUREMENTS_DATA goes with one DATA_ROOT: its ids would be ambiguous in a mixture")
        if self.measurements_data:
            need_path("MEASUREMENTS_DATA", self.measurements_data, "a CSV file of measurements")
        if self.batch_size % self.num_processes:
            raise UserError("BATCH_SIZE must be a multiple of NUM_PROCESSES, whose ranks take equal shares")
        frames = max(8, 2 * self.coarse_frames)
        if self.crop_seconds * self.sampling_rate < frames * self.stride:
            raise UserError(f"CROP_SECONDS: a crop must hold at least {frames} frames of {self.stride_ms:g} ms")
