"""How many answers stay the same if an ECG has offsets, rails, gaps or padding: read as files are, and taken as it is.

    python -m bench.damaged_ecgs --checkpoint checkpoints/quickstart/llm --corpus data/quickstart/corpus
    python -m bench.damaged_ecgs --checkpoint checkpoints/quickstart/llm --corpus data/ptb-xl \\
        --questions data/real/questions/test.json

``right`` is the share of right answers, ``same`` that of answers as about the undamaged ECG. ``as it is`` encodes the
damaged signal without the reader's masks and with its offsets, as a tokenizer without these would.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from bench.harness import benchmark_parser, report
from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.examples import Example
from cardiolect.data_provider.readers import FileError, read_record
from cardiolect.data_provider.readers.assembly import assemble
from cardiolect.data_provider.readers.channels import Channels
from cardiolect.data_provider.record import LEADS, ECGRecord, resample
from cardiolect.data_provider.texts.questions import load_examples
from cardiolect.model.inference.chat import ECGChat
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import definition

KINDS = ("scp_code", "heart_axis")  # of attributes that questions are about
V2 = LEADS.index("V2")
Damage = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def offsets(sd: float) -> Damage:
    return lambda signal, fs, rng: signal + sd * rng.standard_normal((12, 1))


def lasting(value: float, first: float, end: float, leads=(V2,)) -> Damage:
    def damage(signal, fs, rng):
        signal = signal.copy()
        signal[list(leads), round(first * fs) : round(end * fs)] = value
        return signal

    return damage


def spike(signal: np.ndarray, fs: float, rng: np.random.Generator) -> np.ndarray:
    signal = signal.copy()
    signal[V2, round(5 * fs)] = 80
    return signal


DAMAGES: dict[str, Damage] = {
    "none": lambda signal, fs, rng: signal,
    "offsets, SD 0.3 mV": offsets(0.3),
    "offsets, SD 1 mV": offsets(1),
    "offsets, SD 3 mV": offsets(3),
    "offsets, SD 100 mV": offsets(100),
    "V2 at -32.768 mV for 2 s": lasting(-32.768, 8, 10),
    "V2 at a rail of 5.12 mV for 3 s": lasting(5.1175, 4, 7),
    "V2 at 0 for 3 s": lasting(0, 4, 7),
    "no value in V2 for 2 s": lasting(np.nan, 4, 6),
    "a spike of 80 mV in V2": spike,
    "3 s of zeros at the end": lasting(0, 7, 10, range(12)),
}


def as_read(signal: np.ndarray, fs: float) -> ECGRecord:
    """What a reader makes of a file with these leads."""
    ecg = assemble(Channels(dict(zip(LEADS, signal.astype(float), strict=True)), fs))
    return ECGRecord(ecg.signal, fs, ecg.good, "")


def as_it_is(chat: ECGChat, signal: np.ndarray, fs: float) -> np.ndarray:
    """The item of a signal with whatever numbers it holds."""
    known = np.nan_to_num(signal).astype(np.float32)
    return chat.representation._prepare([resample(known, fs, chat.representation.sampling_rate)])[0]


def choose(arguments) -> list[Example]:
    database = load_database(arguments.corpus, "--corpus")
    paths = [arguments.questions or arguments.corpus / "questions/test.json"]
    examples = load_examples(paths, arguments.corpus, database, allow_missing=True).examples
    examples = [e for e in examples if len(e.records) == 1 and e.attribute_type in KINDS]
    if not examples:
        raise UserError(f"{paths[0]}: no questions about {' or '.join(KINDS)}")
    return random.Random(arguments.seed).sample(examples, min(arguments.samples, len(examples)))


def answers(chat: ECGChat, examples: Sequence[Example], damage: Damage, seed: int) -> tuple[list[str], list[str]]:
    """Answers about the damaged ECGs as read and as they are; "" if the reader refuses the ECG."""
    read, taken = [], []
    for number, example in enumerate(examples):
        record = read_record(example.records[0])
        signal = damage(record.signal, record.fs, np.random.default_rng([seed, number]))
        asked = {"question": example.question, "patient": example.background, "max_new_tokens": 20}
        try:
            read.append(chat.ask(as_read(signal, record.fs), **asked))
        except FileError:
            read.append("")
        taken.append(chat.ask(as_it_is(chat, signal, record.fs), **asked))
    return read, taken


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of PTB-XL or of the simulator")
    parser.add_argument("--questions", type=Path, help="default: questions/test.json of the corpus")
    parser.add_argument("--samples", type=int, default=200, help="questions")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    chat, examples = ECGChat.from_pretrained(arguments.checkpoint), choose(arguments)
    match, clean, rows = definition("strict").match, None, []
    for name, damage in tqdm(DAMAGES.items(), unit="damage"):
        found = answers(chat, examples, damage, arguments.seed)
        clean = clean or found
        row = {"damage": name}
        for label, given, undamaged in zip(("as read", "as it is"), found, clean, strict=True):
            right = [match(text, e.answers) for text, e in zip(given, examples, strict=True)]
            same = [text == before for text, before in zip(given, undamaged, strict=True)]
            row |= {f"{label}, right %": 100 * np.mean(right), f"{label}, same %": 100 * np.mean(same)}
        rows.append(row)
    report("damaged_ecgs", rows, arguments.out, f"{len(examples)} questions about {' and '.join(KINDS)}")


if __name__ == "__main__":
    run_command(main)
