"""Batches of training sequences of similar length: at most so many rows, and at most so many tokens."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
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
    rows = np.asarray(rows, np.int64)
    starts = _cut(np.asarray(lengths)[rows], most_rows, most_tokens, padded, max(1, len(rows)))
    for start, stop in pairwise([*starts, len(rows)]):
        yield rows[start:stop].tolist()


def _cut(lengths: np.ndarray, most_rows: int, most_tokens: int, padded: bool, bucket: int) -> np.ndarray:
    """Where the batches of `fill` begin. lengths: tokens of the rows in order. bucket: no batch crosses a multiple."""
    count = len(lengths)
    if not most_tokens and bucket % most_rows == 0:
        return np.arange(0, count, most_rows)
    places = np.arange(count)
    most = np.minimum(most_rows, bucket - places % bucket)
    fits = np.ones(count, np.int64)  # how many rows fit into a batch that begins with each
    longest, total = lengths.astype(np.int64), lengths.astype(np.int64)
    for rows in range(2, most_rows + 1):
        begins = np.flatnonzero((fits == rows - 1) & (most >= rows) & (places <= count - rows))
        if not len(begins):
            break
        added = lengths[begins + rows - 1]
        longest[begins], total[begins] = np.maximum(longest[begins], added), total[begins] + added
        tokens = longest[begins] * rows if padded else total[begins]
        fits[begins[tokens <= (most_tokens or np.inf)]] = rows
    after, starts, place = (places + fits).tolist(), [], 0
    while place < count:
        starts.append(place)
        place = after[place]
    return np.array(starts, np.int64)


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
        self._fill_epoch()
        most = len(rows)
        whole = self.step if most >= self.step else ranks  # fewer rows than batches: a step with fewer batches
        needed = -(-len(self._starts) // whole) * whole
        self.count = needed if needed <= most else most // whole * whole
        if not self.count:
            raise UserError(f"{most} training sequences are too few for {ranks} ranks; set NUM_PROCESSES={most}")
        self._arrange()

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch, whose rows are drawn anew."""
        if epoch != self.epoch:
            self.epoch = epoch
            self.rows.set_epoch(epoch)
            self._fill_epoch()
            self._arrange()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> list[Packed]:
        return [self.rows[int(row)] for row in self._order[self._starts[i] : self._stops[i]]]

    @property
    def batches(self) -> list[list[int]]:
        """The rows of every batch."""
        return [self._order[start:stop].tolist() for start, stop in zip(self._starts, self._stops, strict=True)]

    @property
    def sizes(self) -> np.ndarray:
        """How many rows each batch has."""
        return self._stops - self._starts

    def unused(self, epochs: int) -> list[int]:
        """How many rows each of the first epochs left out. Afterwards, the last of these is the current one."""
        for epoch in range(epochs):
            if epoch not in self._unused:  # before a run was resumed
                self.set_epoch(epoch)
        return [self._unused[epoch] for epoch in range(epochs)]

    def _fill_epoch(self) -> None:
        """Put the rows in order, and cut them into batches: those of each bucket by length."""
        self.rng = np.random.default_rng([self.seed, self.epoch])
        lengths = np.asarray(self.rows.lengths())
        order = self.rng.permutation(np.arange(len(lengths), dtype=np.int32))
        whole = self.size * self.step
        if not self.tokens and len(order) >= whole:
            order = order[: len(order) // whole * whole]
        bucket = whole * STEPS_PER_BUCKET
        for part in np.split(order, range(bucket, len(order), bucket)):
            part[:] = part[np.argsort(lengths[part], kind="stable")]
        self._order = order
        self._starts = _cut(lengths[order], self.size, self.tokens, self.padded, bucket)
        self._stops = np.append(self._starts[1:], len(order))

    def _arrange(self) -> None:
        """Bring the batches to their fixed number and shuffle the steps."""
        found = len(self._starts)
        if found > self.count:
            kept = np.sort(self.rng.choice(found, self.count, replace=False))
            self._starts, self._stops = self._starts[kept], self._stops[kept]
        while (missing := self.count - len(self._starts)) > 0:
            divided = np.argsort(-self.sizes, kind="stable")[:missing]
            divided = divided[self.sizes[divided] > 1]
            middles = self._starts[divided] + self.sizes[divided] // 2
            starts = np.concatenate([self._starts, middles])
            stops = np.concatenate([self._stops, self._stops[divided]])
            stops[divided] = middles
            in_order = np.argsort(starts)
            self._starts, self._stops = starts[in_order], stops[in_order]
        steps = np.arange(self.count).reshape(-1, min(self.step, self.count))
        shuffled = self.rng.permutation(steps).ravel()
        self._starts, self._stops = self._starts[shuffled], self._stops[shuffled]
        self._unused[self.epoch] = len(self.rows) - int(self.sizes.sum())


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
        sizes = batches.sizes
        capped = int((sizes == settings.batch_size).sum())
        print(
            f"BATCH_TOKENS={most}: {len(sizes)} batches per epoch, with {sizes.min()} to {sizes.max()} sequences and "
            f"{sum(train_rows.lengths()) / len(sizes):.0f} tokens on average; {capped} of them are full by BATCH_SIZE"
        )
    return batches
