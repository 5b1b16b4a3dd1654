"""The processes that build batches, which signals to a run must not end before it has saved."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from cardiolect.utils.errors import UserError
from cardiolect.utils.stopping import SIGNALS


def begin_worker(worker: int) -> None:
    """Leave signals, which clusters send to all processes, to the rank: it needs its workers until it has saved."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # or tokenizers warn in every worker that it was forked
    for number in (signal.SIGINT, *SIGNALS):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def workers() -> Iterator[None]:
    """End the workers if training fails. Raises `UserError` if that is because one of them was killed."""
    try:
        yield
    except BaseException as error:
        _end()
        if _lost_a_worker(error):
            raise UserError(
                "a process that builds batches was killed, perhaps for lack of memory; lower WORKERS and run the same "
                "command again"
            ) from None
        raise


def _lost_a_worker(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | EOFError):  # a batch was taken from a worker that had just been killed
        return "Caught " not in str(error)  # PyTorch's word for an error that a worker itself met
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker (pid")


def _end() -> None:
    # At exit, Python would send them the SIGTERM that they ignore, and wait for ever.
    noticed = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch would report their end as an error
    for worker in multiprocessing.active_children():
        worker.kill()
        worker.join()
    signal.signal(signal.SIGCHLD, noticed)
