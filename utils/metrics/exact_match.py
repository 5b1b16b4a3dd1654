"""Exact match of answer sets, as HeartLLM scores ECG-QA."""

from collections.abc import Sequence

from cardiolect.utils.errors import UserError


def answer_set_heartllm(text: str) -> set[str]:
    """The set of answers in generated text, which joins them by "." without a space.

    Only the ends of the whole text are stripped: "a. b" gives "a" and " b". A trailing "." adds an empty answer, and
    the empty text gives only that.
    """
    return set(text.strip().split("."))


def exact_match(prediction: str, answers: Sequence[str]) -> bool:
    """Whether a generated answer names exactly the gold answers (HeartLLM's definition).

    Order and repetition do not matter, case and inner spaces do. Because of the quirks of `answer_set_heartllm`, a
    right answer that ends in "." is scored as wrong, and so is any answer if a gold answer contains a "."; ECG-QA has
    none.
    """
    if isinstance(answers, str):
        raise UserError(f"gold answers must be a list of strings, not the single string {answers!r}")
    return answer_set_heartllm(prediction) == set(answers)
