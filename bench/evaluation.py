"""Answers per second: every ECG computed once for all its questions, against one prompt at a time.

    python -m bench.evaluation [--llm tiny|DIR] [--frames 209] [--new-tokens 6] [--threads 2]

Random weights end no answer, so every answer is ``--new-tokens`` long; the texts of both ways are compared. For trained
weights give the folder of a merged checkpoint.
"""

import numpy as np
import torch

from bench.models import random_checkpoint, random_prompts
from bench.plain_generation import generate_plainly
from bench.report import command_line, seconds_per_call, show
from cardiolect.model.inference.generation import Generated, generate_texts
from cardiolect.utils.errors import exit_on_user_error

ECGS, BATCH = 8, 100


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--llm", default="tiny", help="tiny, or the folder of a causal language model")
    parser.add_argument("--frames", type=int, default=209, help="codes per ECG: 209 are 10 s at 48 ms")
    parser.add_argument("--new-tokens", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    checkpoint = random_checkpoint(arguments.llm)
    model, vocabulary = checkpoint.model.eval(), checkpoint.vocabulary
    rng = np.random.default_rng(0)
    table = []
    for questions in (1, 4, 16):
        prompts = random_prompts(vocabulary, rng, ECGS, arguments.frames, questions)

        def plain(batch: int) -> dict[int, str]:
            return dict(generate_plainly(model, vocabulary, prompts, arguments.new_tokens, batch))  # noqa: B023

        def shared() -> dict[int, Generated]:
            return dict(generate_texts(model, vocabulary, prompts, arguments.new_tokens, BATCH))  # noqa: B023

        alone = plain(1)
        same = np.mean([alone[i] == answer.text for i, answer in shared().items()])
        one, batched = (seconds_per_call(lambda: plain(size)) for size in (1, BATCH))  # noqa: B023
        fast = seconds_per_call(shared)
        table.append(
            {
                "questions per ECG": questions,
                "answers/s one by one": len(prompts) / one,
                "answers/s in batches": len(prompts) / batched,
                "answers/s shared": len(prompts) / fast,
                "ratio": one / fast,
                "ratio to batches": batched / fast,
                "equal texts": float(same),
            }
        )
    show(
        "evaluation",
        table,
        arguments.out,
        f"{ECGS} ECGs of {arguments.frames} codes, {arguments.new_tokens} tokens each",
    )


if __name__ == "__main__":
    exit_on_user_error(main)
