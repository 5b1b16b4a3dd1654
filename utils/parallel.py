"""An ordered map over several processes with bounded memory, which leaves no process running."""

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
CHUNKS_PER_WORKER = 3  # one in work, one that waits for the worker, one that waits for the caller
FEW = 64  # not worth starting processes for


def ordered_map(function: Callable[[Any], Any], items: Sequence[Any], workers: int) -> Iterator[Any]:
    """``map(function, items)``, computed by ``workers`` processes, by this one for 0 or for few items.

    At most ``CHUNK * CHUNKS_PER_WORKER`` items per worker are computed ahead of the caller, so a slow caller does not
    fill the memory with results. The processes end with this one, also when it is killed. Raises `UserError` if one
    of them is killed.
    """
    if not workers or len(items) <= FEW:
        yield from map(function, items)
        return
    call = partial(_call, function)
    chunks = (items[i : i + CHUNK] for i in range(0, len(items), CHUNK))
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("fork"), initializer=_end_with, initargs=(os.getpid(),)
    )
    try:
        ahead = deque(pool.submit(call, chunk) for chunk in islice(chunks, CHUNKS_PER_WORKER * workers))
        while ahead:
            results = ahead.popleft().result()
            ahead.extend(pool.submit(call, chunk) for chunk in islice(chunks, 1))
            yield from results
    except BrokenProcessPool:
        raise UserError("a reading process was killed, perhaps for want of memory; set WORKERS lower") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _call(function: Callable[[Any], Any], chunk: Sequence[Any]) -> list[Any]:
    return [function(item) for item in chunk]


def _end_with(parent: int) -> None:
    """Leave Ctrl-C to the parent; end when it is gone: a killed process cannot end its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
