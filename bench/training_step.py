"""A training step with the head in chunks and, in bf16 on CPUs, attention by matrix products, against neither.

    python -m bench.training_step [--llm tiny|DIR] [--ecgs 12] [--questions 16] [--threads 2]

Loss and gradients of all weights for packed rows, as fine-tuning has them. Ratios are to logits of all positions at
once and PyTorch's fused attention.
"""

from unittest import mock

import numpy as np
import torch

from bench.harness import benchmark_parser, report, seconds_per_call
from bench.random_models import random_checkpoint, random_example
from cardiolect.model.prompt.rendering import render_ecgs, render_turn
from cardiolect.model.training import attention
from cardiolect.model.training.objectives import positions_per_chunk, weighted_loss
from cardiolect.model.training.packing import lay_out, pack
from cardiolect.utils.command_line import run_command
from cardiolect.utils.device import keep_freed_memory
from cardiolect.utils.errors import UserError

ECG_LOSS_WEIGHT = 0.1


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--llm", default="tiny", help="tiny, or a folder with a causal language model")
    parser.add_argument("--ecgs", type=int, default=12, help="ECGs of a batch")
    parser.add_argument("--questions", type=int, default=16, help="questions about each")
    parser.add_argument("--frames", type=int, default=209, help="codes per ECG; 209 codes of 48 ms are 10 s")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each way is timed, at least")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as training does
    checkpoint = random_checkpoint(arguments.llm)
    model = checkpoint.model.train().requires_grad_(True)
    if not attention.supports_rows(model):
        raise UserError(f"--llm {arguments.llm}: training pads its rows and leaves attention to transformers")
    chunk = positions_per_chunk(model, model.device)
    model.set_attn_implementation(attention.NAME)
    batch = packed_rows(checkpoint.vocabulary, arguments)
    table = []
    for dtype in (torch.float32, torch.bfloat16):
        model.to(dtype)
        ways = {"neither": (None, False), "head in chunks": (chunk, False)}
        if dtype == torch.bfloat16 and model.device.type == "cpu":
            ways["both"] = (chunk, True)
        seconds, losses = {}, {}
        for name, (size, products) in ways.items():
            own = attention._by_products if products else lambda *_: False
            with mock.patch.object(attention, "_by_products", own):
                losses[name] = step(model, batch, size)
                seconds[name] = seconds_per_call(lambda: step(model, batch, size), arguments.seconds)  # noqa: B023
        for name in ways:
            ratio = seconds["neither"] / seconds[name]
            what = {"precision": str(dtype).removeprefix("torch."), "with": name}
            table.append({**what, "ms per step": 1000 * seconds[name], "ratio": ratio, "loss": losses[name]})
    notes = (
        f"{arguments.ecgs} ECGs of {arguments.frames} codes, {arguments.questions} questions each; chunks of {chunk}"
    )
    report("training_step", table, arguments.out, notes)


def packed_rows(vocabulary, arguments) -> dict:
    rng, rows = np.random.default_rng(0), []
    for _ in range(arguments.ecgs):
        codes = rng.integers(0, vocabulary.num_codes, arguments.frames)
        prefix = render_ecgs(vocabulary, [codes], ["age 56"])[0]
        turns = [render_turn(vocabulary, random_example(rng)) for _ in range(arguments.questions)]
        rows.append(pack(prefix, turns, [0.0] + [ECG_LOSS_WEIGHT] * (len(prefix) - 1)))
    return lay_out(rows, vocabulary.tokenizer.pad_token_id)


def step(model, batch: dict, chunk: int | None) -> float:
    loss, weight = weighted_loss(model, model.get_output_embeddings(), batch, chunk)
    (loss / weight).backward()
    model.zero_grad(set_to_none=True)
    return (loss / weight).item()


if __name__ == "__main__":
    run_command(main)
