"""SIGTERM and SIGUSR1, with which clusters announce the end of a job: a run saves first and says that it can go on."""

import os
import signal
import threading
from types import FrameType
from typing import Self

from cardiolect.utils import launch

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: try again later


class Stopped(BaseException):
    """A signal ended the run. The message says what was saved. No `Exception`, as KeyboardInterrupt is none."""


class Signals:
    """Notes `SIGNALS` while it is entered, until `on_any_rank` asks. at_once: raise `Stopped` in place of that.

    After `Stopped` the process is about to end, and ignores them: a launcher that ends the others when the first rank
    has ended would turn exit code 75 into 143.
    Outside the main thread, which alone can handle signals, nothing happens.
    """

    def __init__(self, at_once: bool = False):
        self.at_once, self.process, self.received, self.before = at_once, os.getpid(), 0, {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception) -> None:
        for number, handler in self.before.items():
            signal.signal(number, signal.SIG_IGN if kind is Stopped else handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.process:  # a forked worker: it ends if it is told to, and saves nothing
            if number == signal.SIGTERM:
                os._exit(128 + number)
        elif self.at_once:
            for each in SIGNALS:
                signal.signal(each, signal.SIG_IGN)
            raise Stopped(f"stopped by {signal.Signals(number).name}, not while training; run the same command again")
        else:
            self.received = number

    def on_any_rank(self) -> str | None:
        """The name of a signal that any rank has received; the same on all ranks, which must all ask."""
        received = self.received
        if launch.world_size() > 1:
            import torch  # slow, and settings are read without it
            import torch.distributed as dist

            device = "cuda" if dist.get_backend() == "nccl" else "cpu"
            most = torch.tensor([received], device=device)
            dist.all_reduce(most, dist.ReduceOp.MAX)
            received = int(most)
        return signal.Signals(received).name if received else None
