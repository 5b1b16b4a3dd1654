"""Evaluation of a checkpoint: predictions under several conditions, scores beside their floors.

Conditions are `with_ecg`, and as floors `no_ecg` (the same prompt without the codes) and `other_ecg` (the codes of
another patient's recording). Samples are dealt to the ranks and gathered by index: any number of ranks gives the
scores of one.
"""

import json
import random
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from data_provider.code_cache import CodeCache
from data_provider.corpus import known_recordings, load_splits
from data_provider.examples import Example, RecordRef
from data_provider.seen import load_seen, seen_again
from model.checkpoint import Checkpoint, load_checkpoint, longest_sequence
from model.generation import Generated, Prompt, generate_texts
from model.rendering import render_ecgs, render_prompt
from model.scoring import score, scores_table, verify_table
from model.settings import EvalSettings
from model.stages import open_code_cache
from model.vocabulary import Vocabulary
from utils import launch
from utils.errors import UserError
from utils.metrics import NO, YES

CONDITIONS = ("with_ecg", "no_ecg", "other_ecg")


def evaluate(settings: EvalSettings) -> dict:
    """Evaluate by ``settings``: predictions.jsonl, scores.json and scores.txt in OUTPUT_DIR; returns the scores."""
    started = time.time()
    checkpoint = load_checkpoint(settings.checkpoint, settings.precision)
    examples = load_splits(settings, ("test",), task=settings.tasktype)["test"].examples
    cache = open_code_cache(checkpoint.ecg_tokenizer, [ref for e in examples for ref in e.records], settings)
    examples = [e for e in examples if all(ref in cache for ref in e.records)]
    examples = _without_seen_patients(examples, settings)
    if settings.max_samples and len(examples) > settings.max_samples:
        kept = random.Random(settings.seed).sample(range(len(examples)), settings.max_samples)
        examples = [examples[i] for i in sorted(kept)]
    if not examples:
        raise UserError(
            f"no {settings.tasktype} sample to evaluate: check TEST_DATA, TEST_FOLDS, TASKTYPE and KEEP_SEEN_PATIENTS"
        )
    others = another_patient((e.records for e in examples), settings.seed)

    predictions: dict[str, list[str]] = {}
    margins: dict[str, list[float]] = {}
    for condition in CONDITIONS if settings.floors else CONDITIONS[:1]:
        if condition == "other_ecg" and any(e.record_ids not in others for e in examples):
            print("not every sample has one of another patient: no floor with another patient's ECG")
            continue
        ecgs = [_shown(example, condition, cache, others) for example in examples]
        said = _predict(checkpoint, examples, ecgs, condition, settings)
        predictions[condition] = [answer.text for answer in said]
        if said[0].watched:
            margins[condition] = [answer.watched[0] - answer.watched[1] for answer in said]
    result: dict = {}
    if launch.is_main():
        result = score(examples, predictions, margins, settings, checkpoint.info)
        result["seconds"] = round(time.time() - started, 1)
        _write(settings.output_dir, examples, predictions, margins, result)
    launch.barrier()
    return result


def _shown(example: Example, condition: str, cache: CodeCache, others: dict) -> list[np.ndarray | None]:
    """The codes that stand in the prompt, one for each recording that the question is about."""
    if condition == "no_ecg":
        return [None] * len(example.records)
    return [cache.codes(ref) for ref in (others[example.record_ids] if condition == "other_ecg" else example.records)]


def _without_seen_patients(examples: list[Example], settings: EvalSettings) -> list[Example]:
    """Leave out samples of patients on whom any stage of the checkpoint was trained or selected."""
    corpus = known_recordings(settings.data_root).values()
    seen = seen_again([ref for e in examples for ref in e.records], corpus, load_seen(settings.checkpoint))
    kept = [e for e in examples if seen.isdisjoint(e.record_ids)]
    if launch.is_main() and len(kept) < len(examples):
        what = "of patients that a training stage of the checkpoint has seen"
        if settings.keep_seen_patients:
            print(f"warning: {len(examples) - len(kept)} of {len(examples)} samples are {what}; the scores flatter")
        else:
            print(f"left out {len(examples) - len(kept)} of {len(examples)} samples {what}")
    return examples if settings.keep_seen_patients else kept


