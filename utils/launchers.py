"""Which rank of a run this process is, by the variables of the launcher that started it.

torchrun and deepspeed set what PyTorch reads: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT. srun and
mpirun have variables of their own, which are translated; before PyTorch is imported, because it reads OMP_NUM_THREADS.
"""

import os
import re
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cardiolect.utils.errors import UserError

TORCH = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
OPEN_MPI = (
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    ("OMPI_COMM_WORLD_LOCAL_RANK",),
    ("OMPI_COMM_WORLD_LOCAL_SIZE",),
)
# MPICH and Intel MPI, then Cray; srun --mpi=pmi2 sets only the first two.
PMI = (
    "PMI_RANK",
    "PMI_SIZE",
    ("MPI_LOCALRANKID", "PMI_LOCAL_RANK", "SLURM_LOCALID"),
    ("MPI_LOCALNRANKS", "PMI_LOCAL_SIZE"),
)
SLURM_TASKS = ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS")
FIRST_SPECIAL_STEP = 0xFFFFFFF0  # batch scripts and salloc's shell: SLURM numbers their steps from the top
OUR_RUN = "cardiolect-"  # begins TORCHELASTIC_RUN_ID of ranks that we start, before the number of our process
MOST_CORES = 2**16  # of any machine
PORTS = range(61000, 65000)  # above the ports that Linux gives to outgoing connections


class Task(NamedTuple):
    """One process as srun or mpirun started it. tasks_here: how many there are on this machine, None if unknown."""

    launcher: str
    rank: int
    tasks: int
    local_rank: int
    tasks_here: int | None


def adopt_ranks() -> None:
    """Set PyTorch's variables from those of srun or mpirun; without a launcher, nothing happens.

    Raises `UserError` if variables are missing or contradict one another, because this process would wait for ranks
    that do not exist, or write what others write as well.
    """
    task = _task()
    if "RANK" in os.environ:
        _check_ranks(task)
    elif task:
        _translate(task)
    elif _number("WORLD_SIZE", 1) > 1:
        raise UserError("WORLD_SIZE is set, but RANK is not: start the ranks by a launcher, or unset WORLD_SIZE")


def ranks_here() -> int | None:
    """The number of ranks on this machine, if the launcher says it."""
    found = _first(("LOCAL_WORLD_SIZE", "LOCAL_SIZE"))
    return None if found is None else _number(found)


def check_count(count: int) -> None:
    """Raise `UserError` if a launcher started another number of ranks than NUM_PROCESSES=``count``."""
    if "RANK" not in os.environ:
        return
    total = _number("WORLD_SIZE")
    here = ranks_here() or total
    if count not in (here, total):
        where = "" if here == total else f" here, {total} on all machines"
        raise UserError(
            f"NUM_PROCESSES={count}, but the launcher started {here} ranks{where}; set NUM_PROCESSES={here}"
        )


def only_main_rank() -> None:
    """End every rank but the first, which goes on as if it had no launcher: for work that ranks do not share."""
    if "RANK" not in os.environ or _number("WORLD_SIZE") == 1:
        return
    if _number("RANK"):
        sys.exit(0)
    others = _number("WORLD_SIZE") - 1
    print(f"this command is the work of one process; the other {others} of its launcher end", file=sys.stderr)
    prefixes = ("TORCHELASTIC_", "GROUP_", "ROLE_", "CROSS_", "OMPI_COMM_WORLD_", "PMI_", "SLURM_STEP")
    for name in [n for n in os.environ if n in (*TORCH, "LOCAL_WORLD_SIZE", "LOCAL_SIZE") or n.startswith(prefixes)]:
        del os.environ[name]


