"""Settings of stage 1, read from ``ecg_tokenizer/config.env`` or another env file."""

from collections.abc import Collection, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Literal

from pydantic import Field

from cardiolect.data_provider.examples import TaskName
from cardiolect.data_provider.settings import DataSettings
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError
from cardiolect.utils.precision import AUTO, TokenizerPrecision
from cardiolect.utils.resume import DESCRIPTION as HOW_TO_RESUME
from cardiolect.utils.resume import Resume
from cardiolect.utils.schedule import DESCRIPTION, Schedule, check_warmup
from cardiolect.utils.settings import Integers, Names, Paths, need_path

MAX_CODES = 65536  # the code cache stores uint16
DEFAULT = TokenizerConfig()
OF_QUANTIZERS = {
    "fsq": {"fsq_levels", "search_rounds"},
    "vq": {"codebook_size", "codebook_dim"},
    "rvq": {"codebook_size", "codebook_dim", "num_codebooks"},
}
WARMUP_SHARE = 0.05  # of STEPS, if WARMUP_STEPS is empty


class TrainingSettings(DataSettings):
    """What all trainings of stage 1 have in common."""

    representation: str
    sampling_rate: int = Field(250, ge=50, description="Sampling rate in Hz; input is resampled.")
    steps: int = Field(4000, ge=1, description="Maximum number of optimiser steps.")
    batch_size: int = Field(32, ge=1, description="Crops per step, over all ranks.")
    num_processes: int = Field(1, ge=1, description="Ranks to start on this machine; each takes its share of a step.")
    crop_seconds: float = Field(4.0, gt=0, description="Length of a training crop in seconds.")
    learning_rate: float = Field(2e-3, gt=0, description="Peak learning rate of AdamW.")
    schedule: Schedule = Field("one-cycle", description=DESCRIPTION)
    warmup_steps: int | None = Field(
        None, ge=0, description="Optimiser steps before the peak learning rate. Empty: a twentieth of STEPS."
    )
    eval_steps: int = Field(500, ge=1, description="Steps between validations.")
    patience: int = Field(8, ge=1, description="Stop after this many validations without improvement.")
    save_steps: int = Field(0, ge=0, description="Steps between saved steps (RESUME). 0: EVAL_STEPS.")
    resume: Resume = Field("auto", description=HOW_TO_RESUME.format(result="ECG tokenizer"))
    lead_dropout: float = Field(
        0.05, ge=0, lt=1, description="Probability that a lead of a crop is silenced in the input."
    )
    gain_jitter: float = Field(0.2, ge=0, lt=1, description="Crops are scaled by a random factor within 1 +- this.")
    electrode_jitter: float = Field(
        0.0, ge=0, description="Leads of a crop are mixed by up to this share, as if electrodes were displaced."
    )
    wander_chance: float = Field(0.0, ge=0, le=1, description="Probability that baseline wander is added to a crop.")
    time_stretch: float = Field(
        0.0, ge=0, lt=1, description="Crops are stretched in time by a random factor within exp(+- this)."
    )

    @property
    def stride(self) -> int:
        """Samples that a crop is a multiple of."""
        return 1

    @property
    def task(self) -> TaskName | None:
        """The texts that are learned from, besides the recordings; None: recordings need none."""
        return None

    @property
    def label_tables(self) -> list[Path]:
        """The files that hold what is learned, besides the recordings."""
        return []

    @property
    def warmup(self) -> float:
        """Steps before the peak learning rate."""
        return WARMUP_SHARE * self.steps if self.warmup_steps is None else self.warmup_steps

    def check(self) -> None:
        super().check()
        if self.warmup_steps is not None:
            check_warmup("WARMUP_STEPS", self.warmup_steps, self.steps)
        ranks = max(self.num_processes, launch.world_size())  # those of a launcher on all machines
        if rest := self.batch_size % ranks:
            near = " and ".join(str(size) for size in (self.batch_size - rest, self.batch_size - rest + ranks) if size)
            raise UserError(f"BATCH_SIZE={self.batch_size}: {ranks} ranks take equal shares; multiples are {near}")


