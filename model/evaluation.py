"""Evaluation of a checkpoint: the same questions under several conditions, scored beside their floors.

Samples are dealt to the ranks and gathered by index: any number of ranks gives the scores of one.
"""

import hashlib
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import exp

import torch
from tqdm import tqdm

from data_provider.code_cache import CodeCache
from data_provider.corpus import known_recordings, load_splits
from data_provider.examples import Example
from data_provider.seen import load_seen, seen_again
from data_provider.simulator.reports import load_true_findings
from model.checkpoint import Checkpoint, fingerprint, load_checkpoint, longest_sequence
from model.generation import Prompt, generate_texts
from model.journal import Answer, Journal
from model.rendering import answer_text, render_ecgs, render_prompt
from model.results.conditions import MAJORITY, MAJORITY_PER_QUESTION, WITH_ECG
from model.results.document import RESULT, tables, write_result
from model.results.samples import PREDICTIONS, samples_of
from model.settings import EvalSettings
from model.shown import Shown, shown_under
from model.stages import open_code_cache
from model.vocabulary import Vocabulary
from utils import launch
from utils.errors import UserError
from utils.metrics import NO, YES, MajorityAnswers

# Of the settings, what an answer depends on; the checkpoint and the data come with fingerprints of their own.
DECIDING = ("precision", "new_tokens", "seed")


def evaluate(settings: EvalSettings) -> dict:
    """Evaluate by ``settings``; writes predictions.jsonl, result.json and tables to OUTPUT_DIR, returns the result."""
    started = time.time()
    checkpoint = load_checkpoint(settings.checkpoint, settings.precision)
    examples, cache = _examples(checkpoint, settings)
    provenance = {"checkpoint": _provenance(checkpoint, settings), "data": _data(examples, cache)}
    journal = Journal(settings.output_dir, _journal_key(provenance, settings))
    answers: dict[str, list[Answer]] = {}
    asked = dict.fromkeys(e.records for e in examples)
    turn = {refs: k % launch.world_size() for k, refs in enumerate(asked)}  # an ECG's questions share a rank
    mine = [e for e in examples if turn[e.records] == launch.rank()]
    for condition in (WITH_ECG, *settings.floor_conditions):
        records = list(dict.fromkeys(e.records for e in mine))
        shown = shown_under(condition, list(asked), records, checkpoint.ecg_tokenizer, cache, settings)
        if shown is None:
            if launch.is_main():
                print(f"{condition}: left out, not every sample has one of another patient")
            continue
        found = dict(_answers(checkpoint, mine, shown, condition, journal, settings))
        parts = launch.gather(found)
        found = {sample_id: answer for part in parts for sample_id, answer in part.items()}
        answers[condition] = [found[e.sample_id] for e in examples]
    result: dict = {}
    if launch.is_main():
        samples = _answered(examples, answers, checkpoint, settings)
        provenance["seconds"] = round(time.time() - started, 1)
        result = write_result(settings.output_dir, samples, settings.model_dump(mode="json"), provenance)
        written = tables(result)
        print(written["scores.txt"])
        print(f"{', '.join([PREDICTIONS, RESULT, *written])} are in {settings.output_dir}")
    journal.finish()
    return result


def _examples(checkpoint: Checkpoint, settings: EvalSettings) -> tuple[list[Example], CodeCache]:
    """What is asked, and the codes of its recordings."""
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
    return examples, cache


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


def _provenance(checkpoint: Checkpoint, settings: EvalSettings) -> dict:
    info = checkpoint.info
    return {
        "fingerprint": launch.gather(fingerprint(settings.checkpoint) if launch.is_main() else "")[0],
        "stage": info.get("stage"),
        "seed": info.get("settings", {}).get("seed"),
        "data_fingerprint": info.get("data_fingerprint"),
        "ecg_tokenizer_fingerprint": info.get("ecg_tokenizer_fingerprint"),
        "versions": info.get("versions"),
    }


def _data(examples: Sequence[Example], cache: CodeCache) -> dict[str, str]:
    """Hashes of what is asked and of the ECGs as the tokenizer wrote them."""
    texts, codes = hashlib.sha256(), hashlib.sha256()
    for e in sorted(examples, key=lambda e: e.sample_id):
        texts.update(json.dumps([e.sample_id, e.record_ids, e.question, e.answers, e.backgrounds]).encode())
    for ref in sorted({ref.record_id: ref for e in examples for ref in e.records}.items()):
        codes.update(ref[0].encode() + cache.codes(ref[1]).tobytes())
    return {"texts_fingerprint": texts.hexdigest()[:16], "codes_fingerprint": codes.hexdigest()[:16]}


