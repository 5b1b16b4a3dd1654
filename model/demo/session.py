"""What one visitor has before them, and what the page does with it; knows no widgets.

A `Session` never changes: each step gives a new one, so two clicks at once cannot mix, and nothing is shared. Only its
`Lease` does, which ends the answers of a session whose place another has taken.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex

import numpy as np

from cardiolect.data_provider.record import ECGRecord
from cardiolect.data_provider.texts.background import describe_patient
from cardiolect.model.cli import prompts
from cardiolect.model.demo import feedback
from cardiolect.model.evaluation.examples import shade_yes_or_no
from cardiolect.model.inference.chat import ECGChat
from cardiolect.utils.errors import UserError

MAX_QUESTION = 2000  # characters
MAX_TOKENS = 512
MAX_TEMPERATURE = 2.0
MAX_AGE = 120  # years

# How an answer ended.
BY_MODEL, BY_TOKENS, BY_TIME, STOPPED = "by the model", "token limit", "time limit", "stopped"


@dataclass(frozen=True)
class Turn:
    """One question and its answer, as far as it has come."""

    question: str
    patient: str
    max_new_tokens: int
    temperature: float
    seed: int
    answer: str = ""
    ended: str = STOPPED


@dataclass
class Lease:
    """Over as soon as another ECG, or a new conversation, takes a session's place.

    begun: answers so far, of which the latest alone goes on. answering: whether it does.
    """

    over: bool = False
    begun: int = 0
    answering: bool = False

    def check(self) -> None:
        """Raises `UserError` where it is over."""
        if self.over:
            raise UserError("another ECG or conversation came between: load the page or the ECG anew")


@dataclass(frozen=True)
class Session:
    """An ECG with its codes, a sentence about it, and the conversation; rated: the turns with feedback."""

    record: ECGRecord | None = None
    codes: np.ndarray | None = None
    about: str = "no ECG"
    turns: tuple[Turn, ...] = ()
    rated: tuple[tuple[int, bool], ...] = ()
    conversation: str = field(default_factory=lambda: token_hex(8))
    lease: Lease = field(default_factory=Lease)

    def of_another(self) -> "Session":
        """The same for another visitor, or a new conversation."""
        return replace(self, turns=(), rated=(), conversation=token_hex(8), lease=Lease())

    @property
    def history(self) -> tuple[tuple[str, str], ...]:
        return tuple((turn.question, turn.answer) for turn in self.turns)


@dataclass(frozen=True)
class Progress:
    """A session while an answer comes, and how fast that goes."""

    session: Session
    first_token: float  # seconds
    rate: float  # tokens per second behind the first; 0 where there is one alone


def begin(chat: ECGChat, record: ECGRecord, about: str) -> Session:
    """A session about an ECG."""
    codes = chat.encode(record)
    facts = f"{about}; {record.seconds:.1f} s at {record.fs:g} Hz, {len(codes)} tokens"
    return Session(record, codes, facts)


def check_question(question: str) -> str:
    """The question without space around it; `UserError` where it is none."""
    prompts.check_question(question)
    question = question.strip()
    if len(question) > MAX_QUESTION:
        raise UserError(f"the question has {len(question)} characters; at most {MAX_QUESTION} are read")
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
) -> Iterator[Progress]:
    """Yield after every token, and once at the end; nothing more once the lease is over or another answer has begun.

    Raises `UserError` on what cannot be asked.
    """
    lease = session.lease
    lease.check()
    if session.codes is None:
        raise UserError("there is no ECG: upload one, or choose a simulated one; after hours load the page anew")
    if not (1 <= max_new_tokens <= MAX_TOKENS and 0 <= temperature <= MAX_TEMPERATURE):
        raise UserError(f"tokens lie within 1 and {MAX_TOKENS}, the temperature within 0 and {MAX_TEMPERATURE:g}")
    patient = describe_patient(age="" if age is None else str(age), sex=sex)
    if (age is not None and not 0 <= age <= MAX_AGE) or (sex and "sex" not in patient):
        raise UserError(f"the age lies within 0 and {MAX_AGE} years, the sex is female or male, where they are stated")
    turn = Turn(question, patient, int(max_new_tokens), float(temperature), seed=len(session.turns))
    began, first, count = time.monotonic(), 0.0, 0

    def now() -> Progress:
        passed = time.monotonic() - began - first
        rate = (count - 1) / passed if count > 1 else 0.0
        return Progress(replace(session, turns=(*session.turns, turn)), first, rate)

    answers = chat.stream(
        session.codes,
        question,
        session.history,
        patient,
        turn.max_new_tokens,
        temperature=turn.temperature,
        seed=turn.seed,
    )
    lease.begun += 1
    mine, lease.answering = lease.begun, True
    try:
        for answer in answers:
            count += 1
            first = first or time.monotonic() - began
            if lease.over or lease.begun != mine:
                return
            turn = replace(turn, answer=answer)
            yield now()
            if time.monotonic() - began > limit_s:
                turn = replace(turn, ended=BY_TIME)
                break
        else:
            turn = replace(turn, ended=BY_TOKENS if count == turn.max_new_tokens else BY_MODEL)
        if not lease.over and lease.begun == mine:
            yield now()
    finally:
        if lease.begun == mine:
            lease.answering = False


def where(chat: ECGChat, session: Session) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts and ends in seconds, and weights: when in the ECG the last answer, yes or no, came from."""
    session.lease.check()
    if not session.turns:
        raise UserError("there is no answer yet")
    turn = session.turns[-1]
    shaded = shade_yes_or_no(
        chat.checkpoint, session.codes, turn.question, turn.answer, turn.patient, session.history[:-1]
    )
    session.lease.check()
    return shaded


def rate(session: Session, good: bool, folder: Path, fingerprint: str) -> Session:
    """Store what is thought of the last answer, unless it is known already; `UserError` where there is none."""
    if not session.turns:
        raise UserError("there is no answer yet")
    if session.lease.answering:
        raise UserError("the answer is still coming")
    at = len(session.turns)
    if dict(session.rated).get(at) == good:
        return session
    turn = session.turns[-1]
    preference = feedback.record(
        session.conversation, turn.question, session.history[:-1], turn.answer, turn.ended, good, fingerprint
    )
    feedback.append(folder, preference)
    return replace(session, rated=(*session.rated, (at, good)))


def forget(session: Session) -> Session:
    """The same ECG, a new conversation."""
    session.lease.check()
    session.lease.over = True
    return session.of_another()
