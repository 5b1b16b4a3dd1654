"""A stock server's answers, beside those of the same checkpoint in this process.

    python -m bench.serving CHECKPOINT RECORDS [--endpoint URL [--logit-bias]] [--threads 2]

CHECKPOINT is the folder that the server holds (docs/SERVING.md), RECORDS a folder of WFDB recordings, of which twelve
are taken. Six prompts about each: questions, reports, a patient, a conversation.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import torch

from bench.report import command_line, seconds_per_call, show
from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.serving.endpoint import EndpointChat
from cardiolect.utils.errors import UserError, exit_on_user_error

RECORDS, AT_ONCE = 12, 10
ASKED = (
    ("", (), ""),
    ("", (), "age 56, sex female"),
    ("Does this ECG show symptoms of sinus rhythm?", (), ""),
    ("What is the heart axis?", (), ""),
    ("Does this ECG show atrial fibrillation?", (), ""),
    ("Does this ECG show symptoms of sinus rhythm?", (("", "sinus rhythm."), ("Why?", "no")), "age 56"),
)


def timed(stream: Iterator[str]) -> tuple[str, float, float]:
    """Text, seconds to its first word and in all."""
    start, text, first = time.perf_counter(), "", 0.0
    for so_far in stream:
        text = so_far
        first = first or time.perf_counter() - start
    return text, first, time.perf_counter() - start


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("checkpoint", type=Path, help="the folder that the server holds")
    parser.add_argument("records", type=Path, help="a folder of WFDB recordings")
    parser.add_argument("--endpoint", default="http://127.0.0.1:8000")
    parser.add_argument("--logit-bias", action="store_true", help="as cardiolect ask --logit-bias")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    paths = sorted(given.records.rglob("*.hea"))
    if not paths:
        raise UserError(f"{given.records}: holds no WFDB recordings (*.hea)")
    here = ECGChat.from_pretrained(given.checkpoint, device="cpu")
    there = EndpointChat.from_pretrained(given.endpoint, given.checkpoint, logit_bias=given.logit_bias)
    codes = [here.encode(here.read(path.with_suffix(""))) for path in paths[:: max(len(paths) // RECORDS, 1)][:RECORDS]]
    same, asked, first, rate = 0, 0, {here: [], there: []}, {here: [], there: []}
    for ecg in codes:
        for question, history, patient in ASKED:
            texts = []
            for chat in (here, there):
                text, begun, whole = timed(chat.stream(ecg, question, history=history, patient=patient))
                texts.append(text)
                tokens = len(here.checkpoint.vocabulary.text_ids(" " + text))
                if tokens > 3:
                    first[chat].append(begun)
                    rate[chat].append((tokens - 1) / (whole - begun))
            asked += 1
            same += texts[0] == texts[1]
    one = seconds_per_call(lambda: there.ask(codes[0]))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        many = seconds_per_call(lambda: list(pool.map(there.ask, [codes[0]] * AT_ONCE)))
    row = {
        "equal texts": same / asked,
        "ms to first word": 1000 * median(first[there]),
        "ratio": median(first[there]) / median(first[here]),
        "tokens/s then": median(rate[there]),
        "ratio to this process": median(rate[there]) / median(rate[here]),
        f"{AT_ONCE} at once, s": many,
        "ratio to one": many / one,
    }
    show("serving", [row], given.out, f"{asked} prompts of {len(codes)} recordings, sent to {given.endpoint}")


if __name__ == "__main__":
    exit_on_user_error(main)
