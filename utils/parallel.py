"""An ordered map over several processes, with bounded memory and no processes left behind."""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any

from cardiolect.utils.errors import UserError

CHUNK = 16
CHUNKS_PER_WORKER = 3  # one in progress, one waiting for the worker, one waiting for the caller
FEW = 64  # up to this many items, processes are not worth starting


def ordered_map(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    workers: int,
    finish: Callable[[list[Any]], list[Any]] | None = None,
) -> Iterator[Any]:
    """``map(function, items)`` by ``workers`` processes; by this process if ``workers`` is 0 or items are few.

    finish: what turns the results of up to `CHUNK` successive items into as many others, in the same process. Both
    functions reach the processes by forking: they may hold models, which are neither copied nor pickled.

    At most ``CHUNK * CHUNKS_PER_WORKER`` items per worker are computed ahead of the caller, so that a slow
    caller does not fill the memory with results. The processes end with this one, even if it is killed. Raises
    `UserError` if one of them is killed.
    """
    if not workers or len(items) <= FEW:
        results = map(function, items)
        if finish is None:
            yield from results
        else:
            while chunk := list(islice(results, CHUNK)):
                yield from finish(chunk)
        return
    chunks = (items[i : i + CHUNK] for i in range(0, len(items), CHUNK))
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("fork"), initializer=_start, initargs=(os.getpid(), function, finish)
    )
    try:
        ahead = deque(pool.submit(_call, chunk) for chunk in islice(chunks, CHUNKS_PER_WORKER * workers))
        while ahead:
            results = ahead.popleft().result()
            ahead.extend(pool.submit(_call, chunk) for chunk in islice(chunks, 1))
            yield from results
    except BrokenProcessPool:
        raise UserError("a reading process was killed, perhaps for lack of memory; lower WORKERS") from None
    finally:
        pool.shutdown(cancel_futures=True)


_functions: list[Callable] = []  # of this process, if it is one of `ordered_map`'s


def _call(chunk: Sequence[Any]) -> list[Any]:
    function, finish = _functions
    results = [function(item) for item in chunk]
    return finish(results) if finish else results


def _start(parent: int, *functions: Callable) -> None:
    """Leave Ctrl-C to the parent, and exit when it is gone: a killed parent cannot end its children."""
    _functions[:] = functions
    # After a block of this size is freed, glibc keeps smaller ones for reuse. Otherwise a third of the time goes into
    # getting memory from the system, for every batch anew.
    bytearray(31 * 2**20)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=exit_with_parent, args=(parent,), daemon=True).start()


def exit_with_parent(parent: int) -> None:
    """Wait until the process ``parent`` is gone, then end this one; for a thread of its own."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
