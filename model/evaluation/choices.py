"""The candidate answers of an evaluation that ranks answers instead of generating them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cardiolect.model.evaluation.floors import ANSWER_LISTS
from cardiolect.model.prompt.rendering import answer_text
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import AnswerLists
from cardiolect.utils.metrics.answer_counts import AnsweredQuestion

TABLE = "answers_for_each_template.csv"  # ECG-QA's


def answer_lists(checkpoint: Path, info: Mapping[str, Any], table: Path | None = None) -> AnswerLists:
    """The answer lists that a checkpoint keeps, followed by the single answers of ``table`` if there is one.

    checkpoint: its folder, for the message. info: its cardiolect.json. Raises `UserError` if there are no lists.
    """
    if ANSWER_LISTS not in info and table is None and info.get("stage") == "pretrain":
        raise UserError(f"{checkpoint}: was pretrained only, and so keeps no answer lists: run finetune.sh first")
    if ANSWER_LISTS not in info and table is None:
        raise UserError(
            f"{checkpoint}: was fine-tuned before answer lists were kept; fine-tune again, or set ANSWER_LISTS={TABLE}"
        )
    kept = AnswerLists.from_json(info[ANSWER_LISTS]) if ANSWER_LISTS in info else None
    if table is None:
        return kept
    single = AnswerLists.from_table(table)
    return kept.extended(single) if kept else single


def coverage(
    questions: Sequence[AnsweredQuestion],
    candidates: Sequence[Sequence[tuple[str, ...]]],
    match: Callable[[str, Sequence[str]], bool],
) -> dict[str, float | int | dict[str, int]]:
    """How many samples have no right answer among their candidates, which limits exact match.

    match: whether a text is right, by the definition of the scores.

    Returns ``n`` samples; ``outside``, the number without a right candidate, and ``outside_by_type``, the same per
    question type; ``ceiling``, the share that can be right; ``mean_candidates`` per sample.
    """
    outside = [
        q.question_type
        for q, sets in zip(questions, candidates, strict=True)
        if not any(match(answer_text(answers), q.answers) for answers in sets)
    ]
    n = len(questions)
    return {
        "n": n,
        "outside": len(outside),
        "outside_by_type": dict(sorted(Counter(outside).items())),
        "ceiling": 1 - len(outside) / n,
        "mean_candidates": sum(map(len, candidates)) / n,
    }
