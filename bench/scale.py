"""The data side of fine-tuning at scale: this build against the one before, side by side in one run.

    python -m bench.scale [--questions 200000] [--per-recording 30] [--threads 1]

Makes a corpus of questions like ECG-QA's about recordings that exist by name only, and measures what is not shared by
processes (USS), the start of a run and of an epoch, and what a batch costs the training thread. Memory is what a
question adds, from a quarter of the corpus to all of it, so that caches of a fixed size do not count. Figures of the
whole corpus are scaled linearly to 24 million questions and 8 ranks.
"""

import argparse
import gc
import json
import mmap
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from bench.baselines.rows_in_memory import RowsInMemory, collate_dense
from bench.harness import benchmark_parser, report
from bench.random_models import random_checkpoint
from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.data_provider.texts.questions import load_examples
from cardiolect.data_provider.texts.shared_examples import examples_of_files
from cardiolect.ecg_tokenizer.base import PreparedECG
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.model.training.attention import add_masks
from cardiolect.model.training.batches import Batches
from cardiolect.model.training.packing import lay_out
from cardiolect.model.training.rows import FinetuneDataset
from cardiolect.utils.command_line import run_command

QUESTIONS, RANKS = 24_000_000, 8  # of the corpus that figures are scaled to
PER_ROW, BATCH, FRAMES = 6, 8, 209  # QUESTIONS_PER_ECG, BATCH_SIZE, codes of an ECG of 10 s
WORKERS, WAIT = 2, 1.0  # of the loader; seconds that a training step takes, in which workers make the next batch
SHAPES = {"4000 ECG + 400 text": (4000, 400), "400 ECG + 4000 text": (400, 4000)}
FINDINGS = [f"{degree} {finding}" for degree in ("mild", "severe", "old", "new") for finding in map(str, range(100))]
ASKED = ("Does this ECG show {}?", "Is {} seen in this recording?", "Which leads show {}?", "Would you report {}?")
ANSWERS = ("yes", "no", "not sure")
TARGETS = {"host memory": 30, "parsing": 20, "epoch": 20, "batch": 50}


class Codes:
    """ECGs of as many codes, in the place of `CachedECGs`."""

    def __init__(self, frames: int = FRAMES):
        self.codes, self.neighbours = np.arange(frames) % 125, {}

    def __contains__(self, ref: RecordRef) -> bool:
        return True

    def windows(self, ref: RecordRef) -> int:
        return 1

    def num_tokens(self, ref: RecordRef, window: int = 0) -> int:
        return len(self.codes)

    def ecg(self, ref: RecordRef, window: int = 0) -> PreparedECG:
        return PreparedECG(ref.record_id, self.codes.tolist(), self.codes)


