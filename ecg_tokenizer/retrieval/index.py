"""The index of training recordings: their vectors and texts, without anything that says whose they are.

    index.safetensors   vectors (n, d), mean, scale and limit (d,), patient (n,) and text (n,) as numbers
    index.json          how ECGs are compared, what texts are, the texts, and marks of the recordings and patients

The rows are in the order of their vectors, and patients are numbered in that order, so neither says which recording a
row is. Marks (`data_provider.audit.seen`) are of all recordings together, and of every recording its signal's, too.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from cardiolect.data_provider.audit.fingerprint import Fingerprint
from cardiolect.data_provider.audit.seen import fingerprints_in, has_seen_signal
from cardiolect.data_provider.record import ECGRecord
from cardiolect.ecg_tokenizer.base import Neighbour
from cardiolect.ecg_tokenizer.retrieval.search import Search, closest_rows
from cardiolect.ecg_tokenizer.retrieval.settings import ARRAYS, TEXTS
from cardiolect.utils.errors import UserError

VERSION = 2
# Below this distance, a row is taken for the very recording that is asked about, or for a near copy of it. Among 700
# recordings of PTB-XL's training folds, no two patients are closer than 0.28; most copies that were rounded, or lost
# some samples, are closer than 0.15 (docs/RETRIEVAL.md).
SAME = 0.15
FARTHEST = 4.0  # standard deviations from the mean at which a feature is cut off
_SPARE = 8  # rows whose order float32 arithmetic may have mistaken
_DRAWS = 8  # row numbers that are drawn for each random recording: enough unless most patients must not be retrieved

By = Literal["measured", "ecg-bench", "embedding", "histogram"]
Content = Literal["findings", "report"]
Place = Literal["user", "system"]


@dataclass(frozen=True)
class Retrieval:
    """What is retrieved, and where it stands in a prompt; see the settings of the same names.

    seconds: of longer recordings, the first so many are compared; 0: all.
    """

    by: By
    neighbours: int = 1
    content: Content = "findings"
    place: Place = "user"
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class NeighbourIndex:
    """Training recordings by vector.

    vectors: float32 ``(n, d)``, standardised, so that the Euclidean distance of two is the root mean square of their
    difference in standard deviations. mean, scale: of a vector as it is computed, to standardise it; limit: at which it
    is then cut off. patient: whose row each is, as a number. texts: one per row. marks: of the patients in the index.
    """

    retrieval: Retrieval
    vectors: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    limit: np.ndarray
    patient: np.ndarray
    texts: tuple[str, ...]
    marks: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        retrieval: Retrieval,
        vectors: np.ndarray,
        patients: Sequence[str],
        texts: Sequence[str],
        marks: Collection[str] = (),
        weights: np.ndarray | None = None,
    ) -> tuple[Self, dict[str, int]]:
        """The index, and the number of each patient in it.

        vectors: as they are computed, NaN if not measured. patients: keys, which the index does not keep. weights: of
        features in a distance, with squares that add up to 1; None: all alike.
        """
        if not len(vectors):
            raise UserError("RETRIEVE: no training recording has a text; check NEIGHBOUR_REPORTS and TRAIN_DATA")
        weights = np.full(vectors.shape[1], vectors.shape[1] ** -0.5) if weights is None else weights
        known = np.isfinite(vectors)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, vectors, 0).sum(axis=0, dtype=np.float64) / count
        deviation = np.sqrt((np.where(known, vectors - mean, 0) ** 2).sum(axis=0, dtype=np.float64) / count)
        constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
        scale = np.where(constant, 0.0, weights / np.where(constant, 1.0, deviation))
        mean, scale, weights = (each.astype(np.float32) for each in (mean, scale, weights))
        standard = _standardised(vectors, mean, scale, FARTHEST * weights)
        order = np.lexsort(standard.T[::-1])  # by their vectors
        numbers: dict[str, int] = {}
        patient = np.array([numbers.setdefault(patients[k], len(numbers)) for k in order], np.int32)
        arrays = standard[order], mean, scale, FARTHEST * weights, patient
        return cls(retrieval, *arrays, tuple(texts[k] for k in order), frozenset(marks)), numbers

    def __len__(self) -> int:
        return len(self.vectors)

    def standardised(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors as they are computed ``(m, d)`` -> as the index has them."""
        if vectors.shape[1] != self.vectors.shape[1]:
            raise UserError(
                f"the index of similar recordings has vectors of {self.vectors.shape[1]} features, not "
                f"{vectors.shape[1]}; was it made with another version? Train the checkpoint again"
            )
        return _standardised(vectors, self.mean, self.scale, self.limit)

    def nearest(
        self, vectors: np.ndarray, patients: Sequence[int | None] | None = None, search: Search = "numpy"
    ) -> list[tuple[Neighbour, ...]]:
        """The most similar recordings of each vector, the nearest first: ``retrieval.neighbours``, or fewer if there
        are not so many.

        vectors: ``(m, d)`` as they are computed. patients: the numbers of those whose they are, None if they are not in
        the index. Never of the same patient; nor is a recording that equals the vector, or another of its patient.
        """
        patients = [None] * len(vectors) if patients is None else patients
        found = []
        for query, rows, patient in zip(*self._candidates(vectors, search), patients, strict=True):
            chosen = self._chosen(query, rows, patient)
            if len(chosen) < self.retrieval.neighbours and len(rows) < len(self):  # many rows that equal the vector
                chosen = self._chosen(query, np.arange(len(self)), patient)
            found.append(self._neighbours(query, chosen, patient))
        return found

    def at_random(
        self,
        vectors: np.ndarray,
        keys: Sequence[str],
        patients: Sequence[int | None] | None,
        seed: int,
        search: Search = "numpy",
    ) -> list[tuple[Neighbour, ...]]:
        """As many recordings of other patients, drawn by seed and key, in place of the nearest."""
        patients = [None] * len(keys) if patients is None else patients
        found = []
        for query, rows, key, patient in zip(*self._candidates(vectors, search), keys, patients, strict=True):
            if len(rows) < len(self) and (_distances(self.vectors[rows], query) < SAME).all():
                rows = np.arange(len(self))
            away = self._away(query, rows) | {patient}
            drawn = self._drawn(np.random.default_rng([seed, *key.encode()]), away)
            found.append(self._neighbours(query, drawn, patient))
        return found

    def _drawn(self, rng: np.random.Generator, away: set[int | None]) -> list[int]:
        """Rows of patients who are not ``away``: some row numbers are drawn, or all if too few of them will do."""
        kept: dict[int, None] = {}
        for row in map(int, rng.integers(len(self), size=_DRAWS * self.retrieval.neighbours)):
            if int(self.patient[row]) not in away:
                kept[row] = None
        if len(kept) < self.retrieval.neighbours:
            kept |= {int(row): None for row in rng.permutation(len(self)) if int(self.patient[row]) not in away}
        return [*kept][: self.retrieval.neighbours]

    @cached_property
    def _fingerprints(self) -> list[Fingerprint]:
        return fingerprints_in(self.marks, TEXTS)

    def knows_signal(self, record: ECGRecord) -> bool:
        """Whether a recording is one of the index by its signal, whatever part of its first minute it is."""
        return has_seen_signal(record, self.marks, self._fingerprints)

    def is_known(self, vector: np.ndarray) -> bool:
        """Whether a recording is one of the index, or a near copy, by its vector ``(d,)`` as it is computed."""
        return bool(self._away(self.standardised(vector[None])[0], np.arange(len(self))))

    def _candidates(self, vectors: np.ndarray, search: Search) -> tuple[np.ndarray, np.ndarray]:
        """Vectors as the index has them, and for each the rows that are closest, more than are asked for."""
        queries = self.standardised(vectors)
        count = min(len(self), self.retrieval.neighbours + 2 * self._most_of_a_patient + _SPARE)
        return queries, closest_rows(self.vectors, queries, count, search)

    @cached_property
    def _most_of_a_patient(self) -> int:
        return int(np.bincount(self.patient).max())

    def _away(self, query: np.ndarray, rows: np.ndarray) -> set[int]:
        """The patients of those of the rows that are the query itself, none of whom must be retrieved."""
        return {int(number) for number in self.patient[rows[_distances(self.vectors[rows], query) < SAME]]}

    def _chosen(self, query: np.ndarray, rows: np.ndarray, patient: int | None) -> list[int]:
        away = self._away(query, rows) | {patient}
        order = np.lexsort((rows, _distances(self.vectors[rows], query)))
        return [int(row) for row in rows[order] if int(self.patient[row]) not in away][: self.retrieval.neighbours]

    def _neighbours(self, query: np.ndarray, rows: Sequence[int], patient: int | None) -> tuple[Neighbour, ...]:
        if patient in {int(number) for number in self.patient[list(rows)]}:
            raise RuntimeError("a recording of the same patient was retrieved")
        distances = _distances(self.vectors[list(rows)], query)
        return tuple(Neighbour(self.texts[row], round(float(d), 3)) for row, d in zip(rows, distances, strict=True))

    def save_pretrained(self, folder: Path | str) -> None:
        """Write the index into its own folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        texts = list(dict.fromkeys(self.texts))
        number = {text: k for k, text in enumerate(texts)}
        arrays = {
            "vectors": self.vectors,
            "mean": self.mean,
            "scale": self.scale,
            "limit": self.limit,
            "patient": self.patient,
            "text": np.array([number[text] for text in self.texts], np.int32),
        }
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / ARRAYS)
        written = {
            "version": VERSION,
            **asdict(self.retrieval),
            "recordings": len(self),
            "patients": len(np.unique(self.patient)),
            "marks": sorted(self.marks),
            "texts": texts,
        }
        (folder / TEXTS).write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> Self:
        """Load a saved index. Raises `UserError` if it is missing, damaged or of another version."""
        folder = Path(folder)
        try:
            written = json.loads((folder / TEXTS).read_text(encoding="utf-8"))
            if written["version"] != VERSION:
                other = f"of version {written['version']}, this is version {VERSION}"
                raise UserError(f"{folder}: {other}; train the model again")
            arrays = load_file(folder / ARRAYS)
            retrieval = Retrieval(**{name: written[name] for name in Retrieval.__dataclass_fields__})
            texts = tuple(written["texts"][k] for k in arrays["text"])
            names = ("vectors", "mean", "scale", "limit", "patient")
            found = cls(retrieval, *(arrays[name] for name in names), texts, frozenset(written["marks"]))
            rows, width = found.vectors.shape
            parts = (found.mean, found.scale, found.limit, found.patient, texts)
            if [len(part) for part in parts] != [width, width, width, rows, rows]:
                raise ValueError("its parts do not fit one another")
        except (OSError, ValueError, KeyError, IndexError, TypeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:120]
            raise UserError(
                f"{folder}: the index of similar recordings is missing or damaged ({reason}); copy the whole checkpoint"
            ) from None
        return found


def _standardised(vectors: np.ndarray, mean: np.ndarray, scale: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """What could not be measured becomes the mean, and outliers are cut off."""
    return np.nan_to_num(np.clip((vectors.astype(np.float32) - mean) * scale, -limit, limit), nan=0.0)


def _distances(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    return np.sqrt(((rows.astype(np.float64) - query) ** 2).sum(axis=1))
