"""Speed of ranking candidate answers against computing every candidate as a full sequence of its own.

    python -m bench.answer_ranking [--llm tiny|DIR] [--frames 209] [--threads 2]
    TRAIN_DATA=QUESTIONS python -m bench.answer_ranking env/quickstart/test_qa.env

Both must give the same log-probabilities. Without an env file, ECGs and weights are random. With one, a trained
checkpoint answers its test questions, and the accuracy of ranked and generated answers is compared as well. TRAIN_DATA
is needed for checkpoints without answer lists.
"""

import random
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from bench.baselines.separate_candidates import score_separately
from bench.harness import benchmark_parser, report, seconds_per_call
from bench.random_models import random_checkpoint, random_prompts
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.splits import load_splits
from cardiolect.ecg_tokenizer.cached import prepare_corpus
from cardiolect.model.evaluation.choices import ANSWER_LISTS, answer_lists, coverage
from cardiolect.model.evaluation.condition_inputs import another_patient
from cardiolect.model.evaluation.lengths import record_seconds
from cardiolect.model.evaluation.settings import EvalSettings
from cardiolect.model.inference.generation import generate_texts
from cardiolect.model.inference.ranking import Answers, Ranked, rank_answers
from cardiolect.model.llm.checkpoint import Checkpoint, load_checkpoint
from cardiolect.model.prompt.rendering import make_prompt
from cardiolect.utils.command_line import run_command
from cardiolect.utils.device import choose_device
from cardiolect.utils.metrics import AnswerLists, definition
from cardiolect.utils.metrics.normalised_match import normalised_match

ECGS, QUESTIONS, BATCH = 2, 8, 100
FEATURES = ("p duration", "pr interval", "qrs duration", "qt corrected", "qt interval", "rr interval")
SUBSETS = [subset for size in range(1, 7) for subset in combinations(FEATURES, size)]
LISTS: dict[str, list[Answers]] = {
    "verify": [("yes",), ("no",)],
    "choose": [("baseline drift",), ("static noise",), ("baseline drift", "static noise"), ("none",)],
    "leads": [*((f"lead {lead}",) for lead in LEADS), ("none",)],
    "numeric features": [*SUBSETS, ("none",)],
}


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("settings", type=Path, nargs="?", help="env file that evaluates questions")
    parser.add_argument("--llm", default="tiny", help="tiny, or a folder with a causal language model")
    parser.add_argument("--frames", type=int, default=209, help="codes per ECG; 209 codes of 48 ms are 10 s")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.settings:
        _trained(EvalSettings.load(arguments.settings), arguments.out)
    else:
        _random(arguments.llm, arguments.frames, arguments.out)


def _random(llm: str, frames: int, out: Path) -> None:
    checkpoint = random_checkpoint(llm)
    checkpoint.model.to(choose_device()).eval()
    vocabulary, rng = checkpoint.vocabulary, np.random.default_rng(0)
    prompts = random_prompts(vocabulary, rng, ECGS, frames, QUESTIONS)
    table = []
    for name, answers in LISTS.items():
        candidates = [answers] * len(prompts)

        def separate(candidates: Sequence[Sequence[Answers]] = candidates) -> list[list[float]]:
            return score_separately(checkpoint.model, vocabulary, prompts, candidates, BATCH)

        def shared(candidates: Sequence[Sequence[Answers]] = candidates) -> dict[int, Ranked]:
            return dict(rank_answers(checkpoint.model, vocabulary, prompts, candidates, BATCH))

        difference = _difference(shared(), separate())
        slow, fast = seconds_per_call(separate, at_least=0, calls=1), seconds_per_call(shared)
        table.append(
            {
                "list": name,
                "candidates": len(answers),
                "questions/s separate": len(prompts) / slow,
                "questions/s ranked": len(prompts) / fast,
                "ratio": slow / fast,
                "largest difference": difference,
            }
        )
    report(
        "answer_ranking", table, out, f"{ECGS} ECGs of {frames} codes, {QUESTIONS} questions each; batches of {BATCH}"
    )


