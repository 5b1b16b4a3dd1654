"""The result of preparing a corpus, and the splits of a corpus without official ones."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cardiolect.data_provider.manifest import Record, Text
from cardiolect.utils.errors import UserError

TEST_PERCENT, VALID_PERCENT = 10, 10


@dataclass
class Prepared:
    """Rows of a manifest. left_out: reason -> count; bundled: text files that are part of the corpus."""

    version: str
    licence: str
    citation: str
    records: list[Record] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    bundled: list[Path] = field(default_factory=list)


def split_of_patient(patient_id: str) -> str:
    """The split of a patient by a hash of the id: 80 % train, 10 % valid, 10 % test, always the same."""
    percent = int(hashlib.sha256(patient_id.encode()).hexdigest()[:8], 16) % 100
    if percent < TEST_PERCENT:
        return "test"
    return "valid" if percent < TEST_PERCENT + VALID_PERCENT else "train"


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """A CSV file of a corpus, every cell as text. Raises `UserError` if it or one of ``columns`` is missing."""
    try:
        table = pd.read_csv(path, dtype=str)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; --source is the folder of the corpus as it was downloaded") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({str(error)[:80]})") from None
    if missing := [column for column in columns if column not in table.columns]:
        raise UserError(f"{path}: no column {missing[0]}; use the file as it was published")
    return table
