"""Callbacks of the page: they take a session and return values for widgets; every error is one line."""

import functools
import html
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from cardiolect.data_provider.corpora.simulated_folder import only_simulated
from cardiolect.data_provider.record import ECGRecord
from cardiolect.model.cli.ask import NO_PATIENT, ONLY_SIMULATED, is_yes_or_no, lacks_patient
from cardiolect.model.cli.remarks import remarks
from cardiolect.model.cli.understanding import CANNOT_SAY, UNTRAINED, is_trained, lacks_beats, read_question, restated
from cardiolect.model.demo import session as steps
from cardiolect.model.demo.export import write_export
from cardiolect.model.demo.pictures import TokenStrip, draw_paper, draw_reconstruction
from cardiolect.model.demo.session import BY_TIME, BY_TOKENS, STOPPED, Session
from cardiolect.model.demo.uploads import read_upload
from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.inference.recordings import seconds_of
from cardiolect.model.prompt.tasks import REPORT
from cardiolect.model.prompt.vocabulary import ecg_text
from cardiolect.utils.errors import UserError

EMPTY_ANSWER = "(empty answer)"
MEASURED = "Measured on the signal, not by the model"
NOTHING_TO_SHADE = "Ask a question whose answer is yes or no first: only such an answer can be shaded."
EXPORTED, EXPORTED_BEFORE = "Conversation", "The conversation before this one"


@dataclass(frozen=True)
class Limits:
    """upload: bytes of all files of an upload. answer: seconds."""

    upload: int
    answer: float


def errors_as_messages(callback: Callable) -> Callable:
    """Show any error of a callback as a message on the page."""

    def as_message(error: Exception) -> gr.Error:
        return gr.Error(html.escape(describe_error(error)), print_exception=False, title="Not done")

    if inspect.isgeneratorfunction(callback):

        @functools.wraps(callback)
        def wrapped(*arguments: Any) -> Iterator:
            try:
                yield from callback(*arguments)
            except Exception as error:
                raise as_message(error) from None
    else:

        @functools.wraps(callback)
        def wrapped(*arguments: Any) -> Any:
            try:
                return callback(*arguments)
            except Exception as error:
                raise as_message(error) from None

    return wrapped


def describe_error(error: Exception) -> str:
    """The line that a visitor reads.

    Unless it is a `UserError`, the traceback is logged, but not the message: it may quote a file and thus a patient.
    """
    if isinstance(error, UserError):
        return str(error)
    print(f"the demo failed with {type(error).__name__}:", file=sys.stderr)
    traceback.print_tb(error.__traceback__)
    return f"failed ({type(error).__name__})"