class TokenizerSettings(TrainingSettings):
    """The architecture of a tokenizer and its training."""

    representation: Literal["codes"] = Field(
        "codes", description="How ECGs are represented in prompts: as codes of a VQ tokenizer."
    )
    quantizer: Literal["fsq", "vq", "rvq"] = Field(
        DEFAULT.quantizer,
        description="fsq: finite scalar; vq: EMA codebook with restarts; rvq: residual vq, several codes per frame.",
    )
    fsq_levels: Integers = Field(
        list(DEFAULT.fsq_levels), description="fsq: levels per dimension; their product is the codebook size."
    )
    codebook_size: int = Field(
        DEFAULT.codebook_size, ge=2, le=MAX_CODES, description="vq: number of codes; rvq: codes in each codebook."
    )
    codebook_dim: int = Field(
        DEFAULT.codebook_dim, ge=1, description="vq and rvq: dimension of the space in which codes are looked up."
    )
    num_codebooks: int = Field(4, ge=2, description="rvq: number of codebooks, and so of codes per frame.")
    stride_ms: float = Field(
        40, gt=0, description="Milliseconds of ECG, all 12 leads, per frame (one code; rvq: several)."
    )
    coarse_frames: int = Field(
        DEFAULT.coarse_frames,
        ge=0,
        description="Frames per coarse code (always fsq), which holds the slow waves of all leads; 0: no coarse codes.",
    )
    coarse_levels: Integers = Field(
        list(DEFAULT.coarse_levels), description="Levels per dimension of the coarse codes."
    )
    hidden: int = Field(DEFAULT.hidden, ge=8, description="Width of the backbone.")
    backbone: Literal["standard", "light"] = Field(
        DEFAULT.backbone,
        description="light: with ENCODER_DEPTH=2 and DECODER_DEPTH=3, half the computation of a standard backbone with "
        "4 and 4, at about the same distortion.",
    )
    encoder_depth: int = Field(DEFAULT.encoder_depth, ge=1, description="ConvNeXt blocks before the quantizer.")
    decoder_depth: int = Field(DEFAULT.decoder_depth, ge=1, description="ConvNeXt blocks after the quantizer.")
    search_rounds: int = Field(
        DEFAULT.search_rounds,
        ge=0,
        description="fsq: after the encoder, each frame tries the neighbours of its code this often and takes the one "
        "that decodes best. Distortion falls by a sixth at the same bits; a round takes 0.4 s of a CPU core per ECG.",
    )
    precision: TokenizerPrecision = Field(
        "fp32", description=f"Precision of training; codes are always computed in fp32. {AUTO}, fp32 on others."
    )
    muon_learning_rate: float = Field(
        0.03, gt=0, description="Peak learning rate of Muon, which trains the matrices of the blocks."
    )
    derivative_weight: float = Field(0.5, ge=0, description="Weight of the loss on first differences (slopes).")
    small_wave_weight: float = Field(
        0.0, ge=0, le=1, description="Share of the reconstruction loss computed on companded (asinh) millivolts."
    )
    texture_weight: float = Field(
        0.0, ge=0, description="Weight of the loss on the local noise level (log slope energy)."
    )
    measurements_data: Paths = Field(
        [],
        description="CSV file of measurements by ecg_id or study_id, such as the simulator's measurements.csv or that "
        "of `cardiolect measure`; with several DATA_ROOTs, one for each, in their order. Rows of recordings outside "
        "the training set are not used.",
    )
    measurements: Names = Field(
        [],
        description="Columns of MEASUREMENTS_DATA that the codes should preserve: times and rates, because "
        "augmentation changes voltages.",
    )
    measurement_weight: float = Field(
        0.3, ge=0, description="Weight of the loss on measurements predicted from the codes."
    )

    @property
    def stride(self) -> int:
        """Samples per frame."""
        return round(self.stride_ms * self.sampling_rate / 1000)

    def config(self) -> TokenizerConfig:
        """The architecture described by these settings."""
        values = {f.name: getattr(self, f.name) for f in fields(TokenizerConfig) if hasattr(self, f.name)}
        if self.quantizer != "rvq":
            values["num_codebooks"] = DEFAULT.num_codebooks
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return TokenizerConfig(**{**values, **lists})

    def unused(self) -> Iterable[tuple[str, Collection[str]]]:
        others = {name for names in OF_QUANTIZERS.values() for name in names} - OF_QUANTIZERS[self.quantizer]
        yield f"QUANTIZER={self.quantizer}", others
        if not self.coarse_frames:
            yield "COARSE_FRAMES=0: no coarse codes", {"coarse_levels"}
        if not self.measurements:
            yield "MEASUREMENTS is not set", {"measurement_weight"}

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
        if (codes := self.config().layout.vocabulary_size) > MAX_CODES:
            raise UserError(
                f"{codes} codes in all codebooks, coarse ones included; at most {MAX_CODES} are possible: lower "
                "FSQ_LEVELS, CODEBOOK_SIZE, NUM_CODEBOOKS or COARSE_LEVELS"
            )
        if self.search_rounds and self.quantizer != "fsq":
            raise UserError(f"SEARCH_ROUNDS needs QUANTIZER=fsq: codes of {self.quantizer} have no neighbours")
        if self.coarse_frames == 1:
            raise UserError("COARSE_FRAMES: a coarse code must span 2 frames or more; use 0 for no coarse codes")
        if bool(self.measurements_data) != bool(self.measurements):
            raise UserError("MEASUREMENTS_DATA and MEASUREMENTS: set both, a CSV file and its columns, or neither")
        if self.measurements and self.time_stretch:
            raise UserError("TIME_STRETCH changes the times in MEASUREMENTS; set only one of them")
        if ids := {"ecg_id", "study_id"} & set(self.measurements):
            raise UserError(f"MEASUREMENTS: {ids.pop()} identifies a recording and is not a measurement")
        if self.measurements_data and len(self.measurements_data) != len(self.data_root):
            raise UserError(
                f"MEASUREMENTS_DATA: {len(self.measurements_data)} files for {len(self.data_root)} folders in "
                "DATA_ROOT; give one for each, in the same order"
            )
        for path in self.measurements_data:
            need_path("MEASUREMENTS_DATA", path, "a CSV file of measurements")
        frames = max(8, 2 * self.coarse_frames)
        if self.crop_seconds * self.sampling_rate < frames * self.stride:
            raise UserError(f"CROP_SECONDS: a crop must hold at least {frames} frames of {self.stride_ms:g} ms")
