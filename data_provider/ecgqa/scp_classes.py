"""The diagnostic superclasses of PTB-XL's recordings, from its labels."""

import ast
import csv
from pathlib import Path

from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME
from cardiolect.utils.errors import UserError
from cardiolect.utils.scp_codes import SUPERCLASS_OF


def load_superclasses(root: Path) -> dict[str, frozenset[str]]:
    """ecg_id -> superclasses, whatever their likelihood, as in PTB-XL's benchmark (Strodthoff et al. 2021, JBHI
    25:1519).

    Records without a diagnostic statement have none; the benchmark excludes them. Raises `UserError` if the database
    has no column ``scp_codes`` or a cell of it is not a dictionary.
    """
    path, labels = root / DATABASE_NAME, {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if "scp_codes" not in (reader.fieldnames or []):
            raise UserError(f"{path}: no column scp_codes; use the file as PTB-XL publishes it")
        for row in reader:
            try:
                codes = set(ast.literal_eval(row["scp_codes"]))
            except (ValueError, SyntaxError, TypeError):
                raise UserError(f"{path}: line {reader.line_num}: scp_codes is not a dictionary") from None
            labels[str(int(float(row["ecg_id"])))] = frozenset(SUPERCLASS_OF[c] for c in codes if c in SUPERCLASS_OF)
    return labels
