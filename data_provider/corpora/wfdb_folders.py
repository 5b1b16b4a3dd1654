"""WFDB files in any folders, whose headers may give age and sex: your own recordings, and those of other layouts."""

from collections.abc import Callable
from pathlib import Path

from cardiolect.data_provider.corpora.prepared import Prepared, split_of_patient
from cardiolect.data_provider.manifest import Record
from cardiolect.data_provider.readers.channels import FileError
from cardiolect.data_provider.readers.formats import find_headers
from cardiolect.data_provider.readers.wfdb_header import MissingSignalsError, MultiSegmentError, read_header, text_lines
from cardiolect.data_provider.texts.background import parse_comments

OWN = "own"


def prepare(source: Path) -> Prepared:
    """Every record below the source, called by its path: ``visit1``, ``ward/visit3``. Nothing is known of patients."""
    done = Prepared("", "unknown", "")
    add_records(done, source, lambda path: path)
    return done


def add_records(done: Prepared, source: Path, id_of: Callable[[str], str]) -> None:
    """Add every record below the source; patients are not known, so each record counts as a patient of its own.

    id_of: path below the source, without suffix -> record id; of two records with the same id, the first is taken.
    """
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
        path = header.with_suffix("").relative_to(source).as_posix()
        record_id = id_of(path)
        if record_id in seen:
            done.left_out["recordings whose name occurs twice"] += 1
            continue
        seen.add(record_id)
        done.records.append(Record(record_id, path, None, split_of_patient(record_id), None, _background(header)))


def _background(header: Path) -> str:
    try:
        return parse_comments(text_lines(header))
    except (FileError, OSError):
        return ""