def _difference(ranked: dict[int, Ranked], separate: list[list[float]]) -> float:
    """Largest absolute difference between log-probabilities."""
    return max(
        abs(a - b)
        for i, scores in enumerate(separate)
        for a, b in zip(ranked[i].log_probabilities, scores, strict=True)
    )


def _trained(settings: EvalSettings, out: Path) -> None:
    checkpoint = load_checkpoint(settings.checkpoint, settings.precision)
    lists = _lists(checkpoint, settings)
    examples = load_splits(settings, ("test",), task="qa")["test"].examples
    refs = [ref for e in examples for ref in e.records]
    ecgs = prepare_corpus(checkpoint.representation, refs, settings, record_seconds(checkpoint.info, settings))
    examples = [e for e in examples if all(ref in ecgs for ref in e.records)]
    if settings.max_samples and len(examples) > settings.max_samples:
        indices = random.Random(settings.seed).sample(range(len(examples)), settings.max_samples)
        examples = [examples[i] for i in sorted(indices)]
    candidates = [lists.candidates(e) for e in examples]
    print(f"candidates: {coverage(examples, candidates, normalised_match)}")
    model = checkpoint.model.to(choose_device(settings.device)).eval()
    vocabulary = checkpoint.vocabulary
    others = another_patient((e.records for e in examples), settings.seed)
    score = definition(settings.metrics)
    table = []
    for condition in ("with ECG", "no ECG", "other ECG"):
        prompts = [
            make_prompt(
                vocabulary,
                [
                    None if condition == "no ECG" else ecgs.ecg(ref)
                    for ref in (others[e.record_ids] if condition == "other ECG" else e.records)
                ],
                e.backgrounds,
                e.task,
                e.question,
                e.history,
            )
            for e in examples
        ]
        start = time.perf_counter()
        generated = dict(generate_texts(model, vocabulary, prompts, settings.new_tokens, settings.batch_size))
        ranking_start = time.perf_counter()
        ranked = dict(rank_answers(model, vocabulary, prompts, candidates, settings.batch_size))
        end = time.perf_counter()
        truth = [e.answers for e in examples]
        texts = [[found[i].text for i in range(len(examples))] for found in (generated, ranked)]
        em = [score.score_answers(answers, truth).values["em"] for answers in texts]
        is_candidate = [
            set(text.split(".")) in [set(answers) for answers in sets]
            for text, sets in zip(texts[0], candidates, strict=True)
        ]
        row = {
            "condition": condition,
            "em generated": em[0],
            "em ranked": em[1],
            "different": float(np.mean([a != b for a, b in zip(*texts, strict=True)])),
            "generated not among candidates": 1 - float(np.mean(is_candidate)),
            "s generated": ranking_start - start,
            "s ranked": end - ranking_start,
        }
        if condition == "with ECG":
            subset = range(0, len(prompts), max(1, len(prompts) // 200))
            start = time.perf_counter()
            separate = score_separately(
                model, vocabulary, [prompts[i] for i in subset], [candidates[i] for i in subset], settings.batch_size
            )
            seconds = (time.perf_counter() - start) * len(prompts) / len(subset)
            difference = _difference({k: ranked[i] for k, i in enumerate(subset)}, separate)
            notes = (
                f"separate candidates, extrapolated from {len(subset)} questions: {seconds:.0f} s, "
                f"{seconds / row['s ranked']:.1f} times as long; log-probabilities differ by at most {difference:.1e}"
            )
        table.append(row)
    report("answer_ranking_trained", table, out, f"{len(examples)} questions; {notes}")


def _lists(checkpoint: Checkpoint, settings: EvalSettings) -> AnswerLists:
    if ANSWER_LISTS in checkpoint.info or not settings.train_data:
        return answer_lists(settings.checkpoint, checkpoint.info)
    return AnswerLists.fit(load_splits(settings, ("train",), task="qa")["train"].examples)


if __name__ == "__main__":
    run_command(main)
