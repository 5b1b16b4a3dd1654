"""Settings of ``REPRESENTATION=bpe``."""

from typing import Literal

from pydantic import Field

from cardiolect.data_provider.record import INDEPENDENT, LEADS
from cardiolect.data_provider.settings import DataSettings
from cardiolect.ecg_tokenizer.bpe.levels import fixed_steps
from cardiolect.utils.errors import UserError

MAX_TOKENS = 65536  # what the cache's uint16 can tell apart


class BPESettings(DataSettings):
    """How an ECG becomes symbols, and symbols tokens."""

    representation: Literal["bpe"] = Field("bpe", description="Symbols merged by byte-pair encoding.")
    sampling_rate: int = Field(125, ge=50, description="Rate in Hz at which symbols are taken; ECG-Byte's is 250.")
    bpe_symbols: Literal["wavelet", "millivolts", "ecg-byte"] = Field(
        "wavelet",
        description="wavelet: rounded coefficients, in blocks of time; millivolts: levels at a fixed step; ecg-byte: "
        "levels as published, scaled to the corpus or to the ECG.",
    )
    bpe_step_mv: float = Field(
        0.35, gt=0, description="Step of wavelet coefficients or of levels (millivolts) around 0, in mV."
    )
    bpe_dead_zone: float = Field(
        0.65, ge=0.5, le=1, description="Wavelet coefficients below this many steps become 0; 0.5 rounds."
    )
    bpe_depth: int = Field(
        6, ge=1, le=10, description="Halvings of time by the wavelet; a block of a wavelet has 2^this samples."
    )
    bpe_largest_mv: float = Field(5.0, gt=0, description="Samples beyond +- this are clipped (millivolts).")
    bpe_knee_mv: float = Field(
        0.0, ge=0, description="Levels grow beyond +- this (asinh), fine for small waves (millivolts); 0: equally wide."
    )
    bpe_independent_leads: bool = Field(
        True, description="Write I, II and V1-V6 and compute the other limb leads (millivolts)."
    )
    bpe_scaling: Literal["percentile", "instance"] = Field(
        "percentile",
        description="Range of the levels of ecg-byte: percentiles of the corpus, or least and largest sample of each "
        "ECG, whose tokens then tell no millivolts.",
    )
    bpe_levels: int = Field(26, ge=2, le=1000, description="Levels of ecg-byte.")
    bpe_published_offset: bool = Field(
        False, description="Decode levels of ecg-byte as published, off the centres of their bins."
    )
    bpe_turn_seconds: float = Field(
        1.0,
        ge=0,
        description="Levels: so many seconds of each lead, then of the next; a limit on tokens then cuts time and not "
        "leads. 0: lead after lead as published, where a limit cuts V leads.",
    )
    bpe_cross_leads: bool = Field(
        False, description="Levels: tokens may cross from one lead into the next, as published."
    )
    bpe_lead_tokens: bool = Field(
        False, description="Levels: a token before each stretch of a lead says which lead it is of."
    )
    bpe_merges: int = Field(
        3500, ge=0, le=MAX_TOKENS, description="Tokens beside the symbols; published: 3500 to 10000."
    )
    bpe_encoding: Literal["merge-order", "longest-match"] = Field(
        "longest-match",
        description="How tokens are chosen: by the order of merges, or the longest that fits, as published.",
    )
    bpe_merge_ecgs: int = Field(
        4000, ge=1, description="Learn merges from at most so many training ECGs, drawn at random (memory)."
    )
    bpe_geometry: Literal["waveform", "signal2vec"] = Field(
        "waveform",
        description="What new rows of the language model begin from: the wave that each token draws, or vectors of a "
        "skip-gram over the training tokens.",
    )
    signal2vec_dims: int = Field(128, ge=2, description="Dimensions of signal2vec.")
    signal2vec_window: int = Field(12, ge=1, description="Largest distance of two tokens that signal2vec calls near.")
    signal2vec_negatives: int = Field(5, ge=1, description="Random tokens against each near one.")
    signal2vec_epochs: int = Field(10, ge=1, description="Epochs of signal2vec.")
    signal2vec_learning_rate: float = Field(2e-3, gt=0, description="Peak of AdamW's cosine schedule in signal2vec.")

    def check(self) -> None:
        super().check()
        levels = self.bpe_symbols != "wavelet"
        if self.bpe_lead_tokens and not levels:
            raise UserError("BPE_LEAD_TOKENS: blocks of wavelets hold all leads; use it with millivolts or ecg-byte")
        if self.bpe_cross_leads and not levels:
            raise UserError("BPE_CROSS_LEADS: blocks of wavelets hold all leads; use it with millivolts or ecg-byte")
        if self.bpe_cross_leads and self.bpe_lead_tokens:
            raise UserError("BPE_CROSS_LEADS and BPE_LEAD_TOKENS: a lead token would stand inside a token; set one")
        if self.bpe_turn_seconds and self.turn < 1:
            raise UserError(f"BPE_TURN_SECONDS: {self.bpe_turn_seconds:g} s is not a sample at {self.sampling_rate} Hz")
        if self.bpe_symbols == "millivolts":
            symbols, _ = fixed_steps(self.bpe_step_mv, self.bpe_largest_mv, self.bpe_knee_mv)
            if symbols < 3:
                raise UserError("BPE_STEP_MV: one step covers all up to BPE_LARGEST_MV")
        else:
            symbols = self.bpe_levels if levels else 2
        most = MAX_TOKENS - symbols - self.bpe_merges - (len(LEADS) if self.bpe_lead_tokens else 0)
        if most < 0:
            raise UserError(f"BPE_MERGES: {MAX_TOKENS - most} tokens in all, at most {MAX_TOKENS}; lower it")

    @property
    def turn(self) -> int:
        """Samples of a lead before the next lead follows; 0: all."""
        return round(self.bpe_turn_seconds * self.sampling_rate)

    @property
    def rows(self) -> tuple[int, ...]:
        """Leads that levels are written of."""
        independent = self.bpe_symbols == "millivolts" and self.bpe_independent_leads
        return INDEPENDENT if independent else tuple(range(len(LEADS)))
