"""Settings for the location of recordings and texts, and for their splits."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr

from cardiolect.data_provider.corpora.databases import is_manifest
from cardiolect.data_provider.corpora.ptbxl_database import parse_folds
from cardiolect.utils.errors import UserError
from cardiolect.utils.settings import EnvSettings, Numbers, Paths, need_path

MAX_WEIGHT = 100
LEAST_RECORD_SECONDS = 1.0


class DataSettings(EnvSettings):
    """Location of the data. Splits come from separate JSON files (``*_DATA``), from folds (``*_FOLDS``), or both."""

    data_root: Paths = Field(
        min_length=1,
        description="Folder that record paths are relative to (PTB-XL, MIMIC-IV-ECG, simulator), or the manifests "
        "of one or several prepared corpora, which are then mixed.",
    )
    corpus_weights: Numbers = Field(
        default_factory=list,
        description="How often a training epoch contains each corpus of DATA_ROOT, in order: 2 is twice, 0.5 another "
        "half in every epoch. Empty: once each. Does not affect validation and evaluation.",
    )
    train_data: Paths = Field(
        default_factory=list,
        description="JSON files or folders with questions or reports to train on. Empty: those of the manifest, or "
        "every recording of DATA_ROOT/ptbxl_database.csv (tokenizer and pretraining only).",
    )
    valid_data: Paths = Field(default_factory=list, description="The same for validation.")
    test_data: Paths = Field(default_factory=list, description="The same for evaluation.")
    train_folds: str = Field("", description="Keep only these PTB-XL folds for training, e.g. 1-7.")
    valid_folds: str = Field("", description="The same for validation.")
    test_folds: str = Field("", description="The same for evaluation.")
    held_out: Paths = Field(
        default_factory=list,
        description="Recordings that no stage of an experiment may train on: JSON files of questions or reports, "
        "ECG-QA's test_ecgs.tsv, or folders of prepared corpora (their test split). Training and validation leave out "
        "all recordings of these patients, and training those of the patients that validate.",
    )
    max_train: int = Field(0, ge=0, description="Use at most this many recordings of each corpus for training; 0: all.")
    max_valid: int = Field(
        500, ge=0, description="Use at most this many recordings of each corpus for validation; 0: all."
    )
    allow_missing: bool = Field(False, description="Skip texts whose recording is not on disk, instead of stopping.")
    max_bad_records: float = Field(
        0.01, ge=0, le=1, description="Stop when more than this share of the recordings cannot be read."
    )
    lead_law: Literal["error", "warn"] = Field(
        "error",
        description="error: recordings whose limb leads contradict Einthoven's law (mislabelled, exchanged, inverted) "
        "count as unreadable; warn: they are used and counted.",
    )
    cache_dir: Path = Field(Path("data/cache"), description="Folder of the caches of items, signals and examples.")
    workers: int = Field(
        2, ge=0, description="Processes per rank that read recordings, and build batches; 0: each rank does so itself."
    )

    _held_out: Any = PrivateAttr(None)  # what `splits.held_out` has found, for the next that asks

    def check(self) -> None:
        super().check()
        self.check_data()

    def check_data(self) -> None:
        """Raise `UserError` unless recordings and texts are where the settings say, and their use makes sense."""
        for root in self.data_root:
            need_path("DATA_ROOT", root, "the folder of the recordings (see docs/DATA.md for how to get them)")
        existing = next((folder for folder in (self.cache_dir, *self.cache_dir.parents) if folder.exists()), None)
        if existing is not None and not existing.is_dir():
            raise UserError(f"CACHE_DIR: {existing} is a file; give a folder")
        if len(self.data_root) > 1:
            self._check_mixture()
        if self.corpus_weights and len(self.corpus_weights) != len(self.data_root):
            raise UserError(f"CORPUS_WEIGHTS: {len(self.corpus_weights)} numbers for {len(self.data_root)} corpora")
        if not all(0 <= weight <= MAX_WEIGHT for weight in self.corpus_weights):
            raise UserError(f"CORPUS_WEIGHTS: give numbers from 0 to {MAX_WEIGHT}")
        if self.corpus_weights and not any(self.corpus_weights):
            raise UserError("CORPUS_WEIGHTS: all are 0; at least one must be positive")
        for path in self.held_out:
            need_path("HELD_OUT", path, "questions or reports about recordings to hold out of training")
        for split in ("train", "valid", "test"):
            for path in getattr(self, f"{split}_data"):
                need_path(f"{split.upper()}_DATA", path, "a JSON file or folder with questions or reports")
            try:
                parse_folds(getattr(self, f"{split}_folds"))
            except UserError as error:
                raise UserError(f"{split.upper()}_FOLDS: {error}") from None

    @property
    def prepared(self) -> bool:
        """Whether all corpora are prepared, so that manifests list their recordings and texts."""
        return all(is_manifest(root) for root in self.data_root)

    def _check_mixture(self) -> None:
        for root in self.data_root:
            if not is_manifest(root):
                raise UserError(
                    f"DATA_ROOT: {root} is not a prepared corpus; only manifests can be mixed: "
                    "cardiolect prepare NAME --source DIR --out DIR"
                )
        for split in ("train", "valid", "test"):
            for key in ("data", "folds"):
                if getattr(self, f"{split}_{key}"):
                    raise UserError(
                        f"{split.upper()}_{key.upper()} needs a single DATA_ROOT; in a mixture the manifests define "
                        "recordings, texts and splits (cardiolect prepare --texts)"
                    )


def check_record_seconds(seconds: float | None) -> None:
    """Raise `UserError` if RECORD_SECONDS is shorter than a beat or two; 0 stands for whole recordings."""
    if seconds and seconds < LEAST_RECORD_SECONDS:
        raise UserError(f"RECORD_SECONDS: give at least {LEAST_RECORD_SECONDS:g} s, or 0 for whole recordings")
