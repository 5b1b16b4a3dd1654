"""Stage 1 settings of ``REPRESENTATION=patches``."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from cardiolect.data_provider.settings import DataSettings
from cardiolect.utils.errors import UserError


@dataclass(frozen=True)
class PatchConfig:
    """Determines the rows of an ECG; stored as ``config.json``.

    patch: samples per patch; with "base" those of the whole ECG: longer ones are cut, shorter ones padded with 0.
    scaling: "millivolts", or "minmax": 0 to 1 over the twelve leads of each ECG, as published, which loses voltages.
    """

    mode: Literal["base", "patch", "conv"] = "patch"
    sampling_rate: int = 250
    patch: int = 25
    scaling: Literal["millivolts", "minmax"] = "millivolts"


class PatchSettings(DataSettings):
    """Settings of ``REPRESENTATION=patches``."""

    representation: Literal["patches"] = Field("patches", description="Patches of samples, without an encoder (ELF).")
    patch_mode: Literal["base", "patch", "conv"] = Field(
        "patch",
        description="base: one row for the whole ECG; patch: one per PATCH_MS; conv: the same after convolutions.",
    )
    patch_ms: float = Field(100, gt=0, description="Milliseconds of ECG, all 12 leads, per row (patch, conv).")
    patch_seconds: float = Field(
        10.0, gt=0, description="base: seconds of ECG in the row; longer ECGs are cut, shorter ones padded."
    )
    patch_scaling: Literal["millivolts", "minmax"] = Field(
        "millivolts", description="minmax: 0 to 1 over all leads of each ECG, as published, which loses voltages."
    )
    sampling_rate: int = Field(250, ge=50, description="Sampling rate in Hz; input is resampled.")

    def config(self) -> PatchConfig:
        """The patches described by these settings."""
        seconds = self.patch_seconds if self.patch_mode == "base" else self.patch_ms / 1000
        samples = round(seconds * self.sampling_rate)
        return PatchConfig(self.patch_mode, self.sampling_rate, samples, self.patch_scaling)

    def check(self) -> None:
        super().check()
        exact = self.patch_ms * self.sampling_rate / 1000
        if self.patch_mode != "base" and (exact < 1 or abs(exact - round(exact)) > 1e-6):
            raise UserError(
                f"PATCH_MS: {self.patch_ms:g} ms is {exact:g} samples at SAMPLING_RATE {self.sampling_rate} Hz; "
                "choose a whole number of samples"
            )
