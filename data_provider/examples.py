"""The rows of all training and evaluation data: references to recordings, and questions or reports about them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

TaskName = Literal["qa", "report", "instruct"]
QA_TASK, REPORT_TASK, INSTRUCT_TASK = get_args(TaskName)


@dataclass(frozen=True, slots=True)  # slots: a large corpus has a million of them
class RecordRef:
    """A reference to a recording, which is not read yet.

    record_id: unique within the corpus and the same in every run (PTB-XL: the ecg_id; MIMIC-IV-ECG: the study number).
    path: as `readers.read_record` takes it; for WFDB without suffix.
    fold: PTB-XL's strat_fold, None if the corpus has no folds.
    background: "age 56, sex female, weight 63 kg" if the corpus contains it; never an identifier.
    corpus: name of the corpus in a mixture of several; the record id then starts with it.
    database: whose ids these are (`corpora.databases`), "" if unknown. In a mixture, the patient id starts with it.
    """

    record_id: str
    path: Path
    patient_id: str | None = None
    fold: int | None = None
    background: str = ""
    corpus: str = ""
    database: str = field(default="", compare=False, repr=False)  # no part of what identifies training data

    @property
    def own_record_id(self) -> str:
        """The record id within its database."""
        return self.record_id.removeprefix(f"{self.corpus}/") if self.corpus else self.record_id

    @property
    def own_patient_id(self) -> str | None:
        """The patient id within its database."""
        if self.patient_id is None or not self.corpus:
            return self.patient_id
        return self.patient_id.removeprefix(f"{self.database or self.corpus}/")


@dataclass(frozen=True, slots=True)
class Example:
    """A question, report or request about one ECG, or about two that are compared.

    task: instruct is a request with a free answer.
    records: the recordings, in the order in which the question refers to them.
    answers: the gold answers to a question; for a report, the report as the only element.
    template_id: ECG-QA's template number; None for reports.
    background: age, sex, height and weight, which may be in the prompt besides the ECG; never an identifier.
    history: earlier questions and answers in the same conversation.
    provenance: "published", "derived" from labels, or "rendered from German" of a report in another language.
    attributes: the attributes that a question names ("atrial fibrillation"); empty if it names none.
    """

    sample_id: str
    records: tuple[RecordRef, ...]
    task: TaskName
    question: str
    answers: tuple[str, ...]
    question_type: str = ""
    attribute_type: str = ""
    template_id: int | None = None
    background: str = ""
    history: tuple[tuple[str, str], ...] = ()
    provenance: str = "published"
    attributes: tuple[str, ...] = ()

    @property
    def backgrounds(self) -> tuple[str, ...]:
        """One per recording; a text about two recordings has none of its own."""
        return (self.background,) if len(self.records) == 1 else tuple(ref.background for ref in self.records)

    @property
    def record_ids(self) -> tuple[str, ...]:
        return tuple(ref.record_id for ref in self.records)

    @property
    def patients(self) -> tuple[str, ...]:
        """The patients of the recordings; a recording of an unknown patient counts as a patient of its own."""
        return tuple(dict.fromkeys(ref.patient_id or f"record {ref.record_id}" for ref in self.records))