class Callbacks:
    """One checkpoint for all visitors; the state of each visitor is passed in and out as a `Session`."""

    def __init__(
        self,
        chat: ECGChat,
        introduction: str,
        fingerprint: str,
        examples: dict[str, ECGRecord],
        limits: Limits,
        temporary: Path,
        feedback: Path | None,
    ):
        self.chat, self.introduction, self.fingerprint, self.limits = chat, introduction, fingerprint, limits
        self.temporary, self.feedback = temporary, feedback
        self.strip = TokenStrip(chat.representation)
        self.examples = {
            name: self._view(steps.start(chat, record, f"Simulated: {name}"), ()) for name, record in examples.items()
        }

    def _view(self, session: Session, warnings: Sequence[str]) -> tuple:
        """Values of session, description, ECG, reconstruction, strip, tokens, traced ECG, its caption, conversation and
        status."""
        record, item, representation = session.record, session.item, self.chat.representation
        return (
            session,
            description_html(session.about, [f"{MEASURED}: {session.measured}.", *session.similar, *warnings]),
            draw_paper(record),
            draw_reconstruction(record, representation, item),
            self.strip.draw(record, item),
            "" if representation.embeds else ecg_text(item),
            None,
            "",
            [],
            "",
        )

    def start(self, name: str) -> Session:
        """A visitor's own session about one of `examples`."""
        return self.examples[name][0].fresh_copy()

    def show_example(self, name: str, previous: Session) -> tuple:
        """Show one of `examples`, and end the answers about the previous ECG."""
        if name not in self.examples:
            raise UserError("choose one of the simulated ECGs")
        previous.lease.ended = True
        return self.start(name), *self.examples[name][1:], self._kept(previous)

    def show_upload(
        self, files: Sequence[str] | None, start: float | None, rate: str, unit: str, previous: Session
    ) -> tuple:
        """Show an uploaded ECG, and end the answers about the previous one.

        start: seconds; rate in Hz and unit: of files that do not state them. If a file is refused, no ECG is left, so
        that no question about it is asked about the previous one.
        """
        previous.lease.ended = True
        try:
            seconds, hertz = seconds_of(self.chat.checkpoint.info), number("rate", rate)
            if hertz is not None and hertz <= 0:
                raise UserError(f"rate: {hertz:g} Hz is not above 0")
            stated = ({} if hertz is None else {"sampling_rate": hertz}) | ({"unit": unit} if unit else {})
            paths = [Path(file) for file in files or ()]
            upload = read_upload(paths, self.limits.upload, self.temporary, seconds, start or 0.0, stated)
            session = steps.start(self.chat, upload.record, f"Uploaded recording ({upload.facts})")
            simulated = [ONLY_SIMULATED] if only_simulated(self.chat.checkpoint.info.get("corpora", ())) else []
            return *self._view(session, [*simulated, *upload.warnings]), self._kept(previous)
        except Exception as error:
            line = describe_error(error)
            gr.Warning(html.escape(line), title="Not read")
            description = description_html(f"Not read. {line}", (), refused=True)
            return (Session(), description, None, None, None, "", None, "", [], "", self._kept(previous))

    def _kept(self, previous: Session) -> Any:
        """The export of a conversation that another one replaces on the page."""
        if not previous.turns:
            return gr.skip()
        return self._export(previous, EXPORTED_BEFORE)

    def ask(
        self, question: str, age: str, sex: str, max_new_tokens: int, temperature: float, session: Session
    ) -> Iterator[tuple]:
        """Values of session, conversation, status and question, after every token."""
        question, years = steps.clean_question(question), number("age", age)
        yield from self._ask(question, years, sex, max_new_tokens, temperature, session)

    def report(self, age: str, sex: str, max_new_tokens: int, temperature: float, session: Session) -> Iterator[tuple]:
        yield from self._ask(REPORT, number("age", age), sex, max_new_tokens, temperature, session)

    def _ask(
        self, question: str, age: float | None, sex: str, max_new_tokens: int, temperature: float, session: Session
    ) -> Iterator[tuple]:
        reading = read_question(self.chat.checkpoint.info, question, [session.record] if session.record else [])
        if reading.question is None and session.record is not None:
            nearest = [f"nearest question: {each}" for each in reading.nearest]
            answered = steps.refuse(session, question, "\n".join([f"{CANNOT_SAY}{reading.reason}", *nearest]))
            yield answered, chatbot_messages(answered), "", ""
            return
        info, sent = self.chat.checkpoint.info, reading.question or question
        measures = session.record is not None and self.chat.representation.parts(session.item)
        if measures and lacks_beats(sent, session.measured):
            answered = steps.refuse(session, question, f"{CANNOT_SAY}{session.measured}")
            yield answered, chatbot_messages(answered), "", ""
            return
        notes = [] if is_trained(info, sent) else [UNTRAINED]
        notes += [NO_PATIENT] if age is None and not sex and lacks_patient(info, "") else []
        for current in steps.ask(
            self.chat,
            session,
            question,
            age,
            sex,
            max_new_tokens,
            temperature,
            self.limits.answer,
            asked=sent,
            judges=is_yes_or_no(info, sent),
        ):
            ended = current.turns[-1].ended
            stopped = [f"stopped by the {ended}"] if ended in (BY_TOKENS, BY_TIME) else []
            status = " · ".join([*stopped, *notes])
            yield current, chatbot_messages(current), status, ""
        turn, number_of = current.turns[-1], session.lease.started
        if turn.ended == STOPPED:
            return
        ranks = None if temperature else self.chat
        lines = remarks(ranks, info, [session.record], [session.ecg], sent, turn.answer, turn.patient, measures=True)
        lines += [f"({line})" for line in (restated(question, sent),) if line]
        if lines and not session.lease.ended and session.lease.started == number_of:
            current = steps.remark(current, lines)
            yield current, chatbot_messages(current), status, ""

    def trace(self, session: Session) -> tuple[Any, str]:
        """The ECG, shaded where the last answer of yes or no came from, and its caption."""
        session.lease.check()
        turn = steps.last_yes_or_no(session)
        if turn is None:
            return None, f"<p class='facts'>{NOTHING_TO_SHADE}</p>"
        shading = steps.trace(self.chat, session, turn)
        return draw_paper(
            session.record, shading
        ), f"<p class='facts'>{html.escape(f'{turn.sent} {turn.judged or turn.answer}')}</p>"

    def rate_good(self, session: Session) -> tuple[Session, str]:
        return self._rate(session, True)

    def rate_bad(self, session: Session) -> tuple[Session, str]:
        return self._rate(session, False)

    def _rate(self, session: Session, good: bool) -> tuple[Session, str]:
        if self.feedback is None:
            raise UserError("ratings are off: start the demo with --feedback FOLDER")
        session = steps.rate(session, good, self.feedback, self.fingerprint)
        return session, f"rating saved: {'good' if good else 'bad'} answer"

    def forget(self, session: Session) -> tuple:
        """Values of session, conversation, status, traced ECG, its caption and export."""
        return steps.forget(session), [], "", None, "", self._kept(session)

    def export(self, session: Session) -> Any:
        if not session.turns:
            raise UserError("there is no conversation yet")
        return self._export(session, EXPORTED)

    def _export(self, session: Session, label: str) -> Any:
        files = write_export(session, self.introduction, self.fingerprint, self.temporary)
        return gr.update(value=files, visible=True, label=label)


def number(name: str, text: str) -> float | None:
    """The number that a visitor entered; None if nothing. Raises `UserError` on any other text."""
    if not (text := str(text or "").strip()):
        return None
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise UserError(f"{name}: {text[:20]} is not a number") from None


def description_html(about: str, warnings: Sequence[str], refused: bool = False) -> str:
    """The description above the ECG as HTML, with names from a file escaped."""
    lines = "".join(f"<br>{html.escape(warning)}" for warning in warnings)
    return f'<p class="{"refused" if refused else "facts"}">{html.escape(about)}{lines}</p>'


def chatbot_messages(session: Session) -> list[dict[str, str]]:
    """The conversation for the chatbot widget, escaped because the widget renders HTML."""
    return [
        {"role": message["role"], "content": html.escape(message["content"], quote=False)}
        for turn in session.turns
        for message in (
            {"role": "user", "content": turn.question},
            {"role": "assistant", "content": turn.shown or EMPTY_ANSWER},
        )
    ]