def another_patient(asked: Iterable[tuple[RecordRef, ...]], seed: int) -> dict[tuple[str, ...], tuple[RecordRef, ...]]:
    """Ids of the recordings that are asked about together -> as many recordings of other patients.

    Spread evenly. A comparison gets another one's recordings, of as many patients, so that what the two have to do with
    each other stays alike; any of other patients where there is none. What has no such partner has no entry.
    """
    together = {tuple(ref.record_id for ref in refs): refs for refs in asked}
    whose = {ids: [ref.patient_id or ref.record_id for ref in refs] for ids, refs in together.items()}
    pool = sorted(together, key=lambda ids: (whose[ids], ids))
    random.Random(seed).shuffle(pool)
    single = {ref.record_id: ref for refs in together.values() for ref in refs}
    partner = {}
    for i, ids in enumerate(pool):
        patients = set(whose[ids])
        for step in range(1, len(pool)):
            other = pool[(i + step) % len(pool)]
            alike = len(other) == len(ids) and len(set(whose[other])) == len(patients)
            if alike and patients.isdisjoint(whose[other]):
                partner[ids] = together[other]
                break
        else:
            strangers = {}  # patient -> recording
            for ref in single.values():
                strangers.setdefault(ref.patient_id or ref.record_id, ref)
            found = [ref for patient, ref in strangers.items() if patient not in patients][: len(ids)]
            if len(found) == len(ids):
                partner[ids] = tuple(found)
    return partner


def _predict(
    checkpoint: Checkpoint, examples: list[Example], ecgs: list, condition: str, settings: EvalSettings
) -> list[Generated]:
    """One text per example, on every rank; each rank generates its share."""
    vocabulary = checkpoint.vocabulary
    asked = dict.fromkeys(e.record_ids for e in examples)
    turn = {ids: k % launch.world_size() for k, ids in enumerate(asked)}  # an ECG's questions share a rank
    mine = [i for i, e in enumerate(examples) if turn[e.record_ids] == launch.rank()]
    prompts = [
        Prompt(
            tuple(render_ecgs(vocabulary, ecgs[i], examples[i].backgrounds)[0]),
            tuple(render_prompt(vocabulary, examples[i].task, examples[i].question, examples[i].history)),
        )
        for i in mine
    ]
    limit = longest_sequence(checkpoint.model)
    for i, prompt in zip(mine, prompts, strict=True):
        if limit and len(prompt.prefix) + len(prompt.question) + settings.new_tokens > limit:
            raise UserError(
                f"record {' and '.join(examples[i].record_ids)}: ECG, question and MAX_NEW_TOKENS make more than the "
                f"{limit} tokens that the language model takes"
            )
    on_gpu = settings.device != "cpu" and torch.cuda.is_available()
    model = checkpoint.model.to("cuda" if on_gpu else "cpu").eval()
    texts = generate_texts(
        model, vocabulary, prompts, settings.new_tokens, settings.batch_size, yes_no_tokens(vocabulary)
    )
    bar = tqdm(texts, total=len(prompts), desc=condition, unit="answer", disable=not launch.is_main(), mininterval=1)
    found = {mine[k]: answer for k, answer in bar}
    if launch.world_size() > 1:
        shares: list[dict[int, Generated]] = [{} for _ in range(launch.world_size())]
        torch.distributed.all_gather_object(shares, found)
        found = {i: answer for share in shares for i, answer in share.items()}
    return [found[i] for i in range(len(examples))]


def yes_no_tokens(vocabulary: Vocabulary) -> tuple[int, ...]:
    """The tokens of yes and no, whose logits are compared; none where one of them takes several tokens."""
    words = [vocabulary.text_ids(f" {word}") for word in (YES, NO)]
    return tuple(ids[0] for ids in words) if all(len(ids) == 1 for ids in words) else ()


def _write(
    folder: Path,
    examples: list[Example],
    predictions: dict[str, list[str]],
    margins: dict[str, list[float]],
    result: dict,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "predictions.jsonl", "w") as file:
        for i, example in enumerate(examples):
            row = {
                "sample_id": example.sample_id,
                "record_ids": list(example.record_ids),
                "question": example.question,
                "question_type": example.question_type,
                "attribute_type": example.attribute_type,
                "template_id": example.template_id,
                "answers": list(example.answers),
                "provenance": example.provenance,
                **{condition: texts[i] for condition, texts in predictions.items()},
            }
            if margins and example.question_type.endswith("verify"):
                row["yes_margin"] = {condition: round(values[i], 4) for condition, values in margins.items()}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    (folder / "scores.json").write_text(json.dumps(result, indent=2) + "\n")
    table = scores_table(result)
    (folder / "scores.txt").write_text(table + "\n")
    print(table)
    written = "predictions.jsonl, scores.json and scores.txt"
    if result["task"] == "qa" and (verify := verify_table(result)):
        (folder / "verify.txt").write_text(verify + "\n")
        written = "predictions.jsonl, scores.json, scores.txt and verify.txt"
    print(f"{written} are in {folder}")
