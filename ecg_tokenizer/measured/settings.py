"""Stage 1 settings of ``REPRESENTATION=measured``."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from cardiolect.data_provider.settings import DataSettings
from cardiolect.utils.settings import need_path


class MeasuredSettings(DataSettings):
    """Settings of ``REPRESENTATION=measured``."""

    representation: Literal["measured"] = Field(
        "measured", description="Codes of a tokenizer, followed by what is measured on the ECG, one token a value."
    )
    tokenizer_path: Path | None = Field(None, description="Folder of the ECG tokenizer whose codes are used.")

    def check(self) -> None:
        super().check()
        need_path("TOKENIZER_PATH", self.tokenizer_path, "an ECG tokenizer (REPRESENTATION=codes)")
