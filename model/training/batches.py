"""Batches of training sequences of similar length."""

import random

from torch.utils.data import Dataset, Sampler


class LengthBucketSampler(Sampler):
    """Shuffled rows, grouped into batches of similar length to limit padding.

    The order depends only on seed and epoch, so that a resumed run continues with it. Rows that do not fill a batch are
    left out of the epoch: ranks would fill the batch with repeated rows.
    """

    def __init__(self, rows: Dataset, batch: int, seed: int, batches_per_bucket: int = 20):
        self.rows, self.batch, self.seed, self.bucket = rows, batch, seed, batch * batches_per_bucket

    def __len__(self) -> int:
        return len(self.rows) // self.batch * self.batch or len(self.rows)

    def __iter__(self):
        rng = random.Random(f"{self.seed}-{self.rows.epoch}")
        lengths = self.rows.lengths()
        order = rng.sample(range(len(lengths)), len(lengths))
        buckets = (order[i : i + self.bucket] for i in range(0, len(order), self.bucket))
        batches = []
        for bucket in buckets:
            bucket.sort(key=lengths.__getitem__)
            batches += [bucket[i : i + self.batch] for i in range(0, len(bucket), self.batch)]
        if len(batches) > 1:
            batches = [batch for batch in batches if len(batch) == self.batch]
        rng.shuffle(batches)
        return iter([i for batch in batches for i in batch])
