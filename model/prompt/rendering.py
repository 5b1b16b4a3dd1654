"""Renders prompts for training, evaluation and use alike.

    [bos] <|ecg_start|> codes <|ecg_end|> Patient: age 56.\n    one ECG, shared by all questions about it; if two are
                                                              compared, the second follows in the same way
    Question: ...\nAnswer:                                    one question (or "Report:"); in a conversation, after the
     atrial fibrillation [eos]                                earlier ones with their answers and a new line each;
                                                              answers and their ends are all that is supervised

What is known of similar recordings follows the patient in a line of its own ("Similar ECGs: (1) sinus rhythm").

With PROMPT=chat, the language model's own chat template surrounds the same parts (`chat_format`), and the patient goes
before the ECG: `<|ecg_end|>`, across which no tokenizer merges, then ends what questions share.

    [opening] Patient: age 56.\n <|ecg_start|> codes <|ecg_end|>
    Is it atrial fibrillation? [generation]
    atrial fibrillation [end of message]

NEIGHBOUR_PLACE=system puts the line about similar recordings into a system message before the opening instead; of two
ECGs, each has a line with its number.

Spans are built from their parts, never searched for in the ids.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from cardiolect.data_provider.examples import REPORT_TASK, Example
from cardiolect.ecg_tokenizer.base import Neighbour, PreparedECG
from cardiolect.model.prompt.tasks import REPORT, TASKS, task_of
from cardiolect.model.prompt.vocabulary import ECG_START, Vocabulary


@dataclass(frozen=True, eq=False)
class Prompt:
    """One question about one ECG, or about two that are compared.

    prefix, question: token ids of the part that all questions about these ECGs share, and of this question.
    key: identifies the prefix: equal keys mean equal ECGs, neighbours and backgrounds. Token ids do not, because the
    placeholders of embedded ECGs are all alike.
    items: the items to embed in place of the prefix's placeholders, in order; empty if the codes are tokens.
    """

    prefix: tuple[int, ...]
    question: tuple[int, ...]
    key: Hashable
    items: tuple[np.ndarray, ...] = ()


def render_prefix(
    vocabulary: Vocabulary, ecgs: Sequence[PreparedECG | None], backgrounds: Sequence[str]
) -> tuple[list[int], list[bool], tuple[np.ndarray, ...]]:
    """`render_ecgs` for prepared ECGs, and the items to embed."""
    tokens = [None if ecg is None else ecg.token_ids for ecg in ecgs]
    neighbours = [() if ecg is None else ecg.neighbours for ecg in ecgs]
    ids, of_ecg = render_ecgs(vocabulary, tokens, backgrounds, neighbours)
    embedded = [ecg.item for ecg in ecgs if ecg is not None and len(ecg.token_ids)] if vocabulary.placeholder else []
    return ids, of_ecg, tuple(embedded)


def make_prompt(
    vocabulary: Vocabulary,
    ecgs: Sequence[PreparedECG | None],
    backgrounds: Sequence[str],
    task: str,
    question: str = "",
    history: Sequence[tuple[str, str]] = (),
) -> Prompt:
    """Render a prompt. None in place of an ECG omits it but keeps its markers."""
    prefix, _, items = render_prefix(vocabulary, ecgs, backgrounds)
    key = tuple(None if ecg is None else (ecg.key, ecg.neighbours) for ecg in ecgs), tuple(backgrounds)
    asked = with_codes(vocabulary, render_prompt(vocabulary, task, question, history), ecgs)
    return Prompt(tuple(prefix), tuple(asked), key, items)


def render_ecgs(
    vocabulary: Vocabulary,
    ecgs: Sequence[Sequence[int] | np.ndarray | None],
    backgrounds: Sequence[str],
    neighbours: Sequence[Sequence[Neighbour]] | None = None,
) -> tuple[list[int], list[bool]]:
    """``(ids, mask)`` of the shared prefix; the mask is true for the codes of ECGs and the end markers after them.

    ecgs: the codes of each ECG; None omits it but keeps its markers. backgrounds: one per ECG. neighbours: similar
    recordings of each ECG; None: of none.
    """
    chat, bos = vocabulary.chat, vocabulary.tokenizer.bos_token_id
    ids = [] if bos is None or chat else [bos]
    of_ecg = [False] * len(ids)
    neighbours = [()] * len(ecgs) if neighbours is None else neighbours
    similar = [neighbours_text(each) for each in neighbours]
    opening = chat.opening if chat else ""
    if vocabulary.in_system and any(similar):
        opening = vocabulary.escaped(system_text(similar)).join(chat.system)
        similar = [""] * len(ecgs)
    for number, (codes, background, others) in enumerate(zip(ecgs, backgrounds, similar, strict=True)):
        inside = [] if codes is None else vocabulary.code_ids(codes)
        patient = patient_text(background) + others
        if chat:
            text = vocabulary.escaped(patient) + ECG_START
            before = vocabulary.ids_after_ecg(text) if number else vocabulary.ids(opening + text)
            after = []
        else:
            before, after = [vocabulary.start_id], vocabulary.text_ids(patient)
        ids += [*before, *inside, vocabulary.end_id, *after]
        of_ecg += [False] * len(before) + [bool(inside)] * (len(inside) + 1) + [False] * len(after)
    return ids, of_ecg


def render_prompt(
    vocabulary: Vocabulary, task: str, question: str = "", history: Sequence[tuple[str, str]] = ()
) -> list[int]:
    """Token ids of a question, up to the point where the answer begins."""
    return _render_conversation(vocabulary, task, question, history)[0]


def _render_conversation(
    vocabulary: Vocabulary, task: str, question: str, history: Sequence[tuple[str, str]]
) -> tuple[list[int], list[bool]]:
    """`render_prompt`, and which ids are those of earlier answers and their ends.

    Answers end with a special token, so what follows one is tokenized on its own.
    """
    ids: list[int] = []
    answers: list[bool] = []
    for asked, answered in history:
        before = _question_ids(vocabulary, task_of(asked), asked, later=bool(ids))
        whole = _question_ids(vocabulary, task_of(asked), asked, later=bool(ids), answered=answered)
        # A tokenizer may merge the first character of an answer into what a prompt ends with.
        same = next((k for k, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b), len(before))
        ids += whole
        answers += [False] * same + [True] * (len(whole) - same)
    asked_now = _question_ids(vocabulary, task, question, later=bool(history))
    return ids + asked_now, answers + [False] * len(asked_now)


def _question_ids(
    vocabulary: Vocabulary, task: str, question: str, later: bool, answered: str | None = None
) -> list[int]:
    """Token ids of one question, with its answer and what ends it if there is one. later: not the first question."""
    if chat := vocabulary.chat:
        asked = REPORT if task == REPORT_TASK else vocabulary.timed(vocabulary.escaped(question.strip())) or REPORT
        text = (chat.between.removeprefix(chat.end) if later else "") + asked + chat.generation
        if answered is not None:
            text += chat.lead + vocabulary.escaped(answered.strip()) + chat.end
        return vocabulary.ids_after_answer(text) if later else vocabulary.ids_after_ecg(text)
    text = ("\n" if later else "") + vocabulary.timed(vocabulary.escaped(prompt_text(task, question)))
    text += "" if answered is None else f" {vocabulary.escaped(answered)}"
    ids = vocabulary.ids_after_answer(text) if later else vocabulary.ids(text)
    return ids if answered is None else [*ids, vocabulary.tokenizer.eos_token_id]


def with_codes(vocabulary: Vocabulary, ids: list[int], ecgs: Sequence[PreparedECG | None]) -> list[int]:
    """Ids of a question or turn, with the codes that lie in its ranges of times if it is about one ECG."""
    if len(ecgs) != 1 or ecgs[0] is None:
        return ids
    return vocabulary.with_codes(ids, ecgs[0].token_ids if ecgs[0].in_ranges is None else ecgs[0].in_ranges)


def patient_text(background: str) -> str:
    return f"Patient: {background}.\n" if background else ""


def neighbours_text(neighbours: Sequence[Neighbour]) -> str:
    """A line for prompts; distances are shown to people only."""
    parts = [f"({number}) {each.text}" for number, each in enumerate(neighbours, start=1)]
    return f"Similar ECGs: {' '.join(parts)}\n" if parts else ""


def system_text(similar: Sequence[str]) -> str:
    """The system message of NEIGHBOUR_PLACE=system; of several ECGs, every line says which it is about.

    similar: of each ECG, `neighbours_text` or "".
    """
    several = len(similar) > 1
    return "".join(f"ECG {k}: {line}" if several else line for k, line in enumerate(similar, 1) if line).strip()


def prompt_text(task: str, question: str = "", history: Sequence[tuple[str, str]] = ()) -> str:
    """The text of a prompt, without ECGs. history: earlier questions, as `task_of` takes them, and their answers."""
    before = "".join(f"{prompt_text(task_of(asked), asked)} {answered}\n" for asked, answered in history)
    return before + TASKS[task].prompt.format(question=question)


def answer_text(answers: Sequence[str]) -> str:
    """Several answers joined by full stops, as in HeartLLM, whose exact match splits them there."""
    return ".".join(answers)


def render_answer(vocabulary: Vocabulary, answers: Sequence[str]) -> list[int]:
    """Token ids of an answer and its end."""
    if chat := vocabulary.chat:
        answer = chat.lead + vocabulary.escaped(answer_text(answers).strip()) + chat.end
        before, whole = (vocabulary.ids_after_ecg(chat.generation + text) for text in ("", answer))
        # A tokenizer may merge the first character of an answer into what a prompt ends with.
        unmerged = whole[: len(before)] == before
        return whole[len(before) :] if unmerged else vocabulary.ids_after_ecg(answer)
    return [*vocabulary.text_ids(" " + answer_text(answers)), vocabulary.tokenizer.eos_token_id]


def render_turn(vocabulary: Vocabulary, example: Example) -> tuple[list[int], list[bool]]:
    """``(ids, loss mask)`` of one question or report with its answer, which follows the ids of `render_ecgs`.

    The answers of earlier questions in a conversation are supervised as well.
    """
    prompt, earlier = _render_conversation(vocabulary, example.task, example.question, example.history)
    answer = render_answer(vocabulary, example.answers)
    return prompt + answer, earlier + [True] * len(answer)


def visualise(vocabulary: Vocabulary, ids: Sequence[int], mask: Sequence[bool], colours: bool = True) -> str:
    """The tokens for people: supervised ones in green and ECG codes in grey, or supervised ones after a +."""
    parts = []
    for token, supervised in zip(ids, mask, strict=True):
        colour = "32" if supervised else "90" if token in vocabulary.new_ids else "0"
        text = vocabulary.tokenizer.decode([token]).replace("\n", "\\n")
        parts.append(f"\033[{colour}m{text}\033[0m" if colours else f"{'+' * supervised}{text}")
    return "|".join(parts)
