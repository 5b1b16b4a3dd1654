"""What a checkpoint can be asked, which of its questions a free wording means, and what a recording leaves open."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from cardiolect.data_provider.ecgqa.asked import asked
from cardiolect.data_provider.ecgqa.needed_leads import RHYTHM_SECONDS, unseen_walls, why_unanswerable
from cardiolect.data_provider.ecgqa.scp_statements import NAMES, RHYTHMS
from cardiolect.data_provider.ecgqa.templates import ANY_NOISE_IN_LEAD, NOISE_IN_LEAD
from cardiolect.data_provider.examples import INSTRUCT_TASK, REPORT_TASK
from cardiolect.data_provider.record import ECGRecord
from cardiolect.data_provider.texts.numbers import NO_BEATS, NUMBER
from cardiolect.data_provider.texts.wordings import NEGATED, SEVERAL, Reading, understand, wordings_of
from cardiolect.data_provider.texts.wordings import UNTRAINED as UNTRAINED_QUESTION
from cardiolect.model.cli.loading import require_checkpoint
from cardiolect.model.llm.checkpoint_folder import read_info
from cardiolect.model.prompt.tasks import REPORT, task_of
from cardiolect.utils.errors import UserError

UNTRAINED = "This checkpoint was not trained on this prompt; expect a poor answer."
CANNOT_SAY = "cannot say: "
ONE_ECG = "this is a question about one ECG; with two, ask how they differ"
WITHOUT_VERDICT = "; no single question asks whether an ECG is normal, so read what the report finds"
LIST_HINT = "cardiolect ask --list prints all questions that can be asked; --as-typed sends yours unchanged"

_RHYTHM, _MEASUREMENTS, _QUALITY = "Rhythm and extra beats", "Rate, intervals and axis", "Quality of the signal"
_DIAGNOSES, _TWO, _OTHERS = "Diagnoses and forms", "Two ECGs (--second)", "Others"
_TITLES = (_RHYTHM, _MEASUREMENTS, _DIAGNOSES, _QUALITY, _TWO, _OTHERS)
_GROUP_OF_TYPE = {
    "extra_systole": _RHYTHM,
    "heart_axis": _MEASUREMENTS,
    "numeric_feature": _MEASUREMENTS,
    NUMBER: _MEASUREMENTS,
    "noise": _QUALITY,
}
_RHYTHM_NAMES = {*RHYTHMS.values(), NAMES["PVC"], NAMES["PAC"]}
_RHYTHM_TEMPLATES, _COMPARISONS = (7, 10), (68, 69, 70)
_EXAMPLES = 2  # wordings that the list shows for a question


def trained_questions(info: dict) -> frozenset[str] | None:
    """All that a checkpoint can be asked, with `REPORT` if it writes reports; None if it does not say.

    info: of `model.llm.checkpoint.Checkpoint`. None as well for conversations, which have no fixed wordings.
    """
    task, listed = info.get("settings", {}).get("tasktype"), info.get("majority_answers", {}).get("by_question")
    if info.get("stage") == "pretrain" or task in (REPORT_TASK, INSTRUCT_TASK) or not listed:
        return None
    return frozenset(listed) | ({REPORT} if is_trained(info, REPORT) else set())


def is_trained(info: dict, question: str) -> bool:
    """False if a checkpoint is known not to have been trained on a question, or on reports.

    info: of `model.llm.checkpoint.Checkpoint`. True if it does not say.
    """
    task = info.get("settings", {}).get("tasktype")
    if info.get("stage") == "pretrain":
        return False
    if task_of(question) == REPORT_TASK:
        return task in (None, REPORT_TASK, "all")
    if task in (REPORT_TASK, INSTRUCT_TASK):
        return task == INSTRUCT_TASK
    listed = info.get("majority_answers", {}).get("by_question")
    return not listed or question.strip() in listed


def read_question(info: dict, question: str, ecgs: Sequence[ECGRecord]) -> Reading:
    """The trained question that a question means, unless the recordings leave it open.

    A checkpoint that does not list its questions is sent any question as it is.
    """
    trained = trained_questions(info)
    reading = Reading(question.strip()) if trained is None else understand(question, trained)
    if reading.question is None:
        return reading
    about = asked(reading.question)
    if trained is not None and len(ecgs) > 1 and (about is None or about.template_id not in _COMPARISONS):
        return Reading(None, ONE_ECG)
    reasons = (why_unanswerable(ecg, reading.question) for ecg in ecgs)
    reason = next((reason for reason in reasons if reason), None)
    return reading if reason is None else Reading(None, reason)


def understood(
    info: dict,
    question: str,
    ecgs: Sequence[ECGRecord],
    as_typed: bool = False,
    said: set[str] | None = None,
    name: str = "",
) -> str | None:
    """The question to send to the model, said on stderr if it is not the one typed. None: it was refused, on stdout.

    said: hints that were given before and are not repeated; new ones are added. name: begins the lines about one of
    several questions.
    """
    said = set() if said is None else said
    reading = Reading(question) if as_typed else read_question(info, question, ecgs)
    if reading.question is None:
        print(f"{name}{CANNOT_SAY}{reading.reason}", flush=True)
        for line in hints(reading):
            if line not in said:
                print(line, file=sys.stderr)
            said.add(line)
        return None
    if not as_typed and (line := restated(question, reading.question)):
        print(f"{name}{line}", file=sys.stderr)
    if not is_trained(info, reading.question):
        print(UNTRAINED, file=sys.stderr)
    return reading.question


def restated(typed: str, sent: str) -> str:
    """How a question that was typed is understood; empty if it is sent as it is."""
    if sent == typed.strip():
        return ""
    asks_for_verdict = task_of(sent) == REPORT_TASK and "normal" in typed.lower()
    return f"understood as: {sent}{WITHOUT_VERDICT if asks_for_verdict else ''}"


def hints(reading: Reading) -> list[str]:
    """What may be asked in place of a refused question."""
    if reading.reason == SEVERAL:
        return [f"one of them: {question}" for question in reading.nearest]
    if reading.reason not in (UNTRAINED_QUESTION, NEGATED):
        return []
    return [*(f"nearest trained question: {question}" for question in reading.nearest), LIST_HINT]


def left_open(question: str, ecgs: Iterable[ECGRecord]) -> str | None:
    """What an answer leaves open: of a report, walls that no lead shows and the rhythm of a short ECG; else None."""
    if task_of(question) != REPORT_TASK:
        return None
    unseen = next((unseen for unseen in map(unseen_walls, ecgs) if unseen), None)
    short = next((ecg.seconds for ecg in ecgs if ecg.seconds < RHYTHM_SECONDS), None)
    reasons = [unseen] if unseen else []
    if short is not None:
        reasons.append(f"rhythm and extra beats, which take {RHYTHM_SECONDS:g} s; these are {short:.1f} s")
    return f"{CANNOT_SAY}{'; '.join(reasons)}" if reasons else None


def lacks_beats(question: str, measured: str) -> bool:
    """Whether a question, or a report, is about beats, of which a delineator found too few. measured: what it says."""
    about = asked(question)
    return measured == NO_BEATS and not (about and about.attribute_type == "noise")


def list_questions(checkpoint: Path) -> None:
    """``cardiolect ask --list``: print what a checkpoint can be asked, by subject, with other wordings."""
    require_checkpoint(checkpoint)
    trained = trained_questions(read_info(checkpoint))
    if trained is None:
        raise UserError(f"{checkpoint}: does not list the questions that it was trained on; any question is sent to it")
    groups: dict[str, dict[str, list[str]]] = {title: {} for title in _TITLES}
    for question in sorted(trained - {REPORT}):
        title, wording, lead = _place(question)
        groups[title].setdefault(wording, []).extend([lead] if lead else [])
    for title, wordings in groups.items():
        if wordings:
            print(f"{title}:")
        for wording, leads in wordings.items():
            examples = ", ".join(wordings_of(wording)[:_EXAMPLES])
            more = f"   LEAD: {', '.join(leads)}" if leads else f"   ({examples})" if examples else ""
            print(f"  {wording}{more}")
    if REPORT in trained:
        print(f"A whole report:\n  {REPORT}   ({', '.join(wordings_of(REPORT)[:_EXAMPLES])})")


def _place(question: str) -> tuple[str, str, str]:
    """Title of a question's group, its wording with LEAD for a lead, and the lead."""
    about = asked(question)
    if about is None:
        return _OTHERS, question, ""
    if about.template_id in _COMPARISONS:
        return _TWO, question, ""
    if about.template_id in (NOISE_IN_LEAD, ANY_NOISE_IN_LEAD):
        lead = about.names[-1]
        return _QUALITY, question.removesuffix(f"{lead}?") + "LEAD?", lead
    if about.template_id in _RHYTHM_TEMPLATES or set(about.names) & _RHYTHM_NAMES:
        return _RHYTHM, question, ""
    return _GROUP_OF_TYPE.get(about.attribute_type, _DIAGNOSES), question, ""
