"""Each rank computes on a GPU of its own, or the run stops with one line."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from cardiolect.utils import gpus
from cardiolect.utils.errors import UserError


def chosen(monkeypatch, seen: list[list[str]]) -> list[int | None]:
    """The GPU of each rank of one machine by the ids of the GPUs that it sees."""
    entries, mine = {}, []
    entry = SimpleNamespace(set=entries.__setitem__, get=lambda key: entries.get(key, '["elsewhere", "z", 1]'))
    monkeypatch.setattr(gpus.dist, "PrefixStore", lambda *_: entry)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(mine))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=mine[index]))
    indices = []
    for rank, ids in [*enumerate(seen)] * 2:  # in the second round, each finds the entries of all
        mine[:] = ids
        with suppress(UserError) if len(indices) < len(seen) else nullcontext():
            indices.append(None)
            indices[-1] = gpus.choose_gpu(None, rank, len(seen), rank, "auto")
    return indices[len(seen) :]


def test_ranks_take_the_gpus_of_their_machine_in_order(monkeypatch):
    assert chosen(monkeypatch, [["a", "b"], ["a", "b"]]) == [0, 1]


def test_a_rank_that_sees_its_own_gpu_only_takes_that(monkeypatch):
    assert chosen(monkeypatch, [["a"], ["b"]]) == [0, 0]


@pytest.mark.parametrize("seen", [[["a"], ["a"]], [["a", "b"]] * 3], ids=["one GPU", "two GPUs"])
def test_more_ranks_than_gpus_are_refused(monkeypatch, seen):
    """They would share a GPU by turns, which halves the speed and may not fit."""
    message = rf"{len(seen)} ranks on .* have {len(seen[0])} GPU\(s\); start one rank for each GPU"
    with pytest.raises(UserError, match=message):
        chosen(monkeypatch, seen)


def test_gpus_without_an_id_are_told_apart_by_their_index(monkeypatch):
    def unknown(index):
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr(torch.cuda, "get_device_properties", unknown)
    assert gpus._id_of(0) == gpus._id_of(0) != gpus._id_of(1)


def test_machines_with_and_without_gpus_do_not_mix():
    with pytest.raises(UserError, match="1 of 2 ranks find no GPU, the others do"):
        gpus.check_seats([gpus.Seat("one", "a", 1), gpus.Seat("two", "", 0)])
    gpus.check_seats([gpus.Seat("one", "a", 1), gpus.Seat("two", "a", 1)])  # ids are compared on one machine


def test_ranks_without_gpus_compute_on_the_cpu():
    store = dist.HashStore()
    with ThreadPoolExecutor(2) as pool:
        ranks = [pool.submit(gpus.choose_gpu, store, rank, 2, rank, "cpu") for rank in range(2)]
        assert [rank.result(30) for rank in ranks] == [None, None]
