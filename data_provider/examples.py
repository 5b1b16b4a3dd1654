"""What a corpus offers for training and evaluation: references to recordings, and questions or reports about them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)  # of a large corpus there are a million
class RecordRef:
    """Where one recording lies; nothing is read yet.

    record_id: unique within the corpus and stable over runs (PTB-XL: the ecg_id; MIMIC-IV-ECG: the study number).
    path: WFDB path without extension.
    fold: PTB-XL's strat_fold, None where the corpus has no folds.
    background: "age 56, sex female, weight 63 kg" where the corpus knows it; never an identifier.
    corpus: name of the corpus in a mixture of several; ids then start with it.
    """

    record_id: str
    path: Path
    patient_id: str | None = None
    fold: int | None = None
    background: str = ""
    corpus: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One thing to say about one ECG, or about two that are compared.

    records: the recordings in the order in which the question counts them.
    answers: the gold answer list of a question; for a report, the report as its only element.
    template_id: ECG-QA's template number; None for reports.
    background: what may stand in a prompt besides the ECG (age, sex, height, weight); never an identifier.
    history: questions and answers that came before in the same conversation.
    provenance: "published"; "derived" of labels.
    attributes: what of the attribute type a question names ("atrial fibrillation"); empty where it names none.
    """

    sample_id: str
    records: tuple[RecordRef, ...]
    task: str  # "qa", "report", or "instruct": a request that is answered freely
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
        """One per recording; a text about two brings none of its own."""
        return (self.background,) if len(self.records) == 1 else tuple(ref.background for ref in self.records)

    @property
    def record_ids(self) -> tuple[str, ...]:
        return tuple(ref.record_id for ref in self.records)

    @property
    def patients(self) -> tuple[str, ...]:
        """Whose recordings they are; a recording of an unknown patient counts as one of its own."""
        return tuple(dict.fromkeys(ref.patient_id or f"record {ref.record_id}" for ref in self.records))
