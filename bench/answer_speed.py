"""How long one person waits: an ECG encoded, the first token of an answer, and the tokens behind it.

    python -m bench.answer_speed --checkpoint DIR [--device cpu] [--asked 20] [--tokens 64] [--threads 2]

Simulated ECGs of 10 s, one question after the other as chat and demo ask them. Tokens are drawn at a temperature that
keeps an answer going: how long each takes does not depend on which it is.
"""

import statistics
import time
from pathlib import Path

import torch

from bench.report import command_line, show
from cardiolect.model.cli.prompts import PROMPTS
from cardiolect.model.demo.examples import simulated_ecgs
from cardiolect.model.inference.chat import ECGChat
from cardiolect.utils.errors import UserError, exit_on_user_error

TEMPERATURE = 2.0


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--asked", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=64)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    chat = ECGChat.from_pretrained(args.checkpoint, args.device)
    records = list(simulated_ecgs().values())
    chat.ask(records[0], max_new_tokens=2)  # warms up
    encoding, first, rates = [], [], []
    for i in range(args.asked):
        began = time.perf_counter()
        codes = chat.encode(records[i % len(records)])
        encoding.append(time.perf_counter() - began)
        began, times = time.perf_counter(), []
        for _ in chat.stream(
            codes, PROMPTS[i % len(PROMPTS)][1], max_new_tokens=args.tokens, temperature=TEMPERATURE, seed=i
        ):
            times.append(time.perf_counter() - began)
        if len(times) > 1:
            first.append(times[0])
            rates.append((len(times) - 1) / (times[-1] - times[0]))
    if not rates:
        raise UserError("no answer had two tokens, which a rate takes: ask for more --tokens, or more --asked")
    row = {
        "checkpoint": args.checkpoint.name,
        "encode (s)": statistics.median(encoding),
        "first token (s)": statistics.median(first),
        "tokens/s": statistics.median(rates),
        "first token / later one": statistics.median(a * b for a, b in zip(first, rates, strict=True)),
    }
    show("answer_speed", [row], args.out, f"medians over {args.asked} questions on {chat.checkpoint.model.device.type}")


if __name__ == "__main__":
    exit_on_user_error(main)
