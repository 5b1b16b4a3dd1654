"""Evaluates a checkpoint: the same questions under several conditions, with scores and floors.

Samples are distributed over the ranks and gathered by index, so scores do not depend on the number of ranks.
"""

import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cardiolect.data_provider.corpora.provenance import corpora_of
from cardiolect.data_provider.corpora.simulated_folder import load_true_findings
from cardiolect.data_provider.examples import Example
from cardiolect.data_provider.splits import load_splits
from cardiolect.data_provider.storage.remarks import Remark
from cardiolect.ecg_tokenizer.cached import CachedECGs
from cardiolect.ecg_tokenizer.retrieval.corpus import figures_of
from cardiolect.model.evaluation.answers import Answer
from cardiolect.model.evaluation.asking import ask
from cardiolect.model.evaluation.choices import answer_lists, coverage
from cardiolect.model.evaluation.conditions import GENERATED, MAJORITY_IN_VALIDATION
from cardiolect.model.evaluation.examples import choose, draw_examples
from cardiolect.model.evaluation.floors import texts_without_model
from cardiolect.model.evaluation.lengths import fitting, lengths_line, record_seconds
from cardiolect.model.evaluation.neighbours import prepare_ecgs, with_neighbour_floors
from cardiolect.model.evaluation.numbers import in_exact_match
from cardiolect.model.evaluation.operating_point import OperatingPoint
from cardiolect.model.evaluation.page import PAGE, render_page
from cardiolect.model.evaluation.prevalence import prevalence_in
from cardiolect.model.evaluation.result import RESULT, tables, versions, write_result
from cardiolect.model.evaluation.resume import AnswerLog
from cardiolect.model.evaluation.samples import PREDICTIONS, Sample, samples_of
from cardiolect.model.evaluation.samples import fingerprint as texts_fingerprint
from cardiolect.model.evaluation.seen import SeenRecordings
from cardiolect.model.evaluation.settings import CheckpointSettings, EvalSettings
from cardiolect.model.evaluation.subgroups import Subgroups
from cardiolect.model.evaluation.verdict import not_taught, seen_alarm
from cardiolect.model.llm.checkpoint import Checkpoint, load_checkpoint
from cardiolect.model.llm.checkpoint_folder import bits_of, fingerprint
from cardiolect.model.prompt.tasks import MAJORITY_PER_QUESTION, TASKS
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import AnswerLists, definition
from cardiolect.utils.metrics.bertscore import BertScore

# Settings that an answer depends on; checkpoint and data have fingerprints of their own.
_OF_CORPUS = ("name", "version", "citation")
DECIDING = ("precision", "load_bits", "new_tokens", "seed", "answer_mode")


def evaluate(settings: EvalSettings) -> dict:
    """Evaluate a checkpoint and return the result.

    Writes predictions.jsonl, result.json, the page and tables to OUTPUT_DIR.
    """
    started = time.time()
    seen_recordings = SeenRecordings(settings)  # first: nothing can be said of a checkpoint that has lost its list
    operating_point = OperatingPoint(settings)
    checkpoint = load_checkpoint(
        settings.checkpoint, settings.precision, load_bits=settings.load_bits, device=settings.device
    )
    settings = with_neighbour_floors(checkpoint, settings)
    if settings.load_bits is None:
        settings = settings.model_copy(update={"load_bits": bits_of(checkpoint.info)})
    if launch.is_main() and (lacking := not_taught(checkpoint.info, settings.tasktype)):
        print(f"warning: {lacking}", flush=True)
    lists = None
    if settings.answer_mode == "choices":
        lists = answer_lists(settings.checkpoint, checkpoint.info, settings.answer_lists)
    if settings.bertscore_model and launch.is_main():
        BertScore(settings.bertscore_model, settings.bertscore_layer)  # fail before the work if it cannot be loaded
    examples, ecgs, seen_before, lengths = _examples(checkpoint, seen_recordings, settings, lists)
    provenance = {
        "checkpoint": checkpoint_provenance(checkpoint, settings),
        "seen": seen_before,
        "data": {
            **data_provenance(checkpoint, examples, ecgs),
            "lengths": lengths,
            "corpora": [{key: corpus[key] for key in _OF_CORPUS} for corpus in corpora_of(settings.data_root, "eval")],
        },
    }
    if TASKS[settings.tasktype].exact_match and launch.is_main():
        provenance["prevalence"] = prevalence_in(settings.data_root, {e.question for e in examples})
    if lists:
        counted = in_exact_match(examples)
        listed = coverage(counted, [lists.candidates(e) for e in counted], definition(settings.metrics).match)
        provenance["choices"] = {**listed, "fingerprint": _hash([lists.candidates(e) for e in examples])}
        provenance["operating_point"] = operating_point.describe(examples)
    log = AnswerLog(settings.output_dir, answer_key(provenance, settings))
    answered, answer_seconds = ask(checkpoint, examples, ecgs, log, settings, lists, generate=True)
    for condition in answered.keys() - {GENERATED} if lists else ():
        pairs = zip(examples, answered[condition], strict=True)
        answered[condition] = [operating_point.answer(e, answer) for e, answer in pairs]
    result: dict = {}
    if launch.is_main():
        samples = _samples(examples, answered, checkpoint, ecgs, settings, operating_point)
        provenance["seconds"] = round(time.time() - started, 1)
        provenance["answer_seconds"] = answer_seconds
        result = write_result(settings.output_dir, samples, settings.model_dump(mode="json"), provenance)
        written = tables(result)
        print(written["scores.txt"])
        _write_page(result, samples, examples, checkpoint, ecgs, settings)
        print(f"{', '.join([PREDICTIONS, RESULT, PAGE, *written])} are in {settings.output_dir}")
    log.finish()
    return result


