"""The truth file of a corpus on disk, row by row, against the file's plan and what the simulator draws."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path
from typing import Any

from cardiolect.data_provider.corpora.databases import MADE
from cardiolect.data_provider.corpora.simulated_folder import TRUTH
from cardiolect.data_provider.ecgqa.findings import NOISES
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator.corpus import VARIED_VERSION, VERSION
from cardiolect.data_provider.simulator.draw import draw_truth
from cardiolect.data_provider.simulator.patients import RECORD_STREAM, draw_patient, plan_patients, stream
from cardiolect.data_provider.simulator.plausibility import ImplausibleError
from cardiolect.data_provider.simulator.ptbxl_tables import database_row, filename_hr, measurements_row
from cardiolect.data_provider.simulator.truth import Truth
from cardiolect.data_provider.simulator.varied.render import clean_varied
from cardiolect.data_provider.simulator.varied.truth import VariedTruth
from cardiolect.utils.errors import UserError

TOLERANCE = 0.002  # of numbers, which are rounded to 0.001 at least in part


@dataclass
class Stored:
    """A corpus as it is on disk.

    truths: record_id -> its truth, for rows that are one. faults: record_id -> what is wrong with it; 0 for what
    belongs to no record. redrawn: whether rows were compared with what the simulator draws.
    """

    folder: Path
    records: int
    seed: int
    varied: bool
    redrawn: bool
    truths: dict[int, Truth] = field(default_factory=dict)
    faults: dict[int, list[str]] = field(default_factory=dict)

    def blame(self, record: int, *words: str) -> None:
        if words:
            self.faults.setdefault(record, []).extend(words)


def read_stored(folder: Path) -> Stored:
    """Read the truth file and find rows that are missing, too many, contradictory or not what the simulator draws.

    Raises `UserError` if ``folder`` has no readable corpus.json or truth file.
    """
    settings = json_file(folder / MADE)
    try:
        records, seed = int(settings["records"]), int(settings["seed"])
        varied = "varied" in settings
        versions = settings["simulator_version"], settings.get("varied", VARIED_VERSION)
        if not 1 <= records <= 99999 or seed < 0:
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"{folder / MADE}: is damaged; give a corpus made by cardiolect simulate") from None
    stored = Stored(folder, records, seed, varied, versions == (VERSION, VARIED_VERSION))
    owner, folds = plan_patients(seed, records)
    rows = _rows(stored)
    for record, row in rows.items():
        if stored.redrawn and 1 <= record <= records:
            drawn = _draw(stored, record - 1, int(owner[record - 1]), int(folds[owner[record - 1]])).to_json()
            stored.blame(record, *_differences(_comparable(row, varied), _comparable(drawn, varied)))
        _judge(stored, record, row)
    for record in range(1, records + 1):
        if record not in rows:
            stored.blame(record, f"no row in {TRUTH}")
    for record in {*_signal_ids(folder)} - rows.keys():
        if record > records:
            stored.blame(record, f"a signal without a row in {TRUTH}")
    return stored


def json_file(path: Path) -> Any:
    """The content of a JSON file of the corpus. Raises `UserError` if it cannot be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); give a corpus made by cardiolect simulate") from None


def _rows(stored: Stored) -> dict[int, dict[str, Any]]:
    """record_id -> row; lines that are none are faults of the corpus, repeated ones of their record."""
    path = stored.folder / TRUTH
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); give a corpus made by cardiolect simulate") from None
    rows: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            record = row["record_id"]
        except (ValueError, TypeError, KeyError):
            record = None
        if type(record) is not int:
            stored.blame(0, f"{TRUTH}, line {number}: no JSON object with a record_id")
        elif record in rows:
            stored.blame(record, f"{TRUTH} has it again in line {number}")
        else:
            rows[record] = row
            if not 1 <= record <= stored.records:
                stored.blame(record, f"{TRUTH}, line {number}: the corpus has records 1 to {stored.records}")
    return rows


def _draw(stored: Stored, index: int, owner: int, fold: int) -> Truth:
    patient = draw_patient(stored.seed, owner, fold)
    if stored.varied:
        return clean_varied(stored.seed, index, patient)[0]
    return draw_truth(stream(stored.seed, RECORD_STREAM, index), patient, index + 1)


def _judge(stored: Stored, record: int, row: dict[str, Any]) -> None:
    """Make the row a truth, unless it is none or contradicts itself, and compare its findings with it."""
    try:
        truth = (VariedTruth if stored.varied else Truth).from_json(row)
        derived = truth.findings
        database_row(truth), measurements_row(truth)
        if unknown := {lead for leads in truth.noise.values() for lead in leads} - {*LEADS}:
            raise KeyError(*unknown)
    except ImplausibleError as error:
        stored.blame(record, str(error).removeprefix(f"record {record}: "))
        return
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        stored.blame(record, f"is not the truth of a recording ({error!r})")
        return
    stored.truths[record] = truth
    stated = row.get("findings")
    stated = stated if isinstance(stated, list) else []
    stored.blame(record, *(f"does not state {name}" for name in derived if name not in stated))
    stored.blame(record, *(f"states {name}, which does not follow" for name in stated if name not in derived))


def _comparable(row: dict[str, Any], varied: bool) -> dict[str, Any]:
    """A row without its findings, which follow from the rest, and in varied corpora without noise.

    Real noise is not at hand to be drawn again; it is measured on the signals.
    """
    kept = {key: value for key, value in row.items() if key not in ({"findings", "noise"} if varied else {"findings"})}
    if isinstance(kept.get("open"), (list, tuple)):
        kept["open"] = [name for name in kept["open"] if name not in NOISES]
    return kept


def _differences(row: dict[str, Any], drawn: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """What a row says unlike the drawn one."""
    for key in sorted({*row, *drawn}):
        ours, theirs = row.get(key), drawn.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            yield from _differences(ours, theirs, f"{prefix}{key}: ")
        elif not _equal(ours, theirs):
            yield f"{prefix}{key} is {ours}, but the simulator draws {theirs}"


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return [*one] == [*other]
    if type(one) in (int, float) and type(other) in (int, float):
        return isclose(one, other, rel_tol=1e-6, abs_tol=TOLERANCE)
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _signal_ids(folder: Path) -> Iterator[int]:
    for path in folder.glob(f"{Path(filename_hr(0)).parts[0]}/*/*_hr.hea"):
        if path.name[:-7].isdigit():
            yield int(path.name[:-7])
