"""How long one user waits: for an ECG to be encoded, for the first token of an answer, and for the tokens after it.

    python -m bench.answer_latency --checkpoint DIR [--device cpu] [--questions 20] [--tokens 64] [--threads 2]

Questions about simulated ECGs of 10 s, one at a time, as in the chat and the demo. A high temperature keeps answers
from ending early; the time per token does not depend on which token it is.
"""

import statistics
import time
from pathlib import Path

import torch

from bench.harness import benchmark_parser, report
from cardiolect.model.demo.samples import PROMPTS, sample_ecgs
from cardiolect.model.inference.chat import ECGChat
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError

TEMPERATURE = 2.0


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=64)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    chat = ECGChat.from_pretrained(args.checkpoint, args.device)
    records = list(sample_ecgs().values())
    chat.ask(records[0], max_new_tokens=2)  # warm-up
    encoding, first, rates = [], [], []
    for i in range(args.questions):
        start = time.perf_counter()
        codes = chat.encode(records[i % len(records)])
        encoding.append(time.perf_counter() - start)
        start, times = time.perf_counter(), []
        for _ in chat.stream(
            codes, PROMPTS[i % len(PROMPTS)][1], max_new_tokens=args.tokens, temperature=TEMPERATURE, seed=i
        ):
            times.append(time.perf_counter() - start)
        if len(times) > 1:
            first.append(times[0])
            rates.append((len(times) - 1) / (times[-1] - times[0]))
    if not rates:
        raise UserError("no answer has two tokens, the least that gives a rate: raise --tokens or --questions")
    row = {
        "checkpoint": args.checkpoint.name,
        "encode (s)": statistics.median(encoding),
        "first token (s)": statistics.median(first),
        "tokens/s": statistics.median(rates),
        "first token / later one": statistics.median(a * b for a, b in zip(first, rates, strict=True)),
    }
    report(
        "answer_latency",
        [row],
        args.out,
        f"medians over {args.questions} questions on {chat.checkpoint.model.device.type}",
    )


if __name__ == "__main__":
    run_command(main)
