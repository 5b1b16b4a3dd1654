"""Settings of ``REPRESENTATION=bpe``."""

from typing import Literal

from pydantic import Field

from cardiolect.data_provider.record import INDEPENDENT, LEADS
from cardiolect.data_provider.settings import DataSettings
from cardiolect.ecg_tokenizer.bpe.levels import fixed_steps
from cardiolect.utils.errors import UserError

MAX_TOKENS = 65536  # the cache stores uint16


class BPESettings(DataSettings):
    """How ECGs become symbols, and symbols become tokens."""

    representation: Literal["bpe"] = Field("bpe", description="Symbols merged by byte-pair encoding (BPE).")
    sampling_rate: int = Field(125, ge=50, description="Sampling rate in Hz; input is resampled. ECG-Byte uses 250.")
    bpe_symbols: Literal["wavelet", "millivolts", "ecg-byte"] = Field(
        "wavelet",
        description="wavelet: rounded coefficients, in blocks of time; millivolts: levels with a fixed step; ecg-byte: "
        "levels as published, scaled to the corpus or to each ECG.",
    )
    bpe_step_mv: float = Field(
        0.35, gt=0, description="Step in mV of wavelet coefficients, or of levels around 0 (millivolts)."
    )
    bpe_dead_zone: float = Field(
        0.65, ge=0.5, le=1, description="Wavelet coefficients below this many steps become 0; 0.5 is plain rounding."
    )
    bpe_depth: int = Field(6, ge=1, le=10, description="Levels of the wavelet transform; a block has 2^this samples.")
    bpe_largest_mv: float = Field(5.0, gt=0, description="millivolts: samples beyond +- this are clipped.")
    bpe_knee_mv: float = Field(
        0.0,
        ge=0,
        description="millivolts: levels become wider beyond +- this (asinh); 0: all levels equally wide.",
    )
    bpe_independent_leads: bool = Field(
        True, description="millivolts: write I, II and V1-V6 only and compute the other limb leads."
    )
    bpe_scaling: Literal["percentile", "instance"] = Field(
        "percentile",
        description="ecg-byte: range of the levels, from percentiles of the corpus or from the smallest and largest "
        "sample of each ECG (instance), whose tokens then contain no millivolts.",
    )
    bpe_levels: int = Field(26, ge=2, le=1000, description="ecg-byte: number of levels.")
    bpe_published_offset: bool = Field(
        False, description="ecg-byte: decode levels as published, not at the centres of their bins."
    )
    bpe_turn_seconds: float = Field(
        1.0,
        ge=0,
        description="Levels: write this many seconds of one lead, then of the next, so that a limit on tokens cuts "
        "time rather than leads. 0: whole leads one after the other, as published; a limit then cuts V leads.",
    )
    bpe_cross_leads: bool = Field(
        False, description="Levels: let tokens cross from one lead into the next, as published."
    )
    bpe_lead_tokens: bool = Field(
        False, description="Levels: write a token that names the lead before each stretch of a lead."
    )
    bpe_merges: int = Field(
        3500,
        ge=0,
        le=MAX_TOKENS,
        description="Tokens in addition to the symbols; published: 3500 to 10000.",
    )
    bpe_encoding: Literal["merge-order", "longest-match"] = Field(
        "longest-match",
        description="How tokens are chosen: in merge order, or the longest that fits, as published.",
    )
    bpe_merge_ecgs: int = Field(
        4000, ge=1, description="Learn merges from at most this many random training ECGs, to limit memory."
    )
    bpe_geometry: Literal["waveform", "signal2vec"] = Field(
        "waveform",
        description="Initial embedding of the tokens in the language model: from the waveform of each token, or from a "
        "skip-gram model of the training tokens.",
    )
    signal2vec_dims: int = Field(128, ge=2, description="Dimension of the signal2vec vectors.")
    signal2vec_window: int = Field(12, ge=1, description="Largest distance between the tokens of a signal2vec pair.")
    signal2vec_negatives: int = Field(5, ge=1, description="Negative samples per pair in signal2vec.")
    signal2vec_epochs: int = Field(10, ge=1, description="Training epochs of signal2vec.")
    signal2vec_learning_rate: float = Field(2e-3, gt=0, description="Peak learning rate of signal2vec (AdamW, cosine).")

    def check(self) -> None:
        super().check()
        levels = self.bpe_symbols != "wavelet"
        if self.bpe_lead_tokens and not levels:
            raise UserError("BPE_LEAD_TOKENS: blocks of wavelets hold all leads; use it with millivolts or ecg-byte")
        if self.bpe_cross_leads and not levels:
            raise UserError("BPE_CROSS_LEADS: blocks of wavelets hold all leads; use it with millivolts or ecg-byte")
        if self.bpe_cross_leads and self.bpe_lead_tokens:
            raise UserError("BPE_CROSS_LEADS and BPE_LEAD_TOKENS: a lead token would be inside a token; set only one")
        if self.bpe_turn_seconds and self.chunk < 1:
            raise UserError(f"BPE_TURN_SECONDS: {self.bpe_turn_seconds:g} s is not a sample at {self.sampling_rate} Hz")
        if self.bpe_symbols == "millivolts":
            symbols, _ = fixed_steps(self.bpe_step_mv, self.bpe_largest_mv, self.bpe_knee_mv)
            if symbols < 3:
                raise UserError("BPE_STEP_MV: one step covers everything up to BPE_LARGEST_MV")
        else:
            symbols = self.bpe_levels if levels else 2
        most = MAX_TOKENS - symbols - self.bpe_merges - (len(LEADS) if self.bpe_lead_tokens else 0)
        if most < 0:
            raise UserError(
                f"BPE_MERGES: {MAX_TOKENS - most} tokens in total, at most {MAX_TOKENS} are possible; lower it"
            )

    @property
    def chunk(self) -> int:
        """Consecutive samples of a lead before the next lead follows; 0: all."""
        return round(self.bpe_turn_seconds * self.sampling_rate)

    @property
    def rows(self) -> tuple[int, ...]:
        """The leads that are written as levels."""
        independent = self.bpe_symbols == "millivolts" and self.bpe_independent_leads
        return INDEPENDENT if independent else tuple(range(len(LEADS)))
