"""Answers per second if each ECG is computed once for all its questions, against computing every prompt separately.

    python -m bench.answer_throughput [--llm tiny|DIR] [--frames 209] [--new-tokens 6] [--threads 2]

With random weights no answer ends early, so every answer has ``--new-tokens`` tokens; the texts of both methods are
compared. For trained weights, give the folder of a merged checkpoint.
"""

import numpy as np
import torch

from bench.baselines.separate_prompts import generate_separately
from bench.harness import benchmark_parser, report, seconds_per_call
from bench.random_models import random_checkpoint, random_prompts
from cardiolect.model.inference.generation import Generated, generate_texts
from cardiolect.utils.command_line import run_command

ECGS, BATCH = 8, 100


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--llm", default="tiny", help="tiny, or a folder with a causal language model")
    parser.add_argument("--frames", type=int, default=209, help="codes per ECG; 209 codes of 48 ms are 10 s")
    parser.add_argument("--new-tokens", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    checkpoint = random_checkpoint(arguments.llm)
    model, vocabulary = checkpoint.model.eval(), checkpoint.vocabulary
    rng = np.random.default_rng(0)
    table = []
    for questions in (1, 4, 16):
        prompts = random_prompts(vocabulary, rng, ECGS, arguments.frames, questions)

        def separate(batch: int) -> dict[int, str]:
            return dict(generate_separately(model, vocabulary, prompts, arguments.new_tokens, batch))  # noqa: B023

        def shared() -> dict[int, Generated]:
            return dict(generate_texts(model, vocabulary, prompts, arguments.new_tokens, BATCH))  # noqa: B023

        separate_texts = separate(1)
        equal = np.mean([separate_texts[i] == answer.text for i, answer in shared().items()])
        one, batched = (seconds_per_call(lambda: separate(size)) for size in (1, BATCH))  # noqa: B023
        fast = seconds_per_call(shared)
        table.append(
            {
                "questions per ECG": questions,
                "answers/s one by one": len(prompts) / one,
                "answers/s in batches": len(prompts) / batched,
                "answers/s shared": len(prompts) / fast,
                "ratio": one / fast,
                "ratio to batches": batched / fast,
                "equal texts": float(equal),
            }
        )
    report(
        "answer_throughput",
        table,
        arguments.out,
        f"{ECGS} ECGs of {arguments.frames} codes, {arguments.new_tokens} tokens each",
    )


if __name__ == "__main__":
    run_command(main)