def _journal_key(provenance: dict, settings: EvalSettings) -> str:
    deciding = {name: getattr(settings, name) for name in DECIDING}
    return json.dumps([provenance["checkpoint"]["fingerprint"], provenance["data"], deciding])


def _answers(
    checkpoint: Checkpoint, examples: Sequence[Example], shown: Shown, condition: str, journal: Journal,
    settings: EvalSettings,
) -> Iterator[tuple[str, Answer]]:  # fmt: skip
    """``(sample id, answer)`` of every example; what the journal knows is not asked again."""
    vocabulary = checkpoint.vocabulary
    todo = []
    for e in examples:
        if answer := journal.known.get((condition, e.sample_id)):
            yield e.sample_id, answer
        else:
            todo.append(e)
    prompts = [
        Prompt(
            tuple(render_ecgs(vocabulary, shown(e.records), e.backgrounds)[0]),
            tuple(render_prompt(vocabulary, e.task, e.question, e.history)),
        )
        for e in todo
    ]
    _check_lengths(checkpoint, todo, prompts, settings)
    on_gpu = settings.device != "cpu" and torch.cuda.is_available()
    model = checkpoint.model.to("cuda" if on_gpu else "cpu").eval()
    texts = generate_texts(
        model, vocabulary, prompts, settings.new_tokens, settings.batch_size, yes_no_tokens(vocabulary)
    )
    done = len(examples) - len(todo)
    bar = tqdm(
        texts, total=len(examples), initial=done, desc=condition, unit="answer", disable=not launch.is_main(),
        mininterval=1,
    )  # fmt: skip
    for i, said in bar:
        e = todo[i]
        margin = None
        if said.watched and e.question_type.endswith("verify"):
            margin = round(said.watched[0] - said.watched[1], 4)
        answer = Answer(said.text, round(exp(said.logprob), 6), margin)
        journal.add(condition, e.sample_id, answer)
        yield e.sample_id, answer


def _check_lengths(
    checkpoint: Checkpoint, examples: Sequence[Example], prompts: Sequence[Prompt], settings: EvalSettings
) -> None:
    limit = longest_sequence(checkpoint.model)
    for e, prompt in zip(examples, prompts, strict=True):
        if limit and len(prompt.prefix) + len(prompt.question) + settings.new_tokens > limit:
            raise UserError(
                f"record {' and '.join(e.record_ids)}: ECG, question and MAX_NEW_TOKENS make more than the {limit} "
                "tokens that the language model takes"
            )


def yes_no_tokens(vocabulary: Vocabulary) -> tuple[int, ...]:
    """The tokens of yes and no, whose logits are compared; none where one of them takes several tokens."""
    words = [vocabulary.text_ids(f" {word}") for word in (YES, NO)]
    return tuple(ids[0] for ids in words) if all(len(ids) == 1 for ids in words) else ()


def _answered(examples: Sequence[Example], answers: dict[str, list[Answer]], checkpoint: Checkpoint, settings):
    """The samples with what was said of them, and with the floors that need no model."""
    majority = None
    if settings.tasktype == "qa" and "majority_answers" in checkpoint.info:
        majority = MajorityAnswers.from_json(checkpoint.info["majority_answers"])
    truths = None
    if settings.tasktype == "report" and len(settings.data_root) == 1:
        truths = load_true_findings(settings.data_root[0])
    samples = []
    for i, (example, sample) in enumerate(zip(examples, samples_of(examples), strict=True)):
        said = {condition: given[i] for condition, given in answers.items()}
        texts = {condition: answer.text for condition, answer in said.items()}
        if majority:
            for name, level in ((MAJORITY, "template"), (MAJORITY_PER_QUESTION, "question")):
                texts[name] = answer_text(majority.predict(example, level))
        samples.append(replace(
            sample,
            predictions=texts,
            probabilities={condition: answer.probability for condition, answer in said.items()},
            yes_margins={c: answer.yes_margin for c, answer in said.items() if answer.yes_margin is not None},
            findings=None if truths is None else tuple(sorted(truths[example.records[0].record_id])),
        ))  # fmt: skip
    return samples