def without_local_rank(words: Sequence[str]) -> list[str]:
    """A command line without the ``--local_rank=N`` that deepspeed adds.

    Raises `UserError` if N is not LOCAL_RANK, which deepspeed sets as well.
    """
    kept, rest = [], iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name not in ("--local_rank", "--local-rank"):
            kept.append(word)
            continue
        value = value if equals else next(rest, "")
        here = os.environ.get("LOCAL_RANK", "0") if "RANK" in os.environ else "0"
        if value not in (here, "-1"):  # -1 stands for no launcher
            raise UserError(f"{name}={value}, but this process is rank {here} of its machine; see docs/CLUSTER.md")
    return kept


def idle_slurm_tasks() -> int:
    """How many tasks SLURM has allotted to the job of a process that srun did not start; 1 otherwise."""
    found = _first(SLURM_TASKS[1:])
    return 1 if found is None or "RANK" in os.environ or _in_step() else _number(found)


def cores() -> int:
    """The CPU cores that this process may use: those it is bound to, or fewer if a container or job limits its time."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, int(_cpu_quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")))))


def _cpu_quota(groups: Path, mounted: Path) -> float:
    """Seconds of CPU time per second that the control groups (version 1 or 2) of a process leave to it."""
    least = float(MOST_CORES)
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return least
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            folder, files = mounted, ["cpu.max"]
        elif "cpu" in controllers.split(","):
            folder, files = mounted / "cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        own = folder / group.lstrip("/")
        for place in (own, *own.parents):  # the folders of other containers' groups are not visible in this one
            try:
                quota, period = map(float, " ".join((place / file).read_text() for file in files).split())
            except (OSError, ValueError):  # "max" is not a number
                continue
            least = min(least, quota / period) if quota > 0 else least
    return least


def _task() -> Task | None:
    """This process as srun or mpirun started it; None if neither did, or only this one."""
    if task := _mpi_task(*OPEN_MPI):
        return task
    slurm, pmi = _slurm_task(), _mpi_task(*PMI)
    # An mpirun in a SLURM job starts its daemons by srun: then the variables of SLURM are those of the daemon.
    return slurm if slurm and (not pmi or slurm[1:3] == pmi[1:3]) else pmi


def _mpi_task(rank: str, size: str, local_rank: Sequence[str], here: Sequence[str]) -> Task | None:
    if rank not in os.environ and size not in os.environ:
        return None
    names = (rank, size, _first(local_rank) or local_rank[0])
    return _checked_task("mpirun", *names, _first(here) and _number(_first(here)))


def _slurm_task() -> Task | None:
    size = _first(SLURM_TASKS)
    if not _in_step():
        if _number("SLURM_PROCID", 0) and "SLURM_STEP_ID" not in os.environ:  # 0 in a batch script
            raise UserError("SLURM_PROCID is set, but SLURM_STEP_ID is not; see docs/CLUSTER.md")
        return None
    if size is None and "SLURM_PROCID" not in os.environ:
        return None
    return _checked_task("srun", "SLURM_PROCID", size or SLURM_TASKS[0], "SLURM_LOCALID", _slurm_tasks_here())


def _in_step() -> bool:
    """Whether srun started this process; in a batch script and in salloc's shell the other variables are set too."""
    step = os.environ.get("SLURM_STEP_ID", "")
    return step.isdigit() and int(step) < FIRST_SPECIAL_STEP


def _checked_task(launcher: str, rank: str, size: str, local_rank: str, here: int | None) -> Task | None:
    tasks = _number(size, beside=rank)
    if tasks == 1 and rank not in os.environ:
        return None
    number = _number(rank, beside=size)
    if number >= tasks:
        raise UserError(f"{rank}={number} and {size}={tasks} contradict each other; see docs/CLUSTER.md")
    if tasks == 1:
        return None
    task = Task(launcher, number, tasks, _number(local_rank, beside=rank), here)
    if task.local_rank >= (here or tasks):
        raise UserError(f"{local_rank}={task.local_rank}, but there are {here or tasks} tasks on this machine")
    return task


