"""What the page's buttons do: sessions in, values of widgets out, every refusal one line."""

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

from cardiolect.data_provider.record import ECGRecord
from cardiolect.model.cli.prompts import UNTRAINED, is_trained
from cardiolect.model.demo import session as steps
from cardiolect.model.demo.export import write_export
from cardiolect.model.demo.pictures import TokenStrip, draw_paper, draw_reconstruction
from cardiolect.model.demo.session import BY_TIME, BY_TOKENS, Session
from cardiolect.model.demo.uploads import read_upload
from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.prompt.rendering import REPORT
from cardiolect.model.prompt.vocabulary import ecg_text
from cardiolect.utils.errors import UserError

SILENT = "(the model ended without a word)"


@dataclass(frozen=True)
class Limits:
    """upload: bytes of all files together. answer: seconds."""

    upload: int
    answer: float


def told(callback: Callable) -> Callable:
    """Any error becomes a message on the page."""

    def as_message(error: Exception) -> gr.Error:
        return gr.Error(html.escape(line_of(error)), print_exception=False, title="Not done")

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


def line_of(error: Exception) -> str:
    """What a visitor reads of an error. Of one that is no `UserError` the log gets the place, not the message:

    messages of libraries may quote a file, and with it a patient.
    """
    if isinstance(error, UserError):
        return str(error)
    print(f"the demo met {type(error).__name__}:", file=sys.stderr)
    traceback.print_tb(error.__traceback__)
    return f"failed ({type(error).__name__})"


class Callbacks:
    """One checkpoint for all visitors; what is theirs comes and goes as a `Session`."""

    def __init__(
        self,
        chat: ECGChat,
        fingerprint: str,
        examples: dict[str, ECGRecord],
        limits: Limits,
        temporary: Path,
        feedback: Path | None,
    ):
        self.chat, self.fingerprint, self.limits = chat, fingerprint, limits
        self.temporary, self.feedback = temporary, feedback
        self.strip = TokenStrip(chat.checkpoint.representation)
        self.examples = {
            name: self._view(steps.begin(chat, record, f"Simulated: {name}"), ()) for name, record in examples.items()
        }

    def _view(self, session: Session, remarks: Sequence[str]) -> tuple:
        """Values of session, sentence, paper, reconstruction, strip, tokens, traced paper, conversation and status."""
        record, codes = session.record, session.codes
        return (
            session,
            facts(session.about, remarks),
            draw_paper(record),
            draw_reconstruction(record, self.chat.checkpoint.representation, codes),
            self.strip.draw(record, codes),
            ecg_text(codes),
            None,
            [],
            "",
        )

    def begin(self, name: str) -> Session:
        """A visitor's own session about one of `examples`."""
        return self.examples[name][0].of_another()

    def show_example(self, name: str, before: Session) -> tuple:
        """Ends the answers about the ECG before."""
        if name not in self.examples:
            raise UserError("choose one of the simulated ECGs")
        before.lease.over = True
        return self.begin(name), *self.examples[name][1:]

    def show_upload(self, files: Sequence[str] | None, before: Session) -> tuple:
        """Ends the answers about the ECG before.

        A file that is refused leaves no ECG: no question can be meant for one and asked about another.
        """
        before.lease.over = True
        try:
            upload = read_upload([Path(file) for file in files or ()], self.limits.upload, self.temporary)
            return self._view(steps.begin(self.chat, upload.record, "Uploaded recording"), upload.remarks)
        except Exception as error:
            line = line_of(error)
            gr.Warning(html.escape(line), title="Not read")
            return (Session(), facts(f"Not read. {line}", (), refused=True), None, None, None, "", None, [], "")

    def ask(
        self, question: str, age: float | None, sex: str, max_new_tokens: int, temperature: float, session: Session
    ) -> Iterator[tuple]:
        """Values of session, conversation, status, question and traced paper, after every token."""
        yield from self._ask(steps.check_question(question), age, sex, max_new_tokens, temperature, session)

    def report(
        self, age: float | None, sex: str, max_new_tokens: int, temperature: float, session: Session
    ) -> Iterator[tuple]:
        yield from self._ask(REPORT, age, sex, max_new_tokens, temperature, session)

    def _ask(
        self, question: str, age: float | None, sex: str, max_new_tokens: int, temperature: float, session: Session
    ) -> Iterator[tuple]:
        trained = is_trained(self.chat.checkpoint.info, question)
        for at in steps.ask(self.chat, session, question, age, sex, max_new_tokens, temperature, self.limits.answer):
            parts = [f"first token after {at.first_token:.2f} s"]
            parts += [f"{at.rate:.0f} tokens/s"] if at.rate else []
            ended = at.session.turns[-1].ended
            parts += [f"ended by its {ended}"] if ended in (BY_TOKENS, BY_TIME) else []
            parts += [] if trained else [UNTRAINED]
            yield at.session, messages(at.session), " · ".join(parts), "", None

    def trace(self, session: Session) -> Any:
        """The paper shaded by where in time the last answer came from."""
        return draw_paper(session.record, steps.where(self.chat, session))

    def rate_good(self, session: Session) -> tuple[Session, str]:
        return self._rate(session, True)

    def rate_bad(self, session: Session) -> tuple[Session, str]:
        return self._rate(session, False)

    def _rate(self, session: Session, good: bool) -> tuple[Session, str]:
        if self.feedback is None:
            raise UserError("no feedback is kept here: start the demo with --feedback FOLDER")
        session = steps.rate(session, good, self.feedback, self.fingerprint)
        return session, f"kept: {'good' if good else 'bad'} answer"

    def forget(self, session: Session) -> tuple:
        """Values of session, conversation, status and traced paper."""
        return steps.forget(session), [], "", None

    def export(self, session: Session) -> Any:
        if not session.turns:
            raise UserError("there is no conversation yet")
        return gr.update(value=write_export(session, self.fingerprint, self.temporary), visible=True)


def facts(about: str, remarks: Sequence[str], refused: bool = False) -> str:
    """The sentence over the picture, as HTML in which names from a file are text."""
    lines = "".join(f"<br>{html.escape(remark)}" for remark in remarks)
    return f'<p class="{"refused" if refused else "facts"}">{html.escape(about)}{lines}</p>'


def messages(session: Session) -> list[dict[str, str]]:
    """The conversation as a chatbot shows it: it renders HTML, so what is said goes in escaped."""
    return [
        {"role": message["role"], "content": html.escape(message["content"], quote=False)}
        for turn in session.turns
        for message in (
            {"role": "user", "content": turn.question},
            {"role": "assistant", "content": turn.answer or SILENT},
        )
    ]
