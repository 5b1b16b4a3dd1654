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
    """

    record_id: str
    path: Path
    patient_id: str | None = None
    fold: int | None = None
    background: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One thing to say about one ECG.

    answers: the gold answer list of a question; for a report, the report as its only element.
    template_id: ECG-QA's template number; None for reports.
    background: what may stand in a prompt besides the ECG (age, sex, height, weight); never an identifier.
    """

    sample_id: str
    record: RecordRef
    task: str  # "qa" or "report"
    question: str
    answers: tuple[str, ...]
    question_type: str = ""
    attribute_type: str = ""
    template_id: int | None = None
    background: str = ""
