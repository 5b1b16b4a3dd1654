"""What follows an answer: where it differs from the signal or from other answers, and what it leaves open."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cardiolect.data_provider.ecgqa.needed_leads import why_unanswerable
from cardiolect.data_provider.examples import REPORT_TASK
from cardiolect.data_provider.record import ECGRecord
from cardiolect.model.cli.understanding import left_open, trained_questions
from cardiolect.model.prompt.tasks import task_of

if TYPE_CHECKING:  # PyTorch is imported when a checkpoint is loaded
    from cardiolect.model.inference.chat import ECGChat, Judgement


def in_words(judged: "Judgement") -> str:
    """``yes (82 %)``, ``unsure, probably no (91 %; 6 of 195 validation ECGs are yes)``, ``yes (82 %, not calibrated)``.

    Unsure as well if validation had no yes, or no no, whatever the probability: ``unsure, probably no (none of 195
    validation ECGs is yes, so this was not tested)``.
    """
    # A probability from some hundred recordings of validation is never certain.
    percent = "> 99 %" if judged.probability > 0.99 else f"{100 * judged.probability:.0f} %"
    if judged.sure is None:
        return f"{judged.answer} ({percent}, not calibrated)"
    if judged.sure:
        return f"{judged.answer} ({percent})"
    yes, of = judged.others
    if yes in (0, of):
        which = f"{'all' if yes else 'none'} of {of} validation ECGs {'are' if yes else 'is'} yes"
        return f"unsure, probably {judged.answer} ({which}, so this was not tested)"
    return f"unsure, probably {judged.answer} ({percent}; {yes} of {of} validation ECGs are yes)"


def measured_otherwise(ecg: ECGRecord, question: str, answer: str) -> list[str]:
    """`ruler.measured_otherwise` as lines."""
    from cardiolect.data_provider.ecgqa import ruler  # slow: imports NeuroKit

    line = ruler.measured_otherwise(ecg, question, answer)
    return [] if line is None else [line]


def contradicted(chat: "ECGChat", info: dict, ecg: ECGRecord, item: np.ndarray, report: str, patient: str) -> list[str]:
    """`contradictions` of a report and the checkpoint's answers to what the recording lets it answer.

    item: of the recording, as from `Chat.encode`. None without a calibration, which says when an answer is sure.
    """
    if chat.calibration is None:
        return []
    from cardiolect.model.inference.contradictions import contradictions

    known = [question for question in trained_questions(info) or () if not why_unanswerable(ecg, question)]
    return contradictions(chat, item, report, known, patient)


def remarks(
    chat: "ECGChat | None",
    info: dict,
    ecgs: Sequence[ECGRecord],
    items: Sequence[np.ndarray],
    question: str,
    answer: str,
    patient: str,
    measures: bool,
) -> list[str]:
    """The lines that follow an answer.

    chat: None if a report is not compared with answers, as those of a server. info: of the checkpoint. measures:
    whether answers are compared with what a delineator measures.
    """
    if task_of(question) == REPORT_TASK:
        lines = contradicted(chat, info, ecgs[0], items[0], answer, patient) if chat and len(ecgs) == 1 else []
        return lines + [line for line in (left_open(question, ecgs),) if line]
    return measured_otherwise(ecgs[0], question, answer) if measures and len(ecgs) == 1 else []
