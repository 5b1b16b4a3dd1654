"""Batches of a bounded number of tokens: every row once, and as many batches in every epoch on any number of ranks."""

import random
from collections import Counter

import pytest
from torch.utils.data import DataLoader, Subset

from cardiolect.model.training.batches import Batches, fill
from cardiolect.utils.errors import UserError


class Rows:
    """Rows of random lengths, drawn anew in every epoch; a row is its own number."""

    def __init__(self, count: int, shortest: int = 10, longest: int = 90):
        self.count, self.range = count, (shortest, longest)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        rng = random.Random(epoch)
        self.tokens = [rng.randint(*self.range) for _ in range(self.count)]

    def lengths(self) -> list[int]:
        return self.tokens

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> int:
        return i


def tokens_of(batches: Batches, padded: bool) -> list[int]:
    lengths = [[batches.rows.tokens[row] for row in batches[i]] for i in range(len(batches))]
    return [max(each) * len(each) if padded else sum(each) for each in lengths]


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize(("count", "size", "ranks", "accumulation"), [(1000, 8, 2, 4), (37, 100, 1, 1), (11, 4, 3, 2)])
def test_no_batch_exceeds_its_tokens_or_rows_in_any_epoch(padded, count, size, ranks, accumulation):
    batches = Batches(Rows(count), size, 5, ranks, accumulation, tokens=200, padded=padded)
    number = len(batches)
    assert number % ranks == 0 and number % (ranks * accumulation) == 0
    for epoch in range(6):
        batches.set_epoch(epoch)
        assert len(batches) == len(batches.batches) == number, "ranks and a resumed run count on it"
        assert max(tokens_of(batches, padded)) <= 200 and all(1 <= len(batches[i]) <= size for i in range(number))
        used = Counter(row for i in range(number) for row in batches[i])
        assert set(used.values()) == {1}
        assert batches.unused(epoch + 1)[epoch] == count - len(used)
    assert sum(batches.unused(6)) < 0.02 * 6 * count + ranks * accumulation


def test_the_first_epoch_of_a_token_limit_leaves_no_row_out():
    for count in range(8, 60, 7):
        assert Batches(Rows(count), 4, 0, 2, 2, tokens=200).unused(1) == [0]


def test_batches_of_full_rows_hardly_waste_their_tokens():
    batches = Batches(Rows(2000), 1000, 0, tokens=2000)
    lengths = batches.rows.lengths()
    assert sum(lengths) > 0.9 * sum(tokens_of(batches, True)) > 0.85 * 2000 * len(batches)


@pytest.mark.parametrize("tokens", [0, 200])
def test_two_ranks_share_the_steps_of_one_that_accumulates(tokens):
    one, two = (Batches(Rows(203), 4, 7, ranks, 4 // ranks, tokens) for ranks in (1, 2))
    for epoch in (0, 3):
        one.set_epoch(epoch)
        two.set_epoch(epoch)
        assert one.batches == two.batches


@pytest.mark.parametrize("tokens", [0, 200])
def test_a_resumed_run_has_the_batches_of_its_epoch(tokens):
    straight, resumed = (Batches(Rows(203), 4, 7, 2, 1, tokens) for _ in range(2))
    for epoch in range(4):
        straight.set_epoch(epoch)
    resumed.set_epoch(3)
    assert resumed.batches == straight.batches
    assert resumed.unused(4) == straight.unused(4), "also of the epochs before it was resumed"


def test_workers_make_the_batches_that_the_rank_would_in_every_epoch():
    """Workers are forked in every epoch: those of an earlier one would draw its rows again."""
    batches = Batches(Rows(203), 4, 7, 2, 1)
    for epoch in (0, 1, 3):
        batches.set_epoch(epoch)
        loader = DataLoader(batches, batch_size=1, collate_fn=lambda items: items[0], num_workers=2)
        assert list(loader) == batches.batches
    resumed = DataLoader(Subset(batches, range(20, len(batches))), 1, collate_fn=lambda items: items[0], num_workers=1)
    assert list(resumed) == batches.batches[20:]


def test_without_a_token_limit_each_epoch_leaves_out_other_rows_long_ones_no_more_often():
    """The rows that fill no whole step were the longest ones, in every epoch."""
    batches = Batches(Rows(20, 10, 10_000), 8, 0)
    batches.rows.set_epoch = lambda epoch: None
    left_out = set()
    for epoch in range(40):
        batches.set_epoch(epoch)
        assert batches.unused(epoch + 1)[epoch] == 4
        left_out |= set(range(20)) - {row for i in range(len(batches)) for row in batches[i]}
    assert left_out == set(range(20))


def test_fewer_rows_than_a_step_takes_are_still_spread_over_the_ranks():
    batches = Batches(Rows(5), 8, 0, ranks=2, accumulation=4)
    assert [len(batches[i]) for i in range(2)] == [2, 3] and len(batches) == 2 and batches.unused(1) == [0]
    with pytest.raises(UserError, match="1 training sequences are too few for 2 ranks; set NUM_PROCESSES=1"):
        Batches(Rows(1), 8, 0, ranks=2)


def test_rows_fill_batches_in_their_order():
    lengths = [5, 9, 2, 2, 2, 30, 1]
    assert list(fill(range(7), lengths, 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(fill(range(7), lengths, 3, 18)) == [[0, 1], [2, 3, 4], [5], [6]]
    assert list(fill(range(7), lengths, 9, 18, padded=False)) == [[0, 1, 2, 3], [4], [5], [6]]
    assert list(fill([], lengths, 3)) == []