def _check_ranks(task: Task | None) -> None:
    """Raise `UserError` if PyTorch's variables are incomplete or contradict one another or those of srun or mpirun."""
    rank, size = _number("RANK"), _number("WORLD_SIZE", beside="RANK")
    if rank >= size:
        raise UserError(f"RANK={rank} and WORLD_SIZE={size} contradict each other; see docs/CLUSTER.md")
    if size > 1 and (missing := [name for name in TORCH if not os.environ.get(name)]):
        raise UserError(f"RANK is set, but {' and '.join(missing)} not: a launcher sets all of {', '.join(TORCH)}")
    local_rank = _number("LOCAL_RANK", 0)
    if local_rank >= (ranks_here() or size):
        raise UserError(f"LOCAL_RANK={local_rank}, but there are {ranks_here() or size} ranks on this machine")
    if not task:
        return
    # torchrun and deepspeed may be the tasks of srun, one on each machine; these are their numbers of machines.
    launchers = _first(("GROUP_WORLD_SIZE", "CROSS_SIZE"))
    started = _number(launchers or "WORLD_SIZE")
    if started < task.tasks or (not launchers and rank != task.rank):
        raise UserError(
            f"{task.launcher} started {task.tasks} tasks and this is task {task.rank}, which contradicts RANK={rank}, "
            f"WORLD_SIZE={size}{f', {launchers}={started}' if launchers else ''}; unset one or the other"
        )


def _translate(task: Task) -> None:
    size = _number("WORLD_SIZE", task.tasks)
    if size != task.tasks:
        raise UserError(f"{task.launcher} started {task.tasks} tasks, but WORLD_SIZE={size}; unset WORLD_SIZE")
    job = os.environ.get("SLURM_JOB_ID") or os.environ.get("PMIX_NAMESPACE") or " ".join(sys.argv)
    if task.launcher == "srun":
        job += f".{os.environ['SLURM_STEP_ID']}"
    os.environ["MASTER_ADDR"] = os.environ.get("MASTER_ADDR") or _main_host(task)
    os.environ.setdefault("MASTER_PORT", str(PORTS[zlib.crc32(job.encode()) % len(PORTS)]))
    os.environ.update(RANK=str(task.rank), WORLD_SIZE=str(size), LOCAL_RANK=str(task.local_rank))
    if task.tasks_here:
        os.environ["LOCAL_WORLD_SIZE"] = str(task.tasks_here)
    # srun may bind a task to fewer cores than sbatch was asked for.
    threads = min(_number("SLURM_CPUS_PER_TASK", max(1, cores() // (task.tasks_here or 1))), cores())
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def _main_host(task: Task) -> str:
    nodes = _first(("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"))
    if nodes and not (task.launcher == "mpirun" and task.tasks_here == task.tasks):
        return first_host(os.environ[nodes])
    if task.tasks_here == task.tasks:
        return "127.0.0.1"
    raise UserError(f"MASTER_ADDR is not set, and {task.launcher} does not say which machine has rank 0; set it")


def first_host(nodes: str) -> str:
    """The first host of SLURM's list: ``gpu[007-009,12],cpu1`` begins with gpu007."""
    entry = re.match(r"(?:[^,\[]|\[[^\]]*\])*", nodes)[0]
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", entry)


def _slurm_tasks_here() -> int | None:
    """The number for this machine in a list such as ``4(x2),3``: 4 tasks on each of two machines, 3 on a third."""
    counts = os.environ.get(_first(("SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE")) or "", "")
    each = [int(n) for n, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", counts) for _ in range(int(times or 1))]
    node = _number("SLURM_NODEID", 0)
    return each[node] if node < len(each) else None


def _first(names: Sequence[str]) -> str | None:
    """The first of these variables that is set."""
    return next((name for name in names if os.environ.get(name)), None)


def _number(name: str, default: int | None = None, beside: str = "") -> int:
    text = os.environ.get(name, "")
    if not text and default is not None:
        return default
    if not text:
        raise UserError(f"{beside or 'a launcher'} is set, but {name} is not; see docs/CLUSTER.md")
    if not text.isdigit():
        raise UserError(f"{name}={text} is not a number; see docs/CLUSTER.md")
    return int(text)
