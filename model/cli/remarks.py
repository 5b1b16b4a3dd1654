"""What follows an answer: where it differs from the signal or from other answers, and what it leaves open."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cardiolect.data_provider.ecgqa.needed_leads import why_unanswerable
from cardiolect.data_provider.examples import REPORT_TASK
from cardiolect.data_provider.record import ECGRecord
from cardiolect.model.cli.understanding import left_open, trained_questions
from cardiolect.model.prompt.tasks import task_of

if TYPE_CHECKING:  # PyTorch is imported when a checkpoint is loaded
    from cardiolect.ecg_tokenizer.base import PreparedECG
    from cardiolect.model.inference.chat import ECGChat, Judgement

LEAST_SURE = 0.75  # without a calibration, which has a threshold of its own


def in_words(judged: "Judgement") -> str:
    """``yes (82 %)``, or ``unsure, probably no (91 %; yes is right for 6 of 195 validation ECGs)``.

    Unsure as well if validation had no yes, or no no, whatever the probability: ``unsure, probably no (yes is right for
    none of 195 validation ECGs, so this was not tested)``. Without a calibration, ``yes (82 %, not calibrated)``, and
    unsure below `LEAST_SURE`.
    """
    # A probability from some hundred recordings of validation is never certain.
    percent = "> 99 %" if judged.probability > 0.99 else f"{100 * judged.probability:.0f} %"
    if judged.sure is None:
        unsure = "unsure, probably " if judged.probability < LEAST_SURE else ""
        return f"{unsure}{judged.answer} ({percent}, not calibrated)"
    if judged.sure:
        return f"{judged.answer} ({percent})"
    yes, of = judged.others
    if yes in (0, of):
        which = f"yes is right for {'all' if yes else 'none'} of {of} validation ECGs"
        return f"unsure, probably {judged.answer} ({which}, so this was not tested)"
    return f"unsure, probably {judged.answer} ({percent}; yes is right for {yes} of {of} validation ECGs)"


def similar_lines(ecg: "PreparedECG", known: bool = False) -> list[str]:
    """The similar training recordings that the model is told about, a line each, with their distances.

    ecg: from `Chat.prepare`. known: whether the index has the recording itself (`Chat.knows`).
    """
    lines = [f"similar training recording, distance {each.distance:.2f}: {each.text}" for each in ecg.neighbours]
    if known:
        others = "" if ecg.neighbours else ", so it gets none"
        lines.append(
            f"this recording is one of the index of similar ones; its own text is not used, nor its patient's{others}"
        )
    return lines


def contradicted(
    chat: "ECGChat", info: dict, ecg: ECGRecord, prepared: "PreparedECG", report: str, patient: str
) -> list[str]:
    """`contradictions` of a report and the checkpoint's answers to what the recording lets it answer.

    prepared: the recording, from `Chat.prepare`. None without a calibration, which says when an answer is sure.
    """
    if chat.calibration is None:
        return []
    from cardiolect.model.inference.contradictions import contradictions

    known = [question for question in trained_questions(info) or () if not why_unanswerable(ecg, question)]
    return contradictions(chat, prepared, report, known, patient)


def remarks(
    chat: "ECGChat | None",
    info: dict,
    ecgs: Sequence[ECGRecord],
    prepared: Sequence["PreparedECG"],
    question: str,
    answer: str,
    patient: str,
    measures: bool,
) -> list[str]:
    """The lines that follow an answer.

    chat: None if a report is not compared with answers, as those of a server. info: of the checkpoint. measures:
    whether answers are compared with what a delineator measures.
    """
    report, lines = task_of(question) == REPORT_TASK, []
    if measures and len(ecgs) == 1:
        from cardiolect.data_provider.ecgqa.ruler import measured_otherwise  # slow: imports NeuroKit

        lines = measured_otherwise(ecgs[0], question, answer, report)
    if report and chat and len(ecgs) == 1:
        lines += contradicted(chat, info, ecgs[0], prepared[0], answer, patient)
    return lines + [line for line in (left_open(question, ecgs),) if line]
