"""The statements of each recording of a corpus: sentences of reports, PTB-XL's SCP codes, MIMIC-IV-ECG's columns."""

import ast
import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from cardiolect.data_provider.corpora.databases import is_manifest
from cardiolect.data_provider.corpora.mimic import MEASUREMENTS, read_statements
from cardiolect.data_provider.corpora.prepared import split_of_patient
from cardiolect.data_provider.corpora.ptbxl import TRANSLATED
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, load_database
from cardiolect.data_provider.ecgqa.scp_statements import NAMES, Standing, standing
from cardiolect.data_provider.examples import REPORT_TASK
from cardiolect.data_provider.manifest import load_corpus, load_records, load_texts
from cardiolect.data_provider.texts.describe.statements import Finding, read_statement
from cardiolect.data_provider.texts.english_phrases import PHRASES
from cardiolect.data_provider.texts.english_reports import render
from cardiolect.data_provider.texts.identifiers import mask_identifiers, may_identify
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.normalised_match import split_at_stops
from cardiolect.utils.metrics.statements.cues import EXCEPT
from cardiolect.utils.scp_codes import SCP_CODES

Sources = Literal["reports", "codes", "both"]
SPLITS = ("train", "valid", "test")
IDENTIFYING = "statements that may have a name, a date or a number of a patient"
_NOTE = re.compile(r"\bedit:.*", re.IGNORECASE | re.DOTALL)  # PTB-XL's annotators wrote the codes here
_AROUND = " .,:;*-_~\t"
# Codes that their phrase for reports does not say exactly: an infarct need not be acute, an injury is subendocardial.
_AS_NAMED = frozenset({"AMI", "NST_", "LVOLT", "INJAS", "INJAL", "INJIN", "INJIL", "INJLA"})


@dataclass(frozen=True)
class RecordStatements:
    """split: "train", "valid", "test" or "". background: as `background.describe_patient` writes it."""

    record_id: str
    split: str
    background: str
    statements: tuple[str, ...]


@dataclass
class StatementCorpus:
    """left_out: reason -> count."""

    records: list[RecordStatements] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def load_statements(source: Path, sources: Sources = "both") -> StatementCorpus:
    """The statements of a manifest, of a folder in the layout of PTB-XL or MIMIC-IV-ECG, or of lines of text.

    source: a folder, or a file with a statement in each line, which are of no recording. sources: what to take of a
    corpus with SCP codes; others have reports only. Statements that `may_identify` a patient are left out. Raises
    `UserError` if there is nothing to read.
    """
    corpus = StatementCorpus()
    if source.is_file():
        try:
            lines = source.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{source}: cannot be read as UTF-8 text ({error})") from None
        corpus.records = [RecordStatements("", "", "", (text,)) for line in lines if (text := line.strip(_AROUND))]
    elif is_manifest(source):
        corpus.records = list(_of_manifest(source, sources, corpus.left_out))
    elif (source / DATABASE_NAME).is_file():
        corpus.records = list(_of_ptbxl(source, sources, corpus.left_out))
    elif (source / MEASUREMENTS).is_file():
        corpus.records = [
            RecordStatements(study, split_of_patient(subject) if subject else "", "", tuple(map(_bare, statements)))
            for study, (subject, statements) in read_statements(source / MEASUREMENTS).items()
        ]
    else:
        raise UserError(
            f"{source}: holds no manifest.json, {DATABASE_NAME} or {MEASUREMENTS}, and is not a file of statements"
        )
    if not any(record.statements for record in corpus.records):
        raise UserError(f"{source}: no statement in it")
    corpus.records = [
        replace(record, statements=_without_identifiers(record.statements, corpus.left_out))
        for record in corpus.records
    ]
    return corpus


def _without_identifiers(statements: tuple[str, ...], left_out: Counter[str]) -> tuple[str, ...]:
    """Without those that may identify a patient, and unknown ones after them: "Confirmed by J", "Smith"."""
    kept: list[str] = []
    dropped = False
    for text in statements:
        dropped = may_identify(text) or (dropped and read_statement(text).kind == "unknown")
        if dropped:
            left_out[IDENTIFYING] += 1
        else:
            kept.append(text)
    return tuple(kept)


