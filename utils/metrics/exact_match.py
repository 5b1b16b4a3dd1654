"""Exact match of answer sets, as HeartLLM scores ECG-QA."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from utils.errors import UserError

_GROUP_NAMES = {"question_type": "type", "attribute_type": "attribute"}


def answer_set_heartllm(text: str) -> set[str]:
    """The set of answers in generated text, which joins them by "." without a space.

    Only the ends of the whole text are stripped: "a. b" holds "a" and " b". A trailing "." adds the empty answer, and
    the empty text holds it alone.
    """
    return set(text.strip().split("."))


def exact_match(prediction: str, answers: Sequence[str]) -> bool:
    """Whether a generated answer names exactly the gold answers (HeartLLM's definition).

    Order and repetition do not matter, case and inner spaces do. By the quirks of `answer_set_heartllm` a right answer
    that ends in "." scores wrong, and so does a gold answer that itself contains a "."; ECG-QA has none.
    """
    if isinstance(answers, str):
        raise UserError(f"gold answers must be a list of strings, not the single string {answers!r}")
    return answer_set_heartllm(prediction) == set(answers)


def exact_match_by(
    records: Iterable[Mapping[str, Any]],
    keys: Sequence[str] = ("question_type", "attribute_type"),
    match: Callable[[str, Sequence[str]], bool] = exact_match,
) -> dict[str, Any]:
    """Exact match over records with ``prediction``, ``answers`` and the grouping ``keys``; ``match`` decides each.

    Returns ``em`` and ``n`` over all records, ``em_by_type`` / ``em_by_attribute`` (``em_by_<key>`` for other keys) as
    ``{group: {"em", "n"}}``, and ``em_macro``, the mean over the groups of the first key, each counting once. Scores
    are fractions. What has no records has no entry: a record whose key is absent or empty joins no group, and no
    records at all give ``{}``.
    """
    hits: list[bool] = []
    grouped: dict[str, dict[str, list[bool]]] = {key: defaultdict(list) for key in keys}
    for index, record in enumerate(records):
        if missing := {"prediction", "answers"} - record.keys():
            raise UserError(f"record {index} has no {' and no '.join(sorted(missing))}")
        hit = match(record["prediction"], record["answers"])
        hits.append(hit)
        for key in keys:
            if group := record.get(key):
                grouped[key][group].append(hit)
    if not hits:
        return {}

    result: dict[str, Any] = {"em": fmean(hits), "n": len(hits)}
    for key, groups in grouped.items():
        if groups:
            table = {group: {"em": fmean(values), "n": len(values)} for group, values in sorted(groups.items())}
            result[f"em_by_{_GROUP_NAMES.get(key, key)}"] = table
    if keys and grouped[keys[0]]:
        result["em_macro"] = fmean(fmean(values) for values in grouped[keys[0]].values())
    return result
