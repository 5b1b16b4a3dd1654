"""Corpora in the layout of the PhysioNet/CinC Challenge 2021 (Reyna et al. 2021): CPSC-2018, Georgia, Chapman, Ningbo.

WFDB records anywhere below the source; comments in their headers give age, sex and SNOMED CT diagnoses.
"""

import re
from pathlib import Path

from cardiolect.data_provider.corpora.prepared import Prepared, split_of_patient
from cardiolect.data_provider.manifest import Record
from cardiolect.data_provider.readers.formats import files_of, find_headers
from cardiolect.data_provider.texts.background import describe_patient

LICENCE = "CC BY 4.0"
CITATION = "Reyna et al. 2021, https://doi.org/10.13026/34va-7q14"
NAMES = ("cpsc-2018", "cpsc-2018-extra", "georgia", "chapman", "ningbo")
_COMMENT = re.compile(r"^#\s*(age|sex)\s*:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


def prepare(source: Path) -> Prepared:
    """Every record below the source; patients are not known, so each record counts as a patient of its own."""
    done = Prepared("Challenge 2021", LICENCE, CITATION)
    seen: set[str] = set()
    for header in find_headers(source):
        if len(files_of(header.with_suffix(""))) < 2:
            done.left_out["headers without a signal file"] += 1
            continue
        if header.stem in seen:
            done.left_out["recordings whose name occurs twice"] += 1
            continue
        seen.add(header.stem)
        comments = {key.lower(): value for key, value in _COMMENT.findall(header.read_text(errors="replace"))}
        background = describe_patient(comments.get("age", ""), comments.get("sex", ""))
        path = header.with_suffix("").relative_to(source).as_posix()
        done.records.append(Record(header.stem, path, None, split_of_patient(header.stem), None, background))
    return done
