"""Batches of training sequences of similar length: at most so many rows, and at most so many tokens."""

import random
from collections.abc import Iterator, Sequence
from heapq import nlargest

from torch.utils.data import Dataset

from cardiolect.model.training.packing import Packed
from cardiolect.model.training.settings import TrainSettings
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError

STEPS_PER_BUCKET = 20  # rows of so many optimiser steps are sorted by length


def fill(
    rows: Sequence[int], lengths: Sequence[int], most_rows: int, most_tokens: int = 0, padded: bool = True
) -> Iterator[list[int]]:
    """Cut rows, in their order, into batches that hold as many as the limits allow.

    lengths: tokens of every row. most_tokens: of a batch; 0: no limit. padded: rows are padded to the longest of their
    batch, which counts as well; otherwise only their own tokens do. A longer row is a batch of its own.
    """
    batch: list[int] = []
    longest = total = 0
    for row in rows:
        longest, total = max(longest, lengths[row]), total + lengths[row]
        tokens = longest * (len(batch) + 1) if padded else total
        if batch and (len(batch) == most_rows or (most_tokens and tokens > most_tokens)):
            yield batch
            batch, longest, total = [], lengths[row], lengths[row]
        batch.append(row)
    if batch:
        yield batch


class Batches(Dataset):
    """The batches of an epoch; item i is the list of rows that one rank computes at once.

    rows: a dataset with ``lengths()`` and ``set_epoch``, and as many rows in every epoch. size: most rows of a batch.
    ranks, accumulation: an optimiser step consists of ``ranks * accumulation`` consecutive batches of similar length.
    tokens, padded: as most_tokens and padded of `fill`.

    The batches depend only on seed and epoch, and on ranks and accumulation only by their product (unless there are
    fewer rows), so that a resumed run continues with them. Every epoch has the same number of them, whatever its
    lengths: without a limit on tokens, rows that do not fill a step are left out of the epoch, drawn anew in each. With
    one, batches are divided until they fill the last step; an epoch that needs more batches than the first one leaves
    some out (`unused`).
    """

    def __init__(
        self,
        rows: Dataset,
        size: int,
        seed: int,
        ranks: int = 1,
        accumulation: int = 1,
        tokens: int = 0,
        padded: bool = True,
    ):
        self.rows, self.size, self.seed, self.tokens, self.padded = rows, size, seed, tokens, padded
        self.step, self.count, self.epoch, self._unused = ranks * accumulation, 0, 0, {}
        first, most = self._fill_epoch(), len(rows)
        whole = self.step if most >= self.step else ranks  # fewer rows than batches: a step with fewer batches
        needed = -(-len(first) // whole) * whole
        self.count = needed if needed <= most else most // whole * whole
        if not self.count:
            raise UserError(f"{most} training sequences are too few for {ranks} ranks; set NUM_PROCESSES={most}")
        self._arrange(first)

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch, whose rows are drawn anew."""
        if epoch != self.epoch:
            self.epoch = epoch
            self.rows.set_epoch(epoch)
            self._arrange(self._fill_epoch())

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> list[Packed]:
        return [self.rows[row] for row in self.batches[i]]

    def unused(self, epochs: int) -> list[int]:
        """How many rows each of the first epochs left out. Afterwards, the last of these is the current one."""
        for epoch in range(epochs):
            if epoch not in self._unused:  # before a run was resumed
                self.set_epoch(epoch)
        return [self._unused[epoch] for epoch in range(epochs)]

    def _fill_epoch(self) -> list[list[int]]:
        """Batches of this epoch, those of each bucket by length."""
        self.rng = random.Random(f"{self.seed}-{self.epoch}")
        lengths = self.rows.lengths()
        order = self.rng.sample(range(len(lengths)), len(lengths))
        whole = self.size * self.step
        if not self.tokens and len(order) >= whole:
            order = order[: len(order) // whole * whole]
        found: list[list[int]] = []
        for start in range(0, len(order), whole * STEPS_PER_BUCKET):
            bucket = sorted(order[start : start + whole * STEPS_PER_BUCKET], key=lengths.__getitem__)
            found += fill(bucket, lengths, self.size, self.tokens, self.padded)
        return found

    def _arrange(self, found: list[list[int]]) -> None:
        """Bring the batches to their fixed number and shuffle the steps."""
        if len(found) > self.count:
            found = [found[i] for i in sorted(self.rng.sample(range(len(found)), self.count))]
        while (missing := self.count - len(found)) > 0:
            divided = set(nlargest(missing, range(len(found)), key=lambda i: len(found[i])))
            halves = (_halves(batch) if i in divided else [batch] for i, batch in enumerate(found))
            found = [half for batch in halves for half in batch if half]
        steps = [found[i : i + self.step] for i in range(0, len(found), self.step)]
        self.rng.shuffle(steps)
        self.batches = [batch for step in steps for batch in step]
        self._unused[self.epoch] = len(self.rows) - sum(map(len, self.batches))


def _halves(batch: list[int]) -> tuple[list[int], list[int]]:
    return batch[: len(batch) // 2], batch[len(batch) // 2 :]


def make_batches(train_rows: Dataset, valid_rows: Dataset, settings: TrainSettings, padded: bool) -> Batches:
    """`Batches` by the settings, with a line about those that BATCH_TOKENS makes.

    Raises `UserError` if a row of any epoch, or of validation, exceeds BATCH_TOKENS alone.
    """
    most = settings.batch_tokens
    for rows in (train_rows, valid_rows) if most else ():
        tokens, records = rows.longest_row()
        if tokens > most:
            raise UserError(
                f"BATCH_TOKENS={most}: a sequence about record {records} can have {tokens} tokens; set BATCH_TOKENS to "
                "at least that, RECORD_SECONDS to shorten recordings, or QUESTIONS_PER_ECG to fewer questions"
            )
    ranks, accumulation = launch.world_size(), settings.gradient_accumulation_steps
    batches = Batches(train_rows, settings.batch_size, settings.seed, ranks, accumulation, most, padded)
    if most and launch.is_main():
        lengths, sizes = train_rows.lengths(), [len(batch) for batch in batches.batches]
        capped = sum(size == settings.batch_size for size in sizes)
        print(
            f"BATCH_TOKENS={most}: {len(sizes)} batches per epoch, with {min(sizes)} to {max(sizes)} sequences and "
            f"{sum(lengths) / len(sizes):.0f} tokens on average; {capped} of them are full by BATCH_SIZE"
        )
    return batches
