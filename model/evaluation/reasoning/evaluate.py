"""Puts chains of questions to a checkpoint, under several conditions, and scores them beside their floors.

Every question is answered by ranking its options, and those for leads by ranking all sets of the leads that are
offered, each as one text in the order of the options: the probability of a set is that of the model saying exactly it.
"""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cardiolect.data_provider.corpora.ptbxl_database import parse_folds
from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.data_provider.texts.reasoning.form import Chain
from cardiolect.data_provider.texts.reasoning.loading import Chains, load_chains
from cardiolect.data_provider.texts.reasoning.records import find_recordings, patient_of
from cardiolect.data_provider.texts.reasoning.turns import examples_of
from cardiolect.ecg_tokenizer.cached import CachedECGs
from cardiolect.model.evaluation.answers import Answer
from cardiolect.model.evaluation.asking import ask
from cardiolect.model.evaluation.conditions import NO_ECG
from cardiolect.model.evaluation.evaluate import answer_key, checkpoint_provenance, data_provenance
from cardiolect.model.evaluation.lengths import fitting, record_seconds
from cardiolect.model.evaluation.neighbours import prepare_ecgs, with_neighbour_floors
from cardiolect.model.evaluation.reasoning.floors import NO_ECG_BY_TEXT, blind_floors, times_by_text
from cardiolect.model.evaluation.reasoning.result import SCORES, scores_table, write_result
from cardiolect.model.evaluation.reasoning.scores import AnsweredChain
from cardiolect.model.evaluation.reasoning.settings import ReasoningSettings
from cardiolect.model.evaluation.result import RESULT
from cardiolect.model.evaluation.resume import AnswerLog
from cardiolect.model.evaluation.samples import PREDICTIONS
from cardiolect.model.evaluation.seen import SeenRecordings
from cardiolect.model.evaluation.verdict import seen_alarm
from cardiolect.model.llm.checkpoint import Checkpoint, load_checkpoint
from cardiolect.model.llm.checkpoint_folder import bits_of
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError

DECIDING = ("precision", "load_bits", "seed", "condensed")  # settings that an answer depends on
SHOWN = 3  # chains named in a line


class Options:
    """The answers that each question can have, as `answers` ranks them."""

    def __init__(self, chains: Sequence[Chain]):
        self._of = {
            f"{chain.chain_id}:{turn}": [(text,) for text in step.candidates]
            for chain in chains
            for turn, step in enumerate(chain.steps)
        }

    def candidates(self, example: Example) -> list[tuple[str, ...]]:
        return self._of[example.sample_id]


class Asked(NamedTuple):
    """What is evaluated: chains, their recordings, questions in order, and what was left out."""

    chains: list[Chain]
    refs: dict[str, RecordRef]
    examples: list[Example]
    ecgs: CachedECGs
    seen: dict[str, Any]
    left_out: dict[str, Any]


def evaluate(settings: ReasoningSettings) -> dict[str, Any]:
    """Evaluate a checkpoint and return the result; writes predictions.jsonl, result.json and scores.txt."""
    started = time.time()
    seen_recordings = SeenRecordings(settings)
    checkpoint = load_checkpoint(
        settings.checkpoint, settings.precision, load_bits=settings.load_bits, device=settings.device
    )
    settings = with_neighbour_floors(checkpoint, settings)
    if settings.load_bits is None:
        settings = settings.model_copy(update={"load_bits": bits_of(checkpoint.info)})
    loaded = load_chains(settings.test_data)
    asked = _choose(loaded, checkpoint, seen_recordings, settings)
    training = _training(settings, asked)
    provenance = {
        "checkpoint": checkpoint_provenance(checkpoint, settings),
        "seen": asked.seen,
        "data": {
            **data_provenance(checkpoint, asked.examples, asked.ecgs),
            **asked.left_out,
            "training_chains": len(training),
        },
    }
    log = AnswerLog(settings.output_dir, answer_key(provenance, settings, DECIDING))
    answered, _ = ask(checkpoint, asked.examples, asked.ecgs, log, settings, Options(asked.chains))
    result: dict[str, Any] = {}
    if launch.is_main():
        provenance["seconds"] = round(time.time() - started, 1)
        rows = _answered(asked, answered, training)
        result = write_result(settings.output_dir, rows, settings.model_dump(mode="json"), provenance)
        print(scores_table(result))
        print(f"{PREDICTIONS}, {RESULT}, {SCORES} are in {settings.output_dir}")
    log.finish()
    return result


