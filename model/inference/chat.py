"""Questions to a loaded checkpoint, for the command line, the demo and Python."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch

from cardiolect.data_provider.record import ECGRecord, windows_of
from cardiolect.data_provider.texts.background import parse_background
from cardiolect.ecg_tokenizer.base import ECGRepresentation, PreparedECG
from cardiolect.ecg_tokenizer.retrieval.index import NeighbourIndex
from cardiolect.ecg_tokenizer.retrieval.vectors import SIGNAL, vector_of
from cardiolect.model.inference.calibration import Calibration, decide, sigmoid
from cardiolect.model.inference.generation import stream_text
from cardiolect.model.inference.ranking import Ranked, rank_answers
from cardiolect.model.inference.recordings import SECONDS, read_window
from cardiolect.model.llm.builtin import builtin_checkpoint, example_path, introduce
from cardiolect.model.llm.checkpoint import (
    MAX_NEW_TOKENS,
    Checkpoint,
    load_checkpoint,
    longest_sequence,
)
from cardiolect.model.prompt.rendering import Prompt, make_prompt, render_answer
from cardiolect.model.prompt.tasks import REPORT, task_of
from cardiolect.utils.answers import NO, YES
from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError

_TOGETHER = 32  # candidate answers that are ranked at a time
ECG = ECGRecord | np.ndarray | PreparedECG  # a recording, its item, such as codes, or what `Chat.prepare` returns


class Judgement(NamedTuple):
    """An answer to a yes-or-no question: "yes" or "no", and its probability, 0.5 to 1.

    sure: by `Calibration.is_sure`; None without a calibration of the question: the probability is then the model's own.
    others: how many validation recordings were labelled yes, and how many in all, to compare the probability with.
    """

    answer: str
    probability: float
    sure: bool | None = None
    others: tuple[int, int] | None = None


class Chat(ABC):
    """Answers questions about ECGs, with a language model in this process or on a server."""

    representation: ECGRepresentation
    index: NeighbourIndex | None = None

    def prepare(self, record: ECGRecord) -> PreparedECG:
        """A recording for a prompt, with similar training recordings if the checkpoint was trained with some.

        A recording that is one of the index by its signal gets none.
        """
        item = self.encode(record)
        if self.index is not None and self.index.knows_signal(record):
            return self.representation.prepared(0, item)  # whose rows are its patient's cannot be told
        return self._with_neighbours(item, None if self.index is None else self._vector(record, item))

    def knows(self, record: ECGRecord) -> bool:
        """Whether the index of similar recordings has this very recording, whose own text is then not used."""
        if self.index is None:
            return False
        return self.index.knows_signal(record) or self.index.is_known(self._vector(record, self.encode(record)))

    def encode(self, record: ECGRecord) -> np.ndarray:
        """The item of a recording, as from `ECGRepresentation.prepare`: for a tokenizer, uint16 ``(codes,)``."""
        return self.representation.prepare([record.signal], record.fs)[0]

    def stream(
        self,
        ecg: ECG | Sequence[ECG],
        question: str = REPORT,
        history: Sequence[tuple[str, str]] = (),
        patient: str = "",
        max_new_tokens: int = MAX_NEW_TOKENS,
        **sampling,
    ) -> Iterator[str]:
        """Yield the answer so far, each time it grows.

        ecg: a recording, what `prepare` makes of it, or its codes; or two to compare. question: `REPORT` or an empty
        text asks for a report.
        history: earlier questions and answers about the same ECG. patient: age, sex, height and weight ("age 56, sex
        female"), for both ECGs if there are two; anything else in it is dropped. sampling: ``temperature`` and
        ``seed``, if the language model is in this process. Temperature 0, the default, takes the most probable token;
        above 0, tokens are drawn by the seed.
        Raises `UserError` if there can be no answer.
        """
        ecgs = self._prepared(ecg)
        backgrounds = [parse_background(patient)] * len(ecgs)
        earlier = [(asked.strip(), answered.strip()) for asked, answered in history]
        yield from self._answer(ecgs, backgrounds, question.strip(), earlier, max_new_tokens, **sampling)

    def ask(self, ecg: ECG | Sequence[ECG], question: str = REPORT, **options) -> str:
        """The whole answer; options as in `stream`."""
        return next(iter(deque(self.stream(ecg, question, **options), maxlen=1)), "")

    def _prepared(self, ecg: ECG | Sequence[ECG]) -> list[PreparedECG]:
        ecgs = [ecg] if isinstance(ecg, ECG) else ecg
        if len(ecgs) not in (1, 2):
            raise UserError(f"a question is about one ECG, or about two to compare, not {len(ecgs)}")
        found = []
        for number, each in enumerate(ecgs):
            if isinstance(each, ECGRecord):
                each = self.prepare(each)
            elif isinstance(each, np.ndarray):
                each = self._with_neighbours(each, None if self.index is None else self._vector(None, each))
            found.append(each._replace(key=number))
        return found

    def _vector(self, record: ECGRecord | None, item: np.ndarray) -> np.ndarray:
        by, seconds = self.index.retrieval.by, self.index.retrieval.seconds
        if record is None and by in SIGNAL:
            raise UserError(f"similar recordings are found by {by}, which needs the signal: give the recording itself")
        if record is None:
            return vector_of(by, self.representation, None, 0.0, item)
        part = windows_of(record, seconds, every=False)[0]
        if part is not record and by not in SIGNAL:
            item = self.encode(part)
        return vector_of(by, self.representation, part.signal, part.fs, item)

    def _with_neighbours(self, item: np.ndarray, vector: np.ndarray | None) -> PreparedECG:
        prepared = self.representation.prepared(0, item)
        return prepared if vector is None else prepared._replace(neighbours=self.index.nearest(vector[None])[0])

    @abstractmethod
    def _answer(
        self,
        ecgs: Sequence[PreparedECG],
        backgrounds: Sequence[str],
        question: str,
        history: Sequence[tuple[str, str]],
        max_new_tokens: int,
    ) -> Iterator[str]: ...


class ECGChat(Chat):
    """A checkpoint that answers questions about ECGs. Several threads may use it at once."""

    def __init__(self, checkpoint: Checkpoint, calibration: Calibration | None = None):
        """calibration: of the checkpoint's yes-or-no answers, for `judge`."""
        self.checkpoint, self.calibration = checkpoint, calibration
        self.representation, self.index = checkpoint.representation, checkpoint.index
        self.checkpoint.model.eval()

    @classmethod
    def from_pretrained(cls, folder: Path | str | None = None, device: str = "auto", precision: str = "fp32") -> Self:
        """Load a checkpoint folder. None: the built-in checkpoint, which a line on stderr describes.

        device: auto (a GPU if there is one), cpu or cuda.
        Raises `UserError` if the checkpoint is missing, if its calibration.json belongs to other weights, or if device
        is cuda and there is no GPU.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("device cuda: PyTorch finds no CUDA device; use auto or cpu")
        if folder is None:
            folder = builtin_checkpoint()
            introduce(folder)
        checkpoint = load_checkpoint(Path(folder), precision, device=device)
        checkpoint.model.to(choose_device(device))
        return cls(checkpoint, Calibration.of(Path(folder)))

    @staticmethod
    def read(path: Path | str, start: float = 0.0, seconds: float = SECONDS) -> ECGRecord:
        """The part of a recording that a prompt takes, see `recordings.read_window`. "example": the built-in one."""
        return read_window(example_path(str(path)), start, seconds)

    def judge(self, ecg: ECG | Sequence[ECG], question: str, patient: str = "") -> Judgement:
        """Answer a yes-or-no question by ranking yes against no.

        With a calibration that has the question, the probability is that in patients as they come in validation;
        otherwise it is the model's own, which need not match how often it is right. ecg, patient: as in `stream`.
        Raises `UserError` if the prompt is too long for the language model.
        """
        return self.judge_all(ecg, [question], patient)[0]

    def judge_all(self, ecg: ECG | Sequence[ECG], questions: Sequence[str], patient: str = "") -> list[Judgement]:
        """`judge` of several questions, which share one pass over the ECG."""
        if isinstance(questions, str):
            raise UserError("judge_all takes a list of questions; judge takes one")
        ecgs, candidates, questions = self._prepared(ecg), ((YES,), (NO,)), list(questions)
        room = max(len(render_answer(self.checkpoint.vocabulary, each)) for each in candidates)
        backgrounds = [parse_background(patient)] * len(ecgs)
        prompts = [self._prompt(ecgs, backgrounds, question.strip(), (), room) for question in questions]
        ranked = rank_answers(
            self.checkpoint.model, self.checkpoint.vocabulary, prompts, [candidates] * len(prompts), _TOGETHER
        )
        calibration = self.calibration if len(ecgs) == 1 else None  # it was fitted on prompts with one ECG
        found = sorted(ranked, key=lambda each: each[0])
        return [_judgement(calibration, questions[i].strip(), answer) for i, answer in found]

    def _answer(self, ecgs, backgrounds, question, history, max_new_tokens, temperature=0.0, seed=0) -> Iterator[str]:
        """Yield after every token. Raises `UserError` if the prompt is too long for the language model."""
        prompt = self._prompt(ecgs, backgrounds, question, history, max_new_tokens)
        model, vocabulary = self.checkpoint.model, self.checkpoint.vocabulary
        yield from stream_text(model, vocabulary, prompt, max_new_tokens, temperature, seed)

    def _prompt(self, ecgs, backgrounds, question, history, room: int) -> Prompt:
        """The prompt, with ``room`` tokens for an answer. Raises `UserError` if the language model takes fewer."""
        prompt = make_prompt(self.checkpoint.vocabulary, ecgs, backgrounds, task_of(question), question, history)
        limit, length = longest_sequence(self.checkpoint.model), len(prompt.prefix) + len(prompt.question)
        if limit and length + room > limit:
            raise UserError(
                f"ECG, conversation and answer make {length + room} tokens, but the language model takes "
                f"{limit}: ask a shorter question or begin a new conversation"
            )
        return prompt


def _judgement(calibration: Calibration | None, question: str, ranked: Ranked) -> Judgement:
    margin = ranked.log_probabilities[0] - ranked.log_probabilities[1]
    known = calibration.probability_of_yes(question, margin) if calibration else None
    if known is None:
        return Judgement(*decide(sigmoid(margin)))
    seen = calibration.questions[question]
    return Judgement(*decide(known), calibration.is_sure(question, margin), (seen.positives, seen.n))