def _write_page(
    result: dict,
    samples: Sequence[Sample],
    examples: Sequence[Example],
    checkpoint: Checkpoint,
    ecgs: CachedECGs,
    settings: EvalSettings,
) -> None:
    chosen = choose(samples, settings.metrics, settings.page_examples, settings.seed)
    drawn = draw_examples(
        checkpoint, [examples[i] for i in chosen], [samples[i] for i in chosen], ecgs, settings.metrics
    )
    (settings.output_dir / PAGE).write_text(render_page(result, drawn), encoding="utf-8")


def _examples(
    checkpoint: Checkpoint, seen: SeenRecordings, settings: EvalSettings, lists: AnswerLists | None
) -> tuple[list[Example], CachedECGs, dict[str, Any], dict[str, Any]]:
    """The examples to evaluate, the items of their recordings, how many of them training has seen, and `fitting`."""
    examples = load_splits(settings, ("test",), task=settings.tasktype)["test"].examples
    seconds = record_seconds(checkpoint.info, settings)
    refs = [ref for e in examples for ref in e.records]
    ecgs = prepare_ecgs(checkpoint, refs, settings, seconds)
    examples = [e for e in examples if all(ref in ecgs for ref in e.records)]
    asked = len(examples)
    left_out = seen.left_out(examples)
    dropped = {e.sample_id for e in left_out}
    if left_out and launch.is_main():
        print(
            f"left out {len(left_out)} of {asked} samples ({len(left_out) / asked:.1%}) of patients that a training "
            "stage of the checkpoint has seen"
        )
    examples = [e for e in examples if e.sample_id not in dropped]
    if settings.max_samples and len(examples) > settings.max_samples:
        kept = random.Random(settings.seed).sample(range(len(examples)), settings.max_samples)
        examples = [examples[i] for i in sorted(kept)]
    examples, lengths = fitting(checkpoint, examples, ecgs, settings, lists)
    if (line := lengths_line(lengths)) and launch.is_main():
        print(line)
    if not examples and line:
        raise UserError(f"no {settings.tasktype} sample to evaluate: {line}")
    if not examples:
        raise UserError(
            f"no {settings.tasktype} sample to evaluate: check TEST_DATA, TEST_FOLDS, TASKTYPE and KEEP_SEEN_PATIENTS"
        )
    counted = seen.count(examples, left_out, asked)
    samples = {"samples": len(examples), "patients": len({p for e in examples for p in e.patients})}
    if launch.is_main() and (alarm := seen_alarm({**samples, "seen": counted})):
        print(f"warning: {alarm}")
    return examples, ecgs, counted, lengths


def checkpoint_provenance(checkpoint: Checkpoint, settings: CheckpointSettings) -> dict:
    info = checkpoint.info
    return {
        "fingerprint": launch.gather(fingerprint(settings.checkpoint) if launch.is_main() else "")[0],
        "stage": info.get("stage"),
        "prompt": info.get("prompt"),
        "seed": info.get("settings", {}).get("seed"),
        "data_fingerprint": info.get("data_fingerprint"),
        "ecg_tokenizer_fingerprint": info.get("ecg_tokenizer_fingerprint"),
        "settings": info.get("settings"),
        "removed_patients": info.get("removed_patients", info.get("left_out")),
        "corpora": [{key: corpus[key] for key in ("stage", *_OF_CORPUS)} for corpus in info.get("corpora", ())],
        "versions": info.get("versions"),
    }