def _choose(loaded: Chains, checkpoint: Checkpoint, seen: SeenRecordings, settings: ReasoningSettings) -> Asked:
    """The chains that can be asked as a whole. Prints a line for each reason why some cannot."""
    roots, folds = settings.data_root, parse_folds(settings.test_folds)
    listed, _ = find_recordings(loaded.chains, roots, allow_missing=True, on_disk=False)
    wanted = [c for c in loaded.chains if not folds or (c.ecg_id in listed and listed[c.ecg_id].fold in folds)]
    refs, missing = find_recordings(wanted, roots, settings.allow_missing)
    left_out: dict[str, Any] = {"unknown_fields": dict(loaded.unknown), "chains_without_recording": missing}
    chains = [chain for chain in wanted if chain.ecg_id in refs]
    if not chains:
        raise UserError("no chain to evaluate: check TEST_DATA, TEST_FOLDS and DATA_ROOT")
    seconds = record_seconds(checkpoint.info, settings)
    asked_refs = [refs[chain.ecg_id] for chain in chains]
    ecgs = prepare_ecgs(checkpoint, asked_refs, settings, seconds)
    chains = [chain for chain in chains if refs[chain.ecg_id] in ecgs]
    examples = {chain.chain_id: examples_of(chain, refs[chain.ecg_id], settings.condensed) for chain in chains}
    firsts = [examples[chain.chain_id][0] for chain in chains]
    gone = seen.left_out(firsts)
    gone_ids = {e.sample_id for e in gone}
    kept = [chain for chain, first in zip(chains, firsts, strict=True) if first.sample_id not in gone_ids]
    if settings.max_samples and len(kept) > settings.max_samples:
        chosen = random.Random(settings.seed).sample(range(len(kept)), settings.max_samples)
        kept = [kept[i] for i in sorted(chosen)]
    kept, left_out["lengths"] = _fitting(checkpoint, kept, examples, ecgs, settings)
    if not kept:
        raise UserError("no chain to evaluate: all of them are too long, or about patients that training has seen")
    counted = seen.count([examples[chain.chain_id][0] for chain in kept], gone, len(chains))
    found = {"samples": len(kept), "patients": len({patient_of(refs[chain.ecg_id]) for chain in kept})}
    if launch.is_main():
        print(loaded.line())
        if missing:
            print(f"left out {missing} of {len(wanted)} chains whose recordings are not in DATA_ROOT")
        if gone:
            print(f"left out {len(gone)} of {len(chains)} chains of patients that training has seen")
        if alarm := seen_alarm({**found, "seen": counted}):
            print(f"warning: {alarm}")
    return Asked(kept, refs, [e for chain in kept for e in examples[chain.chain_id]], ecgs, counted, left_out)


def _fitting(
    checkpoint: Checkpoint,
    chains: Sequence[Chain],
    examples: Mapping[str, Sequence[Example]],
    ecgs: CachedECGs,
    settings: ReasoningSettings,
) -> tuple[list[Chain], dict[str, Any]]:
    """The chains all of whose questions fit the language model, and figures for result.json."""
    fit, figures = fitting(
        checkpoint, [e for chain in chains for e in examples[chain.chain_id]], ecgs, settings, Options(chains)
    )
    fit_ids = {e.sample_id for e in fit}
    kept = [chain for chain in chains if all(e.sample_id in fit_ids for e in examples[chain.chain_id])]
    unfit = [chain for chain in chains if chain not in kept]
    figures["unfit_chains"] = {chain.chain_id: chain.diagnosis for chain in unfit}
    if unfit and launch.is_main():
        counts = Counter(chain.diagnosis for chain in unfit).most_common()
        named = ", ".join(f"{diagnosis} ({times})" for diagnosis, times in counts[:SHOWN])
        more = f" and {len(counts) - SHOWN} other diagnoses" if len(counts) > SHOWN else ""
        hint = "" if settings.condensed else "; CONDENSED=true leaves the options out of earlier questions"
        print(
            f"left out {len(unfit)} of {len(chains)} chains, of {named}{more}: a question with its ECG and the earlier "
            f"ones may take {figures['longest_tokens']} tokens, the language model takes {figures['most_tokens']}{hint}"
        )
    return kept, figures


def _training(settings: ReasoningSettings, asked: Asked) -> list[Chain]:
    """The chains to learn floors from, without those of patients who are evaluated.

    Chains of another source, such as simulated ones, are about other people, and have no folds of this corpus.
    """
    if not settings.train_data:
        if launch.is_main():
            print("TRAIN_DATA is not set: of the floors without a model, only the oracle is computed")
        return []
    chains, source = load_chains(settings.train_data).chains, asked.chains[0].source
    same = [chain for chain in chains if chain.source == source]
    refs, _ = find_recordings(same, settings.data_root, allow_missing=True, on_disk=False)
    folds = parse_folds(settings.train_folds)
    people = {patient_of(asked.refs[chain.ecg_id]) for chain in asked.chains}

    def may_teach(chain: Chain) -> bool:
        ref = refs.get(chain.ecg_id)
        return ref is not None and patient_of(ref) not in people and (not folds or ref.fold in folds)

    kept = [chain for chain in chains if chain.source != source or may_teach(chain)]
    if launch.is_main():
        print(f"floors are learned from {len(kept)} of {len(chains)} chains in TRAIN_DATA, of patients not evaluated")
    return kept


def _answered(asked: Asked, answered: Mapping[str, Sequence[Answer]], training: Sequence[Chain]) -> list[AnsweredChain]:
    numbers: dict[str, int] = {}
    texts: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for condition, given in answered.items():
        answers = iter(given)
        for chain in asked.chains:
            texts[chain.chain_id][condition] = [next(answers).text for _ in chain.steps]
    for floor in blind_floors(training, asked.chains):
        for chain in asked.chains:
            texts[chain.chain_id][floor.condition] = floor.answer(chain)
    if training and NO_ECG in answered:
        timed = times_by_text(training)
        for chain in asked.chains:
            texts[chain.chain_id][NO_ECG_BY_TEXT] = timed(chain, texts[chain.chain_id][NO_ECG])
    return [
        AnsweredChain(
            chain,
            numbers.setdefault(patient_of(asked.refs[chain.ecg_id]), len(numbers)),
            texts[chain.chain_id],
        )
        for chain in asked.chains
    ]
