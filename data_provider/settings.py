"""Settings that say where recordings and texts lie and how they are split."""

from pathlib import Path

from pydantic import Field

from data_provider.ptbxl import parse_folds
from utils.errors import UserError
from utils.settings import EnvSettings, Paths, need_path


class DataSettings(EnvSettings):
    """Where the data lies. Splits come from separate JSON files (``*_DATA``), from folds (``*_FOLDS``), or both."""

    data_root: Path = Field(description="Folder that record paths are relative to (PTB-XL, MIMIC-IV-ECG, simulator).")
    train_data: Paths = Field(
        default_factory=list,
        description="JSON files or folders with questions or reports to train on. Empty: every recording of "
        "DATA_ROOT/ptbxl_database.csv (tokenizer and pretraining only).",
    )
    valid_data: Paths = Field(default_factory=list, description="The same for validation.")
    test_data: Paths = Field(default_factory=list, description="The same for evaluation.")
    train_folds: str = Field("", description="Keep only these PTB-XL folds for training, e.g. 1-7.")
    valid_folds: str = Field("", description="The same for validation.")
    test_folds: str = Field("", description="The same for evaluation.")
    max_train: int = Field(0, ge=0, description="Use at most so many recordings for training; 0: all.")
    max_valid: int = Field(500, ge=0, description="Use at most so many recordings for validation; 0: all.")
    allow_missing: bool = Field(False, description="Skip texts whose recording is not on disk instead of stopping.")
    max_bad_records: float = Field(
        0.01, ge=0, le=1, description="Stop when more than this share of the recordings cannot be read."
    )
    cache_dir: Path = Field(Path("data/cache"), description="Folder of the code cache and the signal cache.")
    workers: int = Field(2, ge=0, description="Processes of each rank that read recordings; 0: none but itself.")

    def check(self) -> None:
        super().check()
        need_path("DATA_ROOT", self.data_root, "the folder of the recordings (docs/DATA.md says how to get them)")
        for split in ("train", "valid", "test"):
            for path in getattr(self, f"{split}_data"):
                need_path(f"{split.upper()}_DATA", path, "a JSON file or folder with questions or reports")
            try:
                parse_folds(getattr(self, f"{split}_folds"))
            except UserError as error:
                raise UserError(f"{split.upper()}_FOLDS: {error}") from None
