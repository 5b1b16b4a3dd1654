"""Makes this process a rank of its run, and exchanges values between ranks.

PyTorch is imported by the functions that need it: settings are read, and refused, without it.
"""

import json
import os
import socket
import sys
import threading
import uuid
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from cardiolect.utils.errors import UserError
from cardiolect.utils.launchers import OUR_RUN, TORCH, adopt_ranks, idle_slurm_tasks
from cardiolect.utils.parallel import exit_with_parent

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import Store

    from cardiolect.utils.heartbeat import Heartbeat

LONGEST_START = timedelta(minutes=15)  # between the first and the last rank to start
LONGEST_WORK = timedelta(days=2)  # the main rank may encode a whole corpus while the others wait
ANNOUNCED = "CARDIOLECT_ANNOUNCED"  # for ranks that we start: what the process that starts them has announced
_announced: list[str] = []
_heartbeats: "list[Heartbeat]" = []  # of this process: one, if it has joined others


def quieten_libraries() -> None:
    """Silence what libraries print when they are imported and load files; call it before importing them."""
    import torch

    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # bars for 4 MB files hide the relevant ones
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # DeepSpeed's choice anyway, after a warning


def ensure_ranks(count: int) -> None:
    """Ensure that this process is one of ``count`` ranks.

    Under a launcher (torchrun, deepspeed, srun, mpirun, or one of our own ranks) it is a rank already. Otherwise, with
    one rank this process becomes rank 0; with more they are started, and this process exits with their exit code.
    """
    import torch

    quieten_libraries()
    adopt_ranks()
    run_id = os.environ.get("TORCHELASTIC_RUN_ID", "")
    if run_id.startswith(OUR_RUN):  # end with the process that started this rank, even if it is killed
        starter = int(run_id.removeprefix(OUR_RUN))
        threading.Thread(target=exit_with_parent, args=(starter,), daemon=True).start()
    if "RANK" not in os.environ:
        if (tasks := idle_slurm_tasks()) > count:
            print(f"SLURM allots {tasks} tasks, but srun did not start this process; ranks: {count}", file=sys.stderr)
        if count > 1:
            from cardiolect.utils.local_ranks import start_ranks  # not needed by ranks

            os.environ[ANNOUNCED] = json.dumps(_announced)
            sys.exit(start_ranks(count))
        for name in TORCH:
            os.environ.pop(name, None)  # a MASTER_ADDR for other runs
    if world_size() == 1:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        alone = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for name, value in {**alone, "OMP_NUM_THREADS": torch.get_num_threads()}.items():
            os.environ.setdefault(name, str(value))


def join_ranks(device: str = "auto") -> None:
    """Join the process group given by the environment, each rank with its own GPU; a single rank needs no group.

    Raises `UserError` if the other ranks do not come, and if there are more ranks on a machine than GPUs.
    """
    if world_size() == 1 or joined():
        return
    import torch
    import torch.distributed as dist

    from cardiolect.utils.gpus import choose_gpu
    from cardiolect.utils.heartbeat import Heartbeat

    store = _meet()
    gpu = choose_gpu(store, rank(), world_size(), int(os.environ["LOCAL_RANK"]), device)
    if gpu is not None:
        os.environ["LOCAL_RANK"] = str(gpu)  # from which libraries choose theirs
        if "OMPI_COMM_WORLD_LOCAL_RANK" in os.environ:  # DeepSpeed compares the two
            os.environ["OMPI_COMM_WORLD_LOCAL_RANK"] = str(gpu)
        torch.cuda.set_device(gpu)
    _heartbeats.append(Heartbeat(store, rank(), world_size()))
    dist.init_process_group(
        "gloo" if gpu is None else "nccl", store=store, rank=rank(), world_size=world_size(), timeout=LONGEST_WORK
    )


def _meet() -> "Store":
    """The store of all ranks, once they are there."""
    import torch.distributed as dist

    address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    waiting = threading.Timer(30, print, [f"waiting for the other {world_size() - 1} ranks at {address}"])
    waiting.daemon = True
    if is_main():
        waiting.start()
    try:
        store, _, _ = next(dist.rendezvous("env://", timeout=LONGEST_START))
    except (RuntimeError, ValueError) as error:
        reason = f"({str(error).splitlines()[0]}); see docs/CLUSTER.md"
        raise UserError(f"rank {rank()} of {world_size()} met no others at {address} {reason}") from None
    finally:
        waiting.cancel()
    store.set_timeout(LONGEST_WORK)
    return store


def rank() -> int:
    return int(os.environ.get("RANK", 0))


def world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", 1))


def joined() -> bool:
    """Whether this process can exchange values with other ranks."""
    import torch.distributed as dist

    return dist.is_initialized()


def is_main() -> bool:
    return rank() == 0


def is_first_here() -> bool:
    """Whether this is the first rank of its machine, for lines about what may differ between machines."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def announce(line: str, file: TextIO | None = None) -> None:
    """Print a line about the settings on the main rank, unless the process that started it has loaded them, too."""
    _announced.append(line)
    if is_main() and line not in json.loads(os.environ.get(ANNOUNCED, "[]")):
        print(line, file=file)


def share() -> slice:
    """This rank's share of a sequence: every ``world_size()``-th element."""
    return slice(rank(), None, world_size())


def barrier() -> None:
    """Wait for all ranks; returns at once without a process group."""
    if joined():
        import torch.distributed as dist

        dist.barrier()


def average(tensors: "Sequence[Tensor]") -> None:
    """Replace tensors by their means over all ranks, in one exchange; shapes must be the same on all ranks."""
    if world_size() == 1 or not tensors:
        return
    import torch
    import torch.distributed as dist

    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, mean in zip(tensors, (flat / world_size()).split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


def gather(value: Any) -> list[Any]:
    """The values of all ranks, in the order of ranks; every rank gets them."""
    if world_size() == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def gather_shares(values: Sequence[Any]) -> list[Any]:
    """What all ranks have made of their `share` of a sequence, in the order of the sequence."""
    parts = gather(list(values))
    return [parts[k % len(parts)][k // len(parts)] for k in range(sum(map(len, parts)))]


def sharing_ranks(folder: Path) -> list[int]:
    """The ranks that have the same ``folder`` as this one: all, unless it is local to each machine."""
    if world_size() == 1:
        return [0]
    mark = folder / f".{uuid.uuid4().hex}.rank"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError:  # read-only, so that nobody writes to it
        mark = None
    marks = gather(mark and mark.name)
    sharing = [each for each, name in enumerate(marks) if None in marks or (folder / name).exists()]
    barrier()
    if mark:
        mark.unlink()
    return sharing


def leave_ranks() -> None:
    """Leave the process group together: ranks that leave one by one may abort at exit."""
    if joined():
        import torch.distributed as dist

        dist.barrier()
        while _heartbeats:
            _heartbeats.pop().stop()
        dist.destroy_process_group()
