"""Examples for the page of a result: ECGs drawn on paper, shaded where a closed answer depended on them."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cardiolect.data_provider.examples import QA_TASK, REPORT_TASK, Example, RecordRef
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import LEADS, windows_of
from cardiolect.ecg_tokenizer.base import PreparedECG
from cardiolect.ecg_tokenizer.cached import CachedECGs
from cardiolect.model.evaluation.closed import is_closed
from cardiolect.model.evaluation.conditions import WITH_ECG
from cardiolect.model.evaluation.numbers import in_exact_match
from cardiolect.model.evaluation.page import PageExample
from cardiolect.model.evaluation.samples import Sample
from cardiolect.model.inference.attribution import attribute_to_codes
from cardiolect.model.llm.checkpoint import Checkpoint
from cardiolect.model.prompt.rendering import render_answer, render_prefix, render_prompt, with_codes
from cardiolect.model.prompt.tasks import TASKS, task_of
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import NO, YES, definition
from cardiolect.utils.plots import draw_ecg_paper
from cardiolect.utils.progress import progress


def choose(samples: Sequence[Sample], metrics: str, count: int, seed: int) -> list[int]:
    """Indices of ``count`` samples drawn by ``seed``, half with right and half with wrong answers if possible.

    They are drawn from those that exact match counts.
    """
    order = random.Random(seed).sample(range(len(samples)), len(samples))
    counted = {sample.sample_id for sample in in_exact_match(samples)}
    order = [i for i in order if samples[i].sample_id in counted]
    if not TASKS[samples[0].task].exact_match:
        return sorted(order[:count])
    match = definition(metrics).match
    right = [i for i in order if match(samples[i].predictions[WITH_ECG], samples[i].answers)]
    wrong = [i for i in order if i not in set(right)]
    hits = min(len(right), max(count - count // 2, count - len(wrong)))
    return sorted([*right[:hits], *wrong[: count - hits]])


def draw_examples(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    samples: Sequence[Sample],
    ecgs: CachedECGs,
    metrics: str,
) -> list[PageExample]:
    """Draw the ECGs of the samples; a sample whose recording can no longer be read is left out."""
    drawn = []
    both = zip(examples, samples, strict=True)
    for example, sample in progress(both, total=len(samples), desc="examples for the page", unit="sample", delay=3):
        shading = [None] * len(example.records)
        if is_closed(sample):
            shading = shades(checkpoint, example, sample.predictions[WITH_ECG], list(map(ecgs.ecg, example.records)))
        try:
            pictures = [_draw(ref, shade, ecgs.seconds) for ref, shade in zip(example.records, shading, strict=True)]
        except UserError as error:
            tqdm.write(f"sample {sample.sample_id} is not shown: {error}")
            continue
        right = None
        if TASKS[sample.task].exact_match:
            right = definition(metrics).match(sample.predictions[WITH_ECG], sample.answers)
        drawn.append(PageExample(sample, pictures, right))
    return drawn


def _draw(ref: RecordRef, shading, seconds: float):
    record = windows_of(read_record(ref, check_leads=False), seconds, every=False)[0]  # refused or allowed before
    return draw_ecg_paper(record.visible, record.fs, LEADS, f"Recording {ref.record_id}", shading=shading)


def shades(checkpoint: Checkpoint, example: Example, answer: str, ecgs: Sequence[PreparedECG]) -> list:
    """The times of an example's ECGs on which ``answer`` depended.

    Returns ``(starts, ends, weights)`` per ECG, times in seconds, for `draw_ecg_paper`. Yes is contrasted with no, and
    other answers with all alternatives.
    """
    vocabulary = checkpoint.vocabulary
    prefix, of_ecg, items = render_prefix(vocabulary, ecgs, example.backgrounds)
    other = {YES: NO, NO: YES}.get(answer)
    weights = attribute_to_codes(
        checkpoint.model,
        vocabulary,
        prefix,
        of_ecg,
        with_codes(vocabulary, render_prompt(vocabulary, example.task, example.question, example.history), ecgs),
        render_answer(vocabulary, [answer]),
        None if other is None else render_answer(vocabulary, [other]),
        items,
    )
    found, start = [], 0
    for ecg in ecgs:
        times = checkpoint.representation.times(ecg.item)
        own = weights[start : start + len(times)]
        found.append((times[:, 0], times[:, 1], own))
        start += len(times)
    return found


def shade_yes_or_no(
    checkpoint: Checkpoint,
    ecg: PreparedECG,
    question: str,
    answer: str,
    patient: str = "",
    history: Sequence[tuple[str, str]] = (),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`shades` of one ECG. Raises `UserError` unless the answer is yes or no."""
    if task_of(question) == REPORT_TASK or answer not in (YES, NO):
        raise UserError("only an answer of yes or no can be traced back to times of the ECG")
    ref = RecordRef("", Path(), background=patient)
    example = Example("", (ref,), QA_TASK, question, (), background=patient, history=tuple(history))
    return shades(checkpoint, example, answer, [ecg])[0]
