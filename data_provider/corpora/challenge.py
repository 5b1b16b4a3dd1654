"""Corpora in the layout of the PhysioNet/CinC Challenge 2021 (Reyna et al. 2021): CPSC-2018, Georgia, Chapman, Ningbo.

WFDB records anywhere below the source; comments in their headers give age, sex and SNOMED CT diagnoses.
"""

from pathlib import Path

from cardiolect.data_provider.corpora.prepared import Prepared, split_of_patient
from cardiolect.data_provider.manifest import Record
from cardiolect.data_provider.readers.channels import FileError
from cardiolect.data_provider.readers.formats import find_headers
from cardiolect.data_provider.readers.wfdb_header import MissingSignalsError, MultiSegmentError, read_header, text_lines
from cardiolect.data_provider.texts.background import parse_comments

LICENCE = "CC BY 4.0"
CITATION = "Reyna et al. 2021, https://doi.org/10.13026/34va-7q14"
NAMES = ("cpsc-2018", "cpsc-2018-extra", "georgia", "chapman", "ningbo")


def prepare(source: Path) -> Prepared:
    """Every record below the source; patients are not known, so each record counts as a patient of its own."""
    done = Prepared("Challenge 2021", LICENCE, CITATION)
    seen: set[str] = set()
    for header in find_headers(source):
        try:
            read_header(header)
        except MissingSignalsError:
            done.left_out["headers without a signal file"] += 1
            continue
        except MultiSegmentError:
            done.left_out["multi-segment records"] += 1
            continue
        except (FileError, OSError):  # reading the recording will name what is wrong
            pass
        if header.stem in seen:
            done.left_out["recordings whose name occurs twice"] += 1
            continue
        seen.add(header.stem)
        path = header.with_suffix("").relative_to(source).as_posix()
        done.records.append(Record(header.stem, path, None, split_of_patient(header.stem), None, _background(header)))
    return done


def _background(header: Path) -> str:
    try:
        return parse_comments(text_lines(header))
    except (FileError, OSError):
        return ""
