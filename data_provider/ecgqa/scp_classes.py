"""PTB-XL's five diagnostic superclasses, from the diagnostic statements of its ``scp_statements.csv``."""

import ast
import csv
from pathlib import Path

from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME
from cardiolect.utils.errors import UserError

_STATEMENTS = {
    "NORM": "NORM",
    "MI": "ALMI AMI ASMI ILMI IMI INJAL INJAS INJIL INJIN INJLA IPLMI IPMI LMI PMI",
    "STTC": "ANEUR DIG EL ISCAL ISCAN ISCAS ISCIL ISCIN ISCLA ISC_ LNGQT NDT NST_",
    "CD": "1AVB 2AVB 3AVB CLBBB CRBBB ILBBB IRBBB IVCD LAFB LPFB WPW",
    "HYP": "LAO/LAE LVH RAO/RAE RVH SEHYP",
}
SUPERCLASSES = tuple(_STATEMENTS)
SUPERCLASS_OF = {code: name for name, codes in _STATEMENTS.items() for code in codes.split()}


def load_superclasses(root: Path) -> dict[str, frozenset[str]]:
    """ecg_id -> superclasses, any likelihood, as PTB-XL's benchmark takes them (Strodthoff et al. 2021, JBHI 25:1519).

    Records without a diagnostic statement have none and are left out of the benchmark. Raises `UserError` on a database
    without the column ``scp_codes`` or with a cell that is no dictionary.
    """
    path, labels = root / DATABASE_NAME, {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if "scp_codes" not in (reader.fieldnames or []):
            raise UserError(f"{path}: no column scp_codes; take the file as PTB-XL ships it")
        for row in reader:
            try:
                codes = set(ast.literal_eval(row["scp_codes"]))
            except (ValueError, SyntaxError, TypeError):
                raise UserError(f"{path}: line {reader.line_num}: scp_codes is no dictionary") from None
            labels[str(int(float(row["ecg_id"])))] = frozenset(SUPERCLASS_OF[c] for c in codes if c in SUPERCLASS_OF)
    return labels
