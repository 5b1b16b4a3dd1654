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
from functools import partial
from itertools import islice
from typing import Any

from cardiolect.utils.errors import UserError

CHUNK = 16
CHUNKS_PER_WORKER = 3  # one in progress, one waiting for the worker, one waiting for the caller
FEW = 64  # up to this many items, processes are not worth starting


def ordered_map(function: Callable[[Any], Any], items: Sequence[Any], workers: int) -> Iterator[Any]:
    """``map(function, items)`` by ``workers`` processes; by this process if ``workers`` is 0 or items are few.

    At most ``CHUNK * CHUNKS_PER_WORKER`` items per worker are computed ahead of the caller, so that a slow
    caller does not fill the memory with results. The processes end with this one, even if it is killed. Raises
    `UserError` if one of them is killed.
    """
    if not workers or len(items) <= FEW:
        yield from map(function, items)
        return
    call = partial(_call, function)
    chunks = (items[i : i + CHUNK] for i in range(0, len(items), CHUNK))
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("fork"), initializer=_watch_parent, initargs=(os.getpid(),)
    )
    try:
        ahead = deque(pool.submit(call, chunk) for chunk in islice(chunks, CHUNKS_PER_WORKER * workers))
        while ahead:
            results = ahead.popleft().result()
            ahead.extend(pool.submit(call, chunk) for chunk in islice(chunks, 1))
            yield from results
    except BrokenProcessPool:
        raise UserError("a reading process was killed, perhaps for lack of memory; lower WORKERS") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _call(function: Callable[[Any], Any], chunk: Sequence[Any]) -> list[Any]:
    return [function(item) for item in chunk]


def _watch_parent(parent: int) -> None:
    """Leave Ctrl-C to the parent, and exit when it is gone: a killed parent cannot end its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=exit_with_parent, args=(parent,), daemon=True).start()


def exit_with_parent(parent: int) -> None:
    """Wait until the process ``parent`` is gone, then end this one; for a thread of its own."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
