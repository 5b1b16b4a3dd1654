"""The only place where a prompt is spelled: training, evaluation and use all render here.

    [bos] <|ecg_start|> codes <|ecg_end|> Patient: age 56.\n    one ECG, shared by all that is asked about it; where
                                                              two are compared, the second follows in the same way
    Question: ...\nAnswer:                                    one question (or "Report:"), behind those answered before
     atrial fibrillation [eos]                                what the model has to say, the only supervised part

Spans are built from their parts, never searched for in the ids.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from cardiolect.data_provider.examples import Example
from cardiolect.ecg_tokenizer.base import PreparedECG
from cardiolect.model.prompt.vocabulary import Vocabulary

REPORT = "Report"  # typed in a question's place it asks for a report


@dataclass(frozen=True, eq=False)
class Prompt:
    """One question about one ECG, or about two that are compared.

    prefix, question: token ids of what all questions about these ECGs share, and of this question.
    key: tells prefixes apart; equal keys mean equal ECGs and backgrounds. Ids alone do not tell: if ECGs are embedded,
    those of any two are alike.
    items: what is embedded in the place of the prefix's placeholders, in their order; empty if ECGs are their tokens.
    """

    prefix: tuple[int, ...]
    question: tuple[int, ...]
    key: Hashable
    items: tuple[np.ndarray, ...] = ()


def render_prefix(
    vocabulary: Vocabulary, ecgs: Sequence[PreparedECG | None], backgrounds: Sequence[str]
) -> tuple[list[int], list[bool], tuple[np.ndarray, ...]]:
    """`render_ecgs` of prepared ECGs, and the items to embed in it."""
    ids, of_ecg = render_ecgs(vocabulary, [None if ecg is None else ecg.token_ids for ecg in ecgs], backgrounds)
    embedded = [ecg.item for ecg in ecgs if ecg is not None] if vocabulary.placeholder else []
    return ids, of_ecg, tuple(embedded)


def make_prompt(
    vocabulary: Vocabulary,
    ecgs: Sequence[PreparedECG | None],
    backgrounds: Sequence[str],
    task: str,
    question: str = "",
    history: Sequence[tuple[str, str]] = (),
) -> Prompt:
    """A prompt from its parts; None leaves an ECG out and keeps its markers."""
    prefix, _, items = render_prefix(vocabulary, ecgs, backgrounds)
    key = tuple(None if ecg is None else ecg.key for ecg in ecgs), tuple(backgrounds)
    return Prompt(tuple(prefix), tuple(render_prompt(vocabulary, task, question, history)), key, items)


def render_ecgs(
    vocabulary: Vocabulary, ecgs: Sequence[Sequence[int] | np.ndarray | None], backgrounds: Sequence[str]
) -> tuple[list[int], list[bool]]:
    """``(ids, whether it belongs to an ECG)`` of the shared prefix: every code and the end marker after it do.

    ecgs: token numbers of each ECG in order; None leaves it out and keeps its markers. backgrounds: one for each.
    """
    bos = vocabulary.tokenizer.bos_token_id
    ids = [] if bos is None else [bos]
    of_ecg = [False] * len(ids)
    for codes, background in zip(ecgs, backgrounds, strict=True):
        inside = [] if codes is None else vocabulary.code_ids(codes)
        patient = vocabulary.text_ids(patient_text(background))
        ids += [vocabulary.start_id, *inside, vocabulary.end_id, *patient]
        of_ecg += [False, *[codes is not None] * (len(inside) + 1), *[False] * len(patient)]
    return ids, of_ecg


def render_prompt(
    vocabulary: Vocabulary, task: str, question: str = "", history: Sequence[tuple[str, str]] = ()
) -> list[int]:
    """Ids of what is asked, up to the point where the model has to speak."""
    return vocabulary.text_ids(prompt_text(task, question, history))


def task_of(question: str) -> str:
    """What somebody wants who types this: "report" for `REPORT` or nothing, else "qa"."""
    return "report" if question.strip() in ("", REPORT) else "qa"


def patient_text(background: str) -> str:
    return f"Patient: {background}.\n" if background else ""


def prompt_text(task: str, question: str = "", history: Sequence[tuple[str, str]] = ()) -> str:
    """``history``: questions, as `task_of` takes them, and answers before this one."""
    before = "".join(f"{prompt_text(task_of(asked), asked)} {answered}\n" for asked, answered in history)
    return before + ("Report:" if task == "report" else f"Question: {question}\nAnswer:")


def answer_text(answers: Sequence[str]) -> str:
    """Several answers are joined by a full stop, as HeartLLM does; its exact match splits them there."""
    return ".".join(answers)


def render_answer(vocabulary: Vocabulary, answers: Sequence[str]) -> list[int]:
    return [*vocabulary.text_ids(" " + answer_text(answers)), vocabulary.tokenizer.eos_token_id]


def render_turn(vocabulary: Vocabulary, example: Example) -> tuple[list[int], list[bool]]:
    """``(ids, loss mask)`` of one question or report with its answer, to stand behind `render_ecgs`."""
    prompt = render_prompt(vocabulary, example.task, example.question, example.history)
    answer = render_answer(vocabulary, example.answers)
    return prompt + answer, [False] * len(prompt) + [True] * len(answer)


def visualise(vocabulary: Vocabulary, ids: Sequence[int], mask: Sequence[bool]) -> str:
    """The tokens for a terminal: supervised ones green, ECG codes grey, the rest plain."""
    parts = []
    for token, supervised in zip(ids, mask, strict=True):
        colour = "32" if supervised else "90" if token in vocabulary.new_ids else "0"
        text = vocabulary.tokenizer.decode([token]).replace("\n", "\\n")
        parts.append(f"\033[{colour}m{text}\033[0m")
    return "|".join(parts)
