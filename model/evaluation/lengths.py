"""Recordings that are longer than training's, and samples that are too long for the language model."""

from collections.abc import Mapping, Sequence
from typing import Any

from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.ecg_tokenizer.cached import CachedECGs
from cardiolect.model.evaluation.answers import Candidates
from cardiolect.model.evaluation.conditions import OTHER_ECG
from cardiolect.model.evaluation.settings import CheckpointSettings
from cardiolect.model.llm.checkpoint import Checkpoint, longest_sequence
from cardiolect.model.prompt.rendering import (
    neighbours_text,
    render_answer,
    render_ecgs,
    render_prompt,
    system_text,
)
from cardiolect.model.prompt.vocabulary import Vocabulary


def record_seconds(info: Mapping[str, Any], settings: CheckpointSettings) -> float:
    """Seconds of longer recordings that are evaluated, 0: all. As in training, unless RECORD_SECONDS says otherwise."""
    trained = info.get("settings", {}).get("record_seconds", 0.0)
    return trained if settings.record_seconds is None else settings.record_seconds


def fitting(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    ecgs: CachedECGs,
    settings: CheckpointSettings,
    lists: Candidates | None,
) -> tuple[list[Example], dict[str, Any]]:
    """The examples that the language model can take, and figures for result.json.

    An example is kept if its ECGs, its text and the longest answer fit; under the condition other_ecg also with the
    longest ECGs of the others that are kept, one of which it may get.
    """
    limit, vocabulary = longest_sequence(checkpoint.model), checkpoint.vocabulary
    tokens = {ref: ecgs.num_tokens(ref) + _similar(vocabulary, ref, ecgs) for e in examples for ref in e.records}
    sizes = [(sum(tokens[ref] for ref in e.records), _text(vocabulary, e, settings, lists)) for e in examples]
    kept = [i for i, size in enumerate(sizes) if limit is None or sum(size) <= limit]
    if limit is not None and OTHER_ECG in settings.floor_conditions:
        longest = max((tokens[ref] for i in kept for ref in examples[i].records), default=0)
        kept = [i for i in kept if longest * len(examples[i].records) + sizes[i][1] <= limit]
    figures = {
        "record_seconds": ecgs.seconds,
        "recordings": len(tokens),
        "cropped_recordings": ecgs.cropped(tokens),
        "samples": len(examples),
        "unfit_samples": len(examples) - len(kept),
        "most_tokens": limit,
        "longest_tokens": max(map(sum, sizes), default=0),
    }
    return [examples[i] for i in kept], figures


def _similar(vocabulary: Vocabulary, ref: RecordRef, ecgs: CachedECGs) -> int:
    """Tokens of the texts of similar recordings, or of random ones if they are longer; in a system message, at most."""
    each = (of_all.get(ref.record_id, ()) for of_all in (ecgs.neighbours, ecgs.random_neighbours))
    lines = [neighbours_text(similar) for similar in each]
    if vocabulary.in_system:
        return max(len(vocabulary.ids(system_text((line, "")).join(vocabulary.chat.system))) for line in lines)
    return max(len(vocabulary.text_ids(line)) for line in lines)


def _text(vocabulary, example: Example, settings: CheckpointSettings, lists: Candidates | None) -> int:
    """Tokens of everything but ECGs and what is similar to them: the patient, the question and the longest answer."""
    room = settings.new_tokens
    for candidate in lists.candidates(example) if lists else ():
        room = max(room, len(render_answer(vocabulary, candidate)))
    before, _ = render_ecgs(vocabulary, [[] for _ in example.records], example.backgrounds)
    return len(before) + len(render_prompt(vocabulary, example.task, example.question, example.history)) + room


def lengths_line(lengths: Mapping[str, Any]) -> str:
    """What the length of recordings and texts changed; "" if nothing. lengths: figures of `fitting`."""
    parts = []
    if lengths.get("cropped_recordings"):
        parts.append(
            f"{lengths['cropped_recordings']} of {lengths['recordings']} recordings are longer than RECORD_SECONDS="
            f"{lengths['record_seconds']:g}; their first {lengths['record_seconds']:g} s are evaluated"
        )
    if unfit := lengths.get("unfit_samples", lengths.get("left_out_samples")):  # the name in results of older versions
        parts.append(
            f"{unfit} of {lengths['samples']} samples are left out, because ECG, question and "
            f"answer may exceed the {lengths['most_tokens']} tokens that the language model takes; the longest has "
            f"{lengths['longest_tokens']}; set RECORD_SECONDS or a smaller MAX_NEW_TOKENS"
        )
    return "; ".join(parts)
