"""Fine-tuning with all questions packed after their ECG, against one sequence per question; pretraining with rows
concatenated end to end, against padded batches of similar length.

    python -m bench.packing [--llm tiny|DIR] [--frames 209] [--threads 2]

Times a training step (loss and gradients) on the same ECGs and answers, and compares the losses.
"""

import numpy as np
import torch

from bench.harness import benchmark_parser, report, seconds_per_call
from bench.random_models import random_checkpoint, random_example
from cardiolect.model.prompt.rendering import render_ecgs, render_turn
from cardiolect.model.training.attention import NAME, supports_rows
from cardiolect.model.training.batches import Batches
from cardiolect.model.training.objectives import weighted_loss
from cardiolect.model.training.packing import collate, lay_out, pack
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError

ECGS, UNPACKED_BATCH, BATCH = 8, 32, 16
LENGTHS = {"all 10 s": (1.0, 1.0), "5 to 15 s": (0.5, 1.5), "2.5 to 30 s": (0.25, 3.0)}  # multiples of --frames


class Rows(list):
    """Packed rows in the form that the batches of the training expect."""

    def lengths(self) -> list[int]:
        return [len(row) for row in self]


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--llm", default="tiny", help="tiny, or a folder with a causal language model")
    parser.add_argument("--frames", type=int, default=209, help="codes per ECG; 209 codes of 48 ms are 10 s")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    checkpoint = random_checkpoint(arguments.llm)
    vocabulary, model = checkpoint.vocabulary, checkpoint.model.train()
    model.requires_grad_(True)
    head, pad = model.get_output_embeddings(), vocabulary.tokenizer.pad_token_id
    rng = np.random.default_rng(0)

    def train(batches: list[dict]) -> float:
        total = 0.0
        for batch in batches:
            loss, weight = weighted_loss(model, head, batch)
            (loss / weight).backward()
            total += loss.item()
        model.zero_grad(set_to_none=True)
        return total

    def step(rows: list, size: int) -> float:
        return train([collate(rows[start : start + size], pad) for start in range(0, len(rows), size)])

    table = []
    for questions in (1, 4, 16):
        packed, single = [], []
        for _ in range(ECGS):
            prefix = render_ecgs(vocabulary, [rng.integers(0, vocabulary.num_codes, arguments.frames)], ["age 56"])[0]
            turns = [render_turn(vocabulary, random_example(rng)) for _ in range(questions)]
            packed.append(pack(prefix, turns))
            single += [pack(prefix, [turn]) for turn in turns]
        unpacked_loss, packed_loss = step(single, UNPACKED_BATCH), step(packed, ECGS)
        slow, fast = (
            seconds_per_call(lambda: step(single, UNPACKED_BATCH)),  # noqa: B023
            seconds_per_call(lambda: step(packed, ECGS)),  # noqa: B023
        )
        table.append(
            {
                "questions per ECG": questions,
                "tokens unpacked": sum(map(len, single)),
                "tokens packed": sum(map(len, packed)),
                "answers/s unpacked": ECGS * questions / slow,
                "answers/s packed": ECGS * questions / fast,
                "ratio": slow / fast,
                "loss difference": abs(unpacked_loss - packed_loss) / abs(unpacked_loss),
            }
        )
    report("packing", table, arguments.out, f"{ECGS} ECGs of {arguments.frames} codes, loss and gradients, fp32")

    if not supports_rows(model):
        raise UserError(
            f"--llm {arguments.llm}: its attention cannot tell concatenated rows apart, so pretraining pads them"
        )
    table = []
    for name, (shortest, longest) in LENGTHS.items():
        rows = Rows()
        for frames in rng.uniform(shortest, longest, BATCH * 40) * arguments.frames:
            ids = render_ecgs(vocabulary, [rng.integers(0, vocabulary.num_codes, round(frames))], [""])[0]
            rows.append(pack(ids, [], [0.0] + [1.0] * (len(ids) - 1)))
        sampled = Batches(rows, BATCH, seed=0)
        batches = [sampled[i] for i in range(6)]
        losses, seconds, tokens = {}, {}, {}
        for attention, make in (("sdpa", lambda batch: collate(batch, pad)), (NAME, lay_out)):
            model.set_attn_implementation(attention)
            made = [make(batch) for batch in batches]
            tokens[attention] = sum(batch["input_ids"].numel() for batch in made)
            losses[attention] = train(made)
            seconds[attention] = seconds_per_call(lambda: train([make(batch) for batch in batches]))  # noqa: B023
        table.append(
            {
                "length of ECGs": name,
                "tokens padded": tokens["sdpa"],
                "tokens end to end": tokens[NAME],
                "ECGs/s padded": BATCH * len(batches) / seconds["sdpa"],
                "ECGs/s end to end": BATCH * len(batches) / seconds[NAME],
                "ratio": seconds["sdpa"] / seconds[NAME],
                "loss difference": abs(losses["sdpa"] - losses[NAME]) / losses["sdpa"],
            }
        )
    notes = f"batches of {BATCH} ECGs of similar length, sampled as in training; loss and gradients, fp32"
    report("pretraining", table, arguments.out, notes)


if __name__ == "__main__":
    run_command(main)
