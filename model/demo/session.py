"""The state of one visitor and the steps that change it, independent of widgets.

A `Session` is immutable: each step returns a new one, so that simultaneous clicks cannot interfere and nothing is
shared. Only its `Lease` changes: it ends the answers of a session that has been replaced by another.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex

import numpy as np

from cardiolect.data_provider.ecgqa.ruler import measured_in_words
from cardiolect.data_provider.record import ECGRecord
from cardiolect.data_provider.texts.background import describe_patient
from cardiolect.ecg_tokenizer.base import PreparedECG
from cardiolect.model.cli.ask import answers_alone, check_question
from cardiolect.model.cli.remarks import in_words, similar_lines
from cardiolect.model.demo import feedback
from cardiolect.model.evaluation.examples import shade_yes_or_no
from cardiolect.model.inference.chat import ECGChat
from cardiolect.utils.answers import NO, YES
from cardiolect.utils.errors import UserError

MAX_QUESTION = 2000  # characters
MAX_TOKENS = 512
MAX_TEMPERATURE = 2.0
MAX_AGE = 120  # years

# How an answer ended.
BY_MODEL, BY_TOKENS, BY_TIME, STOPPED, REFUSED = "by the model", "token limit", "time limit", "stopped", "not asked"


@dataclass(frozen=True)
class Turn:
    """One question and its answer so far.

    asked: the question as it was sent to the model, if it was understood as another. history: the questions and
    answers before it that the model was given. judged: a yes-or-no answer with its probability, in words. remarks:
    lines that follow the answer, not by the model.
    """

    question: str
    patient: str
    max_new_tokens: int
    temperature: float
    seed: int
    answer: str = ""
    ended: str = STOPPED
    asked: str = ""
    history: tuple[tuple[str, str], ...] = ()
    judged: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def sent(self) -> str:
        """The question that the model was sent."""
        return self.asked or self.question

    @property
    def shown(self) -> str:
        """What a visitor reads."""
        return "\n".join((self.judged or self.answer, *self.remarks))


@dataclass
class Lease:
    """Ends as soon as another ECG or a new conversation replaces a session.

    started: number of answers started so far; only the latest continues. answering: whether it is still running.
    """

    ended: bool = False
    started: int = 0
    answering: bool = False

    def check(self) -> None:
        """Raise `UserError` if the lease has ended."""
        if self.ended:
            raise UserError("another ECG or conversation has replaced this one: reload the page or choose an ECG again")


@dataclass(frozen=True)
class Session:
    """An ECG, prepared for prompts, its description and measurements; the conversation; rated: rated turns.

    similar: a line for each similar training recording in the prompts.
    """

    record: ECGRecord | None = None
    ecg: PreparedECG | None = None
    about: str = "no ECG"
    measured: str = ""
    similar: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    rated: tuple[tuple[int, bool], ...] = ()
    conversation: str = field(default_factory=lambda: token_hex(8))
    lease: Lease = field(default_factory=Lease)

    def fresh_copy(self) -> "Session":
        """The same ECG for another visitor or a new conversation."""
        return replace(self, turns=(), rated=(), conversation=token_hex(8), lease=Lease())

    @property
    def item(self) -> np.ndarray | None:
        """What the representation makes of the ECG, such as codes."""
        return None if self.ecg is None else self.ecg.item

    @property
    def history(self) -> tuple[tuple[str, str], ...]:
        """What the model was asked and has answered."""
        return tuple((turn.sent, turn.answer) for turn in self.turns if turn.ended != REFUSED)


def start(chat: ECGChat, record: ECGRecord, about: str) -> Session:
    """A session about an ECG."""
    about = f"{about}; {record.seconds:.1f} s at {record.fs:g} Hz"
    prepared = chat.prepare(record)
    similar = tuple(similar_lines(prepared, chat.knows(record)))
    return Session(record, prepared, about, measured_in_words(record), similar)


def clean_question(question: str) -> str:
    """The question, stripped. Raises `UserError` if it is empty or too long."""
    check_question(question)
    question = question.strip()
    if len(question) > MAX_QUESTION:
        raise UserError(f"the question has {len(question)} characters; the limit is {MAX_QUESTION}")
    return question


def ask(
    chat: ECGChat,
    session: Session,
    question: str,
    age: float | None,
    sex: str,
    max_new_tokens: int,
    temperature: float,
    limit_s: float,
    asked: str = "",
    judges: bool = False,
) -> Iterator[Session]:
    """The session after every token and once at the end, until the lease ends or another answer starts.

    limit_s: seconds after which the answer is cut off. asked: the question to send in place of ``question``. judges:
    answer yes or no with a probability, unless answers are sampled. A model that was trained on single questions is
    asked each on its own. Raises `UserError` if an option is out of range.
    """
    lease = session.lease
    lease.check()
    if session.ecg is None:
        raise UserError(
            "there is no ECG: upload one or choose a simulated one; if the session has expired, reload the page"
        )
    if not (1 <= max_new_tokens <= MAX_TOKENS and 0 <= temperature <= MAX_TEMPERATURE):
        raise UserError(f"tokens must be from 1 to {MAX_TOKENS}, and the temperature from 0 to {MAX_TEMPERATURE:g}")
    patient = describe_patient(age="" if age is None else str(age), sex=sex)
    if (age is not None and not 0 <= age <= MAX_AGE) or (sex and "sex" not in patient):
        raise UserError(f"if given, the age must be from 0 to {MAX_AGE} years, and the sex female or male")
    history = () if answers_alone(chat.checkpoint.info) else session.history
    turn = Turn(
        question, patient, int(max_new_tokens), float(temperature), len(session.turns), asked=asked, history=history
    )
    start_time, count = time.monotonic(), 0

    def judged() -> Iterator[str]:
        nonlocal turn
        found = chat.judge(session.ecg, turn.sent, patient)
        turn = replace(turn, judged=in_words(found))
        yield found.answer

    def written() -> Iterator[str]:
        drawing = {"temperature": turn.temperature, "seed": turn.seed}
        return chat.stream(session.ecg, turn.sent, history, patient, turn.max_new_tokens, **drawing)

    answers = judged() if judges and not (temperature or history) else written()
    lease.started += 1
    number, lease.answering = lease.started, True
    try:
        for answer in answers:
            count += 1
            if lease.ended or lease.started != number:
                return
            turn = replace(turn, answer=answer)
            yield replace(session, turns=(*session.turns, turn))
            if time.monotonic() - start_time > limit_s:
                turn = replace(turn, ended=BY_TIME)
                break
        else:
            cut = count == turn.max_new_tokens and not turn.judged
            turn = replace(turn, ended=BY_TOKENS if cut else BY_MODEL)
        if not lease.ended and lease.started == number:
            yield replace(session, turns=(*session.turns, turn))
    finally:
        if lease.started == number:
            lease.answering = False


def refuse(session: Session, question: str, reason: str) -> Session:
    """The session with a question that is answered with a reason, without asking the model."""
    session.lease.check()
    turn = Turn(question, "", max_new_tokens=0, temperature=0.0, seed=0, answer=reason, ended=REFUSED)
    return replace(session, turns=(*session.turns, turn))


def remark(session: Session, lines: Sequence[str]) -> Session:
    """The session with lines that follow its last answer."""
    return replace(session, turns=(*session.turns[:-1], replace(session.turns[-1], remarks=tuple(lines))))


def _last_turn(session: Session) -> Turn:
    if not session.turns:
        raise UserError("there is no answer yet")
    if session.turns[-1].ended == REFUSED:
        raise UserError("the model was not asked the last question")
    return session.turns[-1]


def last_yes_or_no(session: Session) -> Turn | None:
    """The last question that was answered with yes or no."""
    return next((turn for turn in reversed(session.turns) if turn.ended != REFUSED and turn.answer in (YES, NO)), None)


def trace(chat: ECGChat, session: Session, turn: Turn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where in the ECG an answer, yes or no, came from: starts and ends in seconds, and weights."""
    session.lease.check()
    shading = shade_yes_or_no(chat.checkpoint, session.ecg, turn.sent, turn.answer, turn.patient, turn.history)
    session.lease.check()
    return shading


def rate(session: Session, good: bool, folder: Path, fingerprint: str) -> Session:
    """Store a rating of the last answer, unless it has that rating already; `UserError` if there is no answer."""
    turn = _last_turn(session)
    if session.lease.answering:
        raise UserError("the answer is still being generated")
    number = len(session.turns)
    if dict(session.rated).get(number) == good:
        return session
    rating = feedback.preference(
        session.conversation, turn.sent, turn.history, turn.answer, turn.ended, good, fingerprint
    )
    feedback.append(folder, rating)
    return replace(session, rated=(*session.rated, (number, good)))


def forget(session: Session) -> Session:
    """Start a new conversation about the same ECG."""
    session.lease.check()
    session.lease.ended = True
    return session.fresh_copy()
