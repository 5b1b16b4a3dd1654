"""Start-up without garbage collection: what a program imports and loads first stays until it ends.

PyTorch and transformers make 380,000 objects that stay. Collections among them, the last one at the end of the process,
would take a third of the time of a short command (`bench.first_answer`).
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection_at_first() -> Iterator[None]:
    """Collect nothing inside until `collect_from_now_on`."""
    gc.disable()
    try:
        yield
    finally:
        collect_from_now_on()


def collect_from_now_on() -> None:
    """End what `no_collection_at_first` began: collect what is made from now on. Does nothing outside of it."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
