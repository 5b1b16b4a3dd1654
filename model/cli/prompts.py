"""Prompts to pick from, and whether a checkpoint was trained on one."""

from cardiolect.model.prompt.rendering import task_of
from cardiolect.utils.errors import UserError

# Questions in the words of ECG-QA's templates, which the stages here train on; then requests of other kinds.
PROMPTS = (
    ("Rhythm", "What rhythm-related symptoms does this ECG show?"),
    ("Rhythm", "Does this ECG show symptoms of atrial fibrillation?"),
    ("Intervals", "What numeric features of this ECG fall above the normal range?"),
    ("Intervals", "Does the qt corrected of this ECG fall within the normal range?"),
    ("Conduction", "Does this ECG show symptoms of complete left bundle branch block?"),
    ("Conduction", "Does this ECG show symptoms of first degree av block?"),
    ("Ischaemia", "Does this ECG show symptoms of non-specific ischemic?"),
    ("Ischaemia", "Does this ECG show symptoms of inverted t-waves?"),
    ("Hypertrophy", "Does this ECG show symptoms of left ventricular hypertrophy?"),
    ("Axis", "What direction is this ECG deviated to?"),
    ("Noise", "What kinds of noises does this ECG show?"),
    ("Teaching", "Explain this ECG step by step, as to a student: rate, rhythm, axis, intervals, ST segment, T wave."),
    ("Deutsch", "Beschreibe dieses EKG auf Deutsch."),
    ("Español", "Describe este ECG en español."),
)
ADVICE = (
    "A model answers well only what it was trained on. Reports, teaching and other languages need a model trained on "
    "them; any other answers them badly, however sure it sounds."
)
UNTRAINED = "This checkpoint was not trained on this prompt: expect a bad answer."


def choices(info: dict) -> list[tuple[str, str]]:
    """``(label, question)`` of `PROMPTS`; labels say what a checkpoint of this ``info`` was not trained on."""
    return [(f"{kind}: {text}{'' if is_trained(info, text) else ' (not trained)'}", text) for kind, text in PROMPTS]


def check_question(question: str) -> None:
    """Raise `UserError` where a question is empty, or was typed in bytes that are no text."""
    if not question.strip():
        raise UserError("a question is empty; Report asks for a report")
    try:
        question.encode()
    except UnicodeEncodeError:
        raise UserError("a question is not UTF-8") from None


def is_trained(info: dict, question: str) -> bool:
    """False where a checkpoint is known not to have been trained on a question, or on reports.

    info: of `model.llm.checkpoint.Checkpoint`. True where it does not say.
    """
    task = info.get("settings", {}).get("tasktype")
    if info.get("stage") == "pretrain":
        return False
    if task_of(question) == "report":
        return task in (None, "report", "all")
    asked = info.get("majority_answers", {}).get("by_question")
    return task != "report" and (task == "instruct" or not asked or question.strip() in asked)
