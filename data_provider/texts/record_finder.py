"""Finds the recording of a question, and its patient."""

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from cardiolect.data_provider.corpora.databases import MIMIC
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers.formats import is_on_disk, record_path
from cardiolect.data_provider.texts.background import parse_background
from cardiolect.utils.errors import UserError

MAX_ECGS = 2  # a comparison
_MIMIC_PATH = re.compile(r"(?:^|/)(p\d{4}/p(\d+)/s\d+/\d+)$")
_PTBXL_PATH = re.compile(r"(?:^|/)(records\d+/\d+/0*(\d+)_[hl]r)$")
_PATIENT = re.compile(r"Patient ID:\s*(\d+)")


def posix_path(text: str) -> str:
    """A path from a JSON file with slashes, whatever system wrote it."""
    return text.strip().replace("\\", "/")


class RecordFinder:
    """Resolves each recording once and counts those that are absent.

    root: the folder that paths are relative to. database: PTB-XL's references by ecg_id, or None. on_disk: a recording
    without a file is missing.
    """

    def __init__(self, root: Path, database: dict[str, RecordRef] | None, on_disk: bool = True):
        self._root = root
        self._is_there = _exists if on_disk else lambda path: True
        self._database = database
        self._found: dict[tuple[str, str | None], RecordRef | None] = {}
        self._known: dict[str, RecordRef] = {}  # by id, with everything that any item contains about it
        self.first_missing = ""

    @property
    def n_records(self) -> int:
        return len(self._ids())

    @property
    def n_missing(self) -> int:
        # One file may name a recording by path and another only by ecg_id; either may lead to it.
        return len(self._ids() - {ecg_id for (ecg_id, _), ref in self._found.items() if ref is not None})

    @property
    def missing(self) -> list[tuple[str, str | None]]:
        """The ecg_ids and paths that led to no recording."""
        return [key for key, ref in self._found.items() if ref is None]

    def _ids(self) -> set[str]:
        return {ecg_id for ecg_id, _ in self._found}

    @staticmethod
    def mimic_patient(path: str) -> str | None:
        """The subject number in a MIMIC-IV-ECG path ("p1330/p13304059/s44418529/44418529"); None in other paths."""
        match = _MIMIC_PATH.search(path)
        return match[2] if match else None

    def find(self, ecg_id: str, path: str | None, background: str, patient_id: object) -> RecordRef | None:
        """The reference, or None if the recording is missing.

        path: as in the JSON, None to look up ``ecg_id`` in the database. background and patient_id, as in the JSON,
        identify the patient if neither path nor database does. Raises `UserError` if there is neither path nor
        database, or an id leads to two recordings.
        """
        key = (ecg_id, path)
        if key not in self._found:
            self._found[key] = self._resolve(ecg_id, path, background, patient_id)
        ref = self._found[key]
        if ref is not None:
            self._remember(ref, path, background, patient_id)
        return ref

    def settled(self, ref: RecordRef) -> RecordRef:
        """``ref`` completed with what later items contain about its patient."""
        return self._known[ref.record_id]

    def _remember(self, ref: RecordRef, path: str | None, background: str, patient_id: object) -> None:
        known = self._known.setdefault(ref.record_id, ref)
        if known.path != ref.path:
            raise UserError(f"ecg_id {ref.record_id} is {known.path.name} and, elsewhere, {ref.path.name}; name one")
        if known.patient_id and known.background:
            return
        patient = known.patient_id or self._patient(path or "", background, patient_id)
        self._known[ref.record_id] = replace(
            known, patient_id=patient, background=known.background or parse_background(background)
        )

    def _resolve(self, ecg_id: str, path: str | None, background: str, patient_id: object) -> RecordRef | None:
        path = record_path(path) if path else None
        ptbxl = _PTBXL_PATH.search(path) if path else None
        candidates: list[Path] = []
        known = self._database.get(ecg_id) if self._database is not None else None
        if known is not None and (path is None or _same_recording(path, known)):
            if self._is_there(known.path):
                return known
            candidates = [known.path]
        elif path is None and self._database is None:
            raise UserError(
                "has no ecg_path; put ptbxl_database.csv into DATA_ROOT, or prepare the corpus (cardiolect prepare)"
            )
        if path is not None:
            candidates += self._candidates(path, ptbxl)
        for candidate in candidates:
            if self._is_there(candidate):
                patient = self._patient(path, background, patient_id)
                database = MIMIC if self.mimic_patient(path) else ""
                return RecordRef(ecg_id, candidate, patient, background=parse_background(background), database=database)
        if not self.first_missing:
            # Only the name: the folders in MIMIC-IV-ECG's paths contain patient ids.
            self.first_missing = candidates[0].name if candidates else f"ecg_id {ecg_id}"
        return None

    def _candidates(self, path: str, ptbxl: re.Match | None) -> list[Path]:
        """The path below root and root/files; for an absolute path from elsewhere, the part that its corpus defines."""
        tail = ptbxl or _MIMIC_PATH.search(path)
        places = [self._root / path]  # an absolute path stays as it is
        if tail:
            places += [self._root / tail[1], self._root / "files" / tail[1]]
        elif not PurePosixPath(path).is_absolute():
            places.append(self._root / "files" / path)
        return places

    def _patient(self, path: str, background: str, patient_id: object) -> str | None:
        from_path = self.mimic_patient(path)
        if from_path:
            return from_path
        try:
            return str(int(float(patient_id)))
        except (TypeError, ValueError, OverflowError):
            match = _PATIENT.search(background)
            return match[1] if match else None


def _exists(path: Path) -> bool:
    try:
        return is_on_disk(path)
    except (OSError, ValueError):  # a name that no file can have, too long or with a null byte
        return False


def _same_recording(path: str, known: RecordRef) -> bool:
    """Whether a path ends in the name of the database's recording with this id, in PTB-XL at either sampling rate.

    By the id alone, exam 77 of CODE-15 would be recording 77 of PTB-XL.
    """
    names = (PurePosixPath(path).name, known.path.name.rpartition("#")[2])
    return len({re.sub(r"_[hl]r$", "", name) for name in names}) == 1
