"""Answers and speed of a stock server, compared with the same checkpoint in this process.

    python -m bench.serving CHECKPOINT RECORDS [--endpoint URL [--logit-bias]] [--threads 2]

CHECKPOINT is the folder that the server has loaded (docs/SERVING.md), RECORDS a folder with WFDB recordings, of which
twelve are used. Six prompts about each: questions, reports, patient details, a conversation.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import torch

from bench.harness import benchmark_parser, report, seconds_per_call
from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.serving.endpoint import EndpointChat
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError

MAX_RECORDS, CONCURRENT = 12, 10
PROMPTS = (  # question, history, patient
    ("", (), ""),
    ("", (), "age 56, sex female"),
    ("Does this ECG show symptoms of sinus rhythm?", (), ""),
    ("What is the heart axis?", (), ""),
    ("Does this ECG show atrial fibrillation?", (), ""),
    ("Does this ECG show symptoms of sinus rhythm?", (("", "sinus rhythm."), ("Why?", "no")), "age 56"),
)


def timed(stream: Iterator[str]) -> tuple[str, float, float]:
    """The text, and the seconds until its first word and its end."""
    start, text, first = time.perf_counter(), "", 0.0
    for so_far in stream:
        text = so_far
        first = first or time.perf_counter() - start
    return text, first, time.perf_counter() - start


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("checkpoint", type=Path, help="the folder that the server has loaded")
    parser.add_argument("records", type=Path, help="a folder with WFDB recordings")
    parser.add_argument("--endpoint", default="http://127.0.0.1:8000")
    parser.add_argument("--logit-bias", action="store_true", help="as cardiolect ask --logit-bias")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    paths = sorted(arguments.records.rglob("*.hea"))
    if not paths:
        raise UserError(f"{arguments.records}: no WFDB recordings (*.hea) in this folder")
    local = ECGChat.from_pretrained(arguments.checkpoint, device="cpu")
    remote = EndpointChat.from_pretrained(arguments.endpoint, arguments.checkpoint, logit_bias=arguments.logit_bias)
    codes = [
        local.encode(local.read(path.with_suffix("")))
        for path in paths[:: max(len(paths) // MAX_RECORDS, 1)][:MAX_RECORDS]
    ]
    equal, total, first, rate = 0, 0, {local: [], remote: []}, {local: [], remote: []}
    for ecg in codes:
        for question, history, patient in PROMPTS:
            texts = []
            for chat in (local, remote):
                text, first_word, end = timed(chat.stream(ecg, question, history=history, patient=patient))
                texts.append(text)
                tokens = len(local.checkpoint.vocabulary.text_ids(" " + text))
                if tokens > 3:
                    first[chat].append(first_word)
                    rate[chat].append((tokens - 1) / (end - first_word))
            total += 1
            equal += texts[0] == texts[1]
    one = seconds_per_call(lambda: remote.ask(codes[0]))
    with ThreadPoolExecutor(CONCURRENT) as pool:
        many = seconds_per_call(lambda: list(pool.map(remote.ask, [codes[0]] * CONCURRENT)))
    row = {
        "equal texts": equal / total,
        "ms to first word": 1000 * median(first[remote]),
        "ratio": median(first[remote]) / median(first[local]),
        "tokens/s then": median(rate[remote]),
        "ratio to this process": median(rate[remote]) / median(rate[local]),
        f"{CONCURRENT} at once, s": many,
        "ratio to one": many / one,
    }
    report(
        "serving", [row], arguments.out, f"{total} prompts about {len(codes)} recordings, sent to {arguments.endpoint}"
    )


if __name__ == "__main__":
    run_command(main)
