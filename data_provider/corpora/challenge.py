"""Corpora in the layout of the PhysioNet/CinC Challenge 2021 (Reyna et al. 2021): CPSC-2018, Georgia, Chapman, Ningbo.

WFDB records anywhere below the source, each of a name of its own; comments in their headers give age, sex and SNOMED CT
diagnoses.
"""

from pathlib import Path, PurePosixPath

from cardiolect.data_provider.corpora.prepared import Prepared
from cardiolect.data_provider.corpora.wfdb_folders import add_records

LICENCE = "CC BY 4.0"
CITATION = "Reyna et al. 2021, https://doi.org/10.13026/34va-7q14"
NAMES = ("cpsc-2018", "cpsc-2018-extra", "georgia", "chapman", "ningbo")


def prepare(source: Path) -> Prepared:
    """Every record below the source; patients are not known, so each record counts as a patient of its own."""
    done = Prepared("Challenge 2021", LICENCE, CITATION)
    add_records(done, source, lambda path: PurePosixPath(path).name)
    return done
