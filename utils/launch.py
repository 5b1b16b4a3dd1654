"""Starts the processes (ranks) of a run on one machine, and exchanges values between them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from cardiolect.utils.device import choose_device


def quieten_libraries() -> None:
    """Silence what libraries print when they are imported and load files; call it before importing them."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # bars for 4 MB files hide the relevant ones
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # DeepSpeed's choice anyway, after a warning


def ensure_ranks(count: int) -> None:
    """Ensure that this process is one of ``count`` ranks.

    Under torchrun, deepspeed or one of our own ranks (RANK is set) nothing happens. With one rank this process becomes
    rank 0. With more, ``count`` copies of the command are started, and this process exits with their exit code. Unlike
    torchrun, it passes on the code of a failed rank, so invalid input gives exit code 2 with any number of ranks.
    """
    quieten_libraries()
    if "RANK" in os.environ:
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if count == 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
        os.environ.update(shared, RANK="0", LOCAL_RANK="0")
        return
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    ranks = [
        subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:]],
            env={**os.environ, **shared, "RANK": str(i), "LOCAL_RANK": str(i), "OMP_NUM_THREADS": threads},
        )
        for i in range(count)
    ]
    try:
        while any(rank.poll() is None for rank in ranks):
            if any(rank.returncode for rank in ranks):
                deadline = time.time() + 2  # another rank may be about to report the cause
                while time.time() < deadline and any(rank.poll() is None for rank in ranks):
                    time.sleep(0.1)
                break
            time.sleep(0.1)
        # The codes of ranks that a signal or an abort ended are negative: a rank left alone may abort while it exits.
        sys.exit(max((rank.returncode for rank in ranks if rank.returncode), default=0))
    finally:
        for rank in ranks:
            if rank.poll() is None:
                rank.kill()


def join_ranks(device: str = "auto") -> None:
    """Join the process group given by the environment, each rank with its own GPU; a single rank needs no group."""
    if world_size() == 1 or dist.is_initialized():
        return
    on_gpu = choose_device(device).type == "cuda"
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
    # The main rank may encode a whole corpus while the others wait.
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(days=2))


def rank() -> int:
    return int(os.environ.get("RANK", 0))


def world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", 1))


def is_main() -> bool:
    return rank() == 0


def share() -> slice:
    """This rank's share of a sequence: every ``world_size()``-th element."""
    return slice(rank(), None, world_size())


def barrier() -> None:
    """Wait for all ranks; returns at once without a process group."""
    if dist.is_initialized():
        dist.barrier()


def average(tensors: Sequence[Tensor]) -> None:
    """Replace tensors by their means over all ranks, in one exchange; shapes must be the same on all ranks."""
    if world_size() == 1 or not tensors:
        return
    joined = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(joined)
    for tensor, mean in zip(tensors, (joined / world_size()).split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


def gather(value: Any) -> list[Any]:
    """The values of all ranks, in the order of ranks; every rank gets them."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def leave_ranks() -> None:
    """Leave the process group together: ranks that leave one by one may abort at exit."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