class Corpus(NamedTuple):
    """A file of questions and its folder, with a cache folder in it."""

    file: Path
    questions: int

    @classmethod
    def make(cls, folder: Path, questions: int, per_recording: int) -> "Corpus":
        rng, items = np.random.default_rng(0), []
        folder.mkdir(parents=True)
        for number in range(-(-questions // per_recording)):
            path = folder / f"p{number // 1000}/{number:08}"
            path.parent.mkdir(exist_ok=True)
            for suffix in (".hea", ".dat"):
                path.with_suffix(suffix).touch()
            for _ in range(min(per_recording, questions - len(items))):
                finding, asked = FINDINGS[rng.integers(len(FINDINGS))], ASKED[rng.integers(len(ASKED))]
                item = {"ecg_id": number, "ecg_path": str(path.relative_to(folder)), "patient_id": number // 5}
                item |= {"question": asked.format(finding), "answer": [ANSWERS[rng.integers(3)]]}
                item |= {"question_type": "single-verify", "attribute_type": "scp_code", "template_id": 1}
                items.append(item | {"attribute": [finding], "background": f"Age: {20 + number % 70}"})
        file = folder / "train.json"
        file.write_text(json.dumps(items))
        return cls(file, questions)

    def old(self) -> list[Example]:
        return load_examples([self.file], self.file.parent, None).examples

    def new(self) -> list[Example]:
        return examples_of_files([self.file], self.file.parent, None, False, self.file.parent / "cache")[0]


def old_rows(vocabulary: Vocabulary, corpus: Corpus) -> RowsInMemory:
    return RowsInMemory(vocabulary, corpus.old(), Codes(), PER_ROW, BATCH)


def new_rows(vocabulary: Vocabulary, corpus: Corpus) -> Batches:
    rows = FinetuneDataset(vocabulary, corpus.new(), Codes(), PER_ROW)
    return Batches(rows, BATCH, seed=0)


def private_bytes() -> int:
    """Memory of this process that no other shares."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private"))


def measure(make: Callable, corpora: tuple[Corpus, ...]) -> tuple[float, float]:
    """In a process of its own: private bytes that a question adds, and CPU seconds of the start of an epoch.

    corpora: one that is warmed up with, a small and a large one.
    """
    vocabulary = random_checkpoint("tiny").vocabulary
    kept, memory, seconds = [], [], []
    for each in corpora:
        kept.append(make(vocabulary, each))
        kept[-1].set_epoch(1)
        gc.collect()
        memory.append(private_bytes())
    for epoch in range(2, 5):
        start = time.process_time()
        kept[-1].set_epoch(epoch)
        seconds.append(time.process_time() - start)
    small, large = np.diff(memory)
    added = max(large - small, mmap.PAGESIZE)  # less cannot be told
    return added / (corpora[2].questions - corpora[1].questions), float(np.median(seconds))


def row(what: str, target: str, before: float, now: float) -> dict:
    return {"what": what, "before": before, "now": now, "ratio": before / now, "target": TARGETS[target]}


def memory_and_epoch(corpora: tuple[Corpus, ...]) -> list[dict]:
    for corpus in corpora:
        corpus.new()  # the first run of all has written the tables
    found = []
    for make in (old_rows, new_rows):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found.append(pool.apply(measure, (make, corpora)))
    (old_bytes, old_seconds), (new_bytes, new_seconds) = found
    whole, epochs = QUESTIONS * RANKS / 1e9, QUESTIONS / corpora[-1].questions
    return [
        row("private bytes a question", "host memory", old_bytes, new_bytes),
        row(f"GB of 24 million, {RANKS} ranks (scaled)", "host memory", old_bytes * whole, new_bytes * whole),
        row("start of an epoch of 24 million, s (scaled)", "epoch", old_seconds * epochs, new_seconds * epochs),
    ]


def start_of_a_run(corpora: tuple[Corpus, ...]) -> list[dict]:
    corpus, seconds = corpora[-1], []
    corpus.new()
    for load in (corpus.old, corpus.new):
        start = time.process_time()
        load()
        seconds.append((time.process_time() - start) * QUESTIONS / corpus.questions)
    return [row("reading 24 million, but in the first run, s (scaled)", "parsing", *seconds)]


def batches(corpora: tuple[Corpus, ...]) -> list[dict]:
    vocabulary = random_checkpoint("tiny").vocabulary
    pad, found = vocabulary.tokenizer.pad_token_id, []
    for name, (frames, text) in SHAPES.items():
        refs = [RecordRef(str(k), Path(str(k))) for k in range(BATCH * 8)]
        asked = [Example("", (ref,), "qa", ASKED[k % 4].format(k % 9), ("yes",)) for ref in refs for k in range(text)]
        rows, before = FinetuneDataset(vocabulary, asked, Codes(frames), 1), frames + 3
        per_row = max(1, (frames + text - before) // (int(rows.lengths().mean()) - before))
        asked = [example for k, example in enumerate(asked) if k % text < per_row]
        old = RowsInMemory(vocabulary, asked, Codes(frames), per_row, BATCH)
        made = Batches(FinetuneDataset(vocabulary, asked, Codes(frames), per_row), BATCH, seed=0)
        times: list[list[float]] = [[], []]
        for i in range(3):
            start = time.perf_counter()
            batch = collate_dense(old.batch(i), pad)
            times[0].append(time.perf_counter() - start)
        collate = partial(_only, pad_id=pad)
        loader = iter(DataLoader(made, batch_size=1, shuffle=False, collate_fn=collate, num_workers=WORKERS))
        for _ in range(5):
            time.sleep(WAIT)
            start = time.perf_counter()
            add_masks(next(loader)["row_groups"], torch.float32)
            times[1].append(time.perf_counter() - start)
        shape = " x ".join(map(str, batch["input_ids"].shape))
        found.append(row(f"batch of {shape}, {name}: s of the training thread", "batch", *map(np.median, times)))
    return found


def _only(items: list, pad_id: int) -> dict:
    return lay_out(items[0], pad_id)


ROWS: list[Callable[[tuple[Corpus, ...]], list[dict]]] = [memory_and_epoch, start_of_a_run, batches]


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--questions", type=int, default=200_000, help="of the corpus that is measured")
    parser.add_argument("--per-recording", type=int, default=30, help="questions about each recording")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        sizes = (min(1000, arguments.questions // 8), arguments.questions // 4, arguments.questions)
        corpora = tuple(
            Corpus.make(Path(folder) / str(k), size, arguments.per_recording) for k, size in enumerate(sizes)
        )
        table = [line for rows in ROWS for line in rows(corpora)]
    notes = (
        f"{arguments.questions} questions, {arguments.per_recording} about each recording, {PER_ROW} in a row; memory "
        f"without the code cache; CPU seconds, but for batches wall seconds, by {WORKERS} workers during steps of "
        f"{WAIT:g} s, with masks"
    )
    report("scale", table, arguments.out, notes)


if __name__ == "__main__":
    run_command(main)
