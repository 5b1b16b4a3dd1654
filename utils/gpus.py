"""One GPU for each rank."""

import json
import os
import socket
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist

from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError


class Seat(NamedTuple):
    """Where a rank computes. gpu: the id of its GPU, "" if it has none; visible: how many GPUs it sees."""

    host: str
    gpu: str
    visible: int


def choose_gpu(store: dist.Store, rank: int, world_size: int, local_rank: int, device: str) -> int | None:
    """The index of this rank's GPU among those that it sees; None if ranks compute on the CPU.

    Raises `UserError`, on all ranks alike, unless each has a GPU of its own or none has one.
    """
    index, seat = None, Seat(socket.gethostname(), "", 0)
    if choose_device(device).type == "cuda":
        visible = torch.cuda.device_count()
        # srun and mpirun may show each rank its own GPU only.
        index = local_rank if local_rank < visible else 0 if visible == 1 else None
        gpu = "" if index is None else _id_of(index)
        seat = Seat(socket.gethostname(), gpu, visible)
    # A launcher that restarts ranks keeps the store.
    store = dist.PrefixStore(f"seats-{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    store.set(str(rank), json.dumps(seat))
    check_seats([Seat(*json.loads(store.get(str(each)))) for each in range(world_size)])
    return index


def _id_of(index: int) -> str:
    try:
        return str(torch.cuda.get_device_properties(index).uuid)
    except (AttributeError, AssertionError, RuntimeError):  # not every build of PyTorch and every driver has it
        return f"{index} of {os.environ.get('CUDA_VISIBLE_DEVICES', 'all')}"


def check_seats(seats: Sequence[Seat]) -> None:
    """Raise `UserError` unless each rank has a GPU of its own, or none has one."""
    with_gpu = [seat for seat in seats if seat.visible]
    if not with_gpu:
        return
    if len(with_gpu) < len(seats):
        raise UserError(
            f"{len(seats) - len(with_gpu)} of {len(seats)} ranks find no GPU, the others do; DEVICE=cpu uses none"
        )
    for host in {seat.host for seat in seats}:
        here = [seat for seat in seats if seat.host == host]
        gpus = {seat.gpu for seat in here} - {""}
        if len(gpus) < len(here):
            raise UserError(f"{len(here)} ranks on {host} have {len(gpus)} GPU(s); start one rank for each GPU")