def data_provenance(checkpoint: Checkpoint, examples: Sequence[Example], ecgs: CachedECGs) -> dict[str, Any]:
    """Hashes of the questions, of everything else in the prompts, and of the items of ECGs; figures of retrieval.

    ecgs: tokens of an ECG in a prompt, and the leads and seconds that they cover; median, minimum and maximum over
    recordings. marked: how many recordings have leads that are absent, computed or masked in part, or limb leads that
    contradict one another.
    """
    context, codes, sizes, marked = hashlib.sha256(), hashlib.sha256(), [], Counter()
    for e in sorted(examples, key=lambda e: e.sample_id):
        context.update(json.dumps([e.sample_id, e.patients, e.history, e.backgrounds]).encode())
    for ref in sorted({ref.record_id: ref for e in examples for ref in e.records}.items()):
        item = ecgs.item(ref[1])
        codes.update(ref[0].encode() + item.tobytes())
        sizes.append((ecgs.representation.num_tokens(item), *ecgs.representation.coverage(item)))
        marked.update(name for name, value in ecgs.remark(ref[1])._asdict().items() if value)
    refs = [ref for e in examples for ref in e.records]
    similar = {} if checkpoint.index is None else {"retrieval": figures_of(checkpoint.index, refs, ecgs)}
    return {
        **similar,
        "texts_fingerprint": texts_fingerprint(samples_of(examples)),
        "context_fingerprint": context.hexdigest()[:16],
        "codes_fingerprint": codes.hexdigest()[:16],
        "ecgs": {
            name: {"median": float(np.median(column)), "min": min(column), "max": max(column)}
            for name, column in zip(("tokens", "leads", "seconds"), zip(*sizes, strict=True), strict=True)
        },
        "marked": {"recordings": len(sizes), **{name: marked[name] for name in Remark._fields if name != "cropped"}},
    }


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def answer_key(provenance: dict, settings: CheckpointSettings, deciding: Sequence[str] = DECIDING) -> str:
    """Everything that the answers depend on. deciding: names of settings."""
    values = {name: getattr(settings, name) for name in deciding}
    listed = provenance.get("choices", {}).get("fingerprint")
    return json.dumps([provenance["checkpoint"]["fingerprint"], provenance["data"], values, listed, versions()])


def _samples(
    examples: Sequence[Example],
    answered: dict[str, list[Answer]],
    checkpoint: Checkpoint,
    ecgs: CachedECGs,
    settings: EvalSettings,
    operating_point: OperatingPoint,
) -> list[Sample]:
    """The samples with their answers, those of the floors that need no model included."""
    constant = texts_without_model(settings.tasktype, checkpoint.info)
    calibrated = any(operating_point.majority(example) for example in examples)

    def floors(example: Example) -> dict[str, str]:
        texts = constant(example)
        if not calibrated or MAJORITY_PER_QUESTION not in texts:
            return texts
        return texts | {MAJORITY_IN_VALIDATION: operating_point.majority(example) or texts[MAJORITY_PER_QUESTION]}

    truths = None
    if TASKS[settings.tasktype].has_content and len(settings.data_root) == 1:
        truths = load_true_findings(settings.data_root[0])
    subgroups = Subgroups(settings.data_root)
    samples = []
    for i, (example, sample) in enumerate(zip(examples, samples_of(examples), strict=True)):
        given = {condition: of_all[i] for condition, of_all in answered.items()}
        texts = {condition: answer.text for condition, answer in given.items()}
        samples.append(
            replace(
                sample,
                predictions=texts | floors(example),
                probabilities={condition: answer.probability for condition, answer in given.items()},
                yes_margins={c: answer.yes_margin for c, answer in given.items() if answer.yes_margin is not None},
                cut_off=tuple(condition for condition, answer in given.items() if answer.cut_off),
                findings=None if truths is None else tuple(sorted(truths[example.records[0].record_id])),
                subgroups=subgroups.of(example),
                neighbours=tuple(ecgs.neighbours.get(record, ()) for record in example.record_ids if ecgs.neighbours),
            )
        )
    return samples