def statements_of_report(report: str) -> list[str]:
    """The sentences of a report, in English: those of German and Swedish reports as they are rendered.

    What may identify a patient is masked (`mask_identifiers`).
    """
    found: list[str] = []
    for part in re.split(r"[;\n]+(?=\s*\S)", render(mask_identifiers(_NOTE.sub("", report))).text):
        for sentence in split_at_stops(part):
            if found and EXCEPT.match(sentence.casefold()):  # "Normal ECG. Except for LVH."
                found[-1] += f" {sentence}"
            elif text := _bare(sentence):
                found.append(text)
    return found


def statements_of_codes(codes: dict[str, float], reported: list[Finding], left_out: Counter[str]) -> list[str]:
    """SCP codes as statements, "possible" if their likelihood is under 100, unless the report has the finding.

    A label that the report denies is left out, and so are codes of unknown likelihood.
    """
    stated = {one.code for one in reported if one.status in ("present", "possible")}
    denied = {one.code for one in reported if one.status == "absent"} - stated
    found = []
    for code, likelihood in codes.items():
        if code not in SCP_CODES or (kind := standing(code, likelihood)) is Standing.UNKNOWN:
            left_out["SCP codes that are unknown, or of unknown likelihood"] += 1
        elif code in denied:
            left_out["SCP codes that the report denies"] += 1
        elif code not in stated:
            found.append(f"{'possible ' if kind is Standing.DOUBTFUL else ''}{name_of(code)}")
    return found


def name_of(code: str) -> str:
    """The statement for an SCP code; it reads back as the code."""
    return NAMES[code] if code in _AS_NAMED else PHRASES[code]


def _of_ptbxl(source: Path, sources: Sources, left_out: Counter[str]) -> Iterator[RecordStatements]:
    database = load_database(source, "SOURCE")
    rows = _rows(source)
    for record_id, ref in database.items():
        row = rows[record_id]
        split = {9: "valid", 10: "test"}.get(ref.fold, "train")
        report = row.get(TRANSLATED) or row.get("report") or ""
        yield RecordStatements(record_id, split, ref.background, _joined([report], row, sources, left_out))


def _of_manifest(source: Path, sources: Sources, left_out: Counter[str]) -> Iterator[RecordStatements]:
    records, reports = load_records(source), {}
    for example, _ in load_texts(source, records):
        if example.task == REPORT_TASK:
            reports.setdefault(example.records[0].record_id, []).append(example.answers[0])
    folder = Path(load_corpus(source).source)
    rows = _rows(folder) if (folder / DATABASE_NAME).is_file() else {}
    for record_id, (ref, split) in records.items():
        joined = _joined(reports.get(record_id, []), rows.get(record_id, {}), sources, left_out)
        yield RecordStatements(record_id, split, ref.background, joined)


def _joined(reports: list[str], row: dict[str, str], sources: Sources, left_out: Counter[str]) -> tuple[str, ...]:
    """Statements of reports, then those of the codes in a row of PTB-XL's table, each once."""
    found = [one for report in reports if sources != "codes" for one in statements_of_report(report)]
    if sources != "reports" and row.get("scp_codes"):
        reported = [finding for text in found for finding in read_statement(text).findings]
        found += statements_of_codes(_codes(row), reported, left_out)
    return tuple(dict.fromkeys(found))


def _rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / DATABASE_NAME).open(newline="", encoding="utf-8-sig") as file:
        return {str(int(row["ecg_id"])): row for row in csv.DictReader(file)}


def _codes(row: dict[str, str]) -> dict[str, float]:
    try:
        return {str(code): float(likelihood) for code, likelihood in ast.literal_eval(row["scp_codes"]).items()}
    except (ValueError, SyntaxError, TypeError, AttributeError):
        raise UserError(f"{DATABASE_NAME}: ecg_id {row['ecg_id']}: scp_codes is not a dictionary") from None


def _bare(statement: str) -> str:
    return " ".join(statement.split()).strip(_AROUND)
