"""Starts the ranks of a run on this machine, by PyTorch's elastic agent as torchrun does."""

import logging
import os
import signal
import sys
import time
from collections.abc import Mapping

from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

from cardiolect.utils.launchers import OUR_RUN, cores, without_local_rank
from cardiolect.utils.stopping import EXIT_CODE

GRACE = 2.0  # seconds that ranks have to say why the run failed, after one of them was ended by a signal
SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1")
LAST_SECONDS = 120  # that ranks have after Ctrl-C or a signal, to save a step


class Agent(LocalElasticAgent):
    """Ends ranks `GRACE` seconds after a signal ended one: that may have aborted because another left and says why."""

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        ranks = [handler.proc for handler in self._pcontext.subprocess_handlers.values()]
        codes, deadline = [rank.poll() for rank in ranks], time.monotonic() + GRACE
        while min(code or 0 for code in codes) < 0 and None in codes and time.monotonic() < deadline:
            time.sleep(0.05)
            codes = [rank.poll() for rank in ranks]
        return super()._monitor_workers(worker_group)


def start_ranks(count: int) -> int:
    """Run ``count`` copies of this command as ranks, and return their exit code.

    It is that of a rank that says why it failed, so that invalid input gives 2. Signals to this process are passed on
    to the ranks, which say by their exit code whether they saved a step. Raises `KeyboardInterrupt` after Ctrl-C.
    """
    logging.disable()  # the agent's account of a failure would hide the line of the rank
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // count)))
    # Those that nohup or a shell ignores for this process stay so.
    passed_on = [name for name in SIGNALS if signal.getsignal(signal.Signals[name]) != signal.SIG_IGN]
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = ",".join(passed_on)
    run_id, host = f"{OUR_RUN}{os.getpid()}", "127.0.0.1"
    meeting = get_rendezvous_handler(RendezvousParameters("c10d", f"{host}:0", run_id, 1, 1, local_addr=host))
    spec = WorkerSpec(
        role="rank",
        local_world_size=count,
        entrypoint=sys.executable,
        args=tuple(without_local_rank(sys.orig_argv[1:])),
        rdzv_handler=meeting,
        max_restarts=0,
        monitor_interval=0.1,
        local_addr=host,
    )
    agent = Agent(spec, DefaultLogsSpecs(os.devnull), exit_barrier_timeout=1, shutdown_timeout=LAST_SECONDS)
    try:
        result = agent.run()
    except SignalException as received:
        if received.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        codes = {handler.proc.returncode for handler in agent._pcontext.subprocess_handlers.values()}
        return EXIT_CODE if codes == {EXIT_CODE} else 128 + received.sigval
    finally:
        meeting.shutdown()
    return _exit_code({number: failure.exitcode for number, failure in result.failures.items()})


def _exit_code(codes: Mapping[int, int]) -> int:
    """The exit code of the run for those of failed ranks: ranks that a signal ended, with negative codes, say least."""
    if max(codes.values(), default=0) >= 0:
        return max(codes.values(), default=0)
    number = min(codes, key=lambda number: codes[number] == -signal.SIGTERM)  # by which the others were ended
    name = signal.Signals(-codes[number]).name
    reason = ", perhaps for lack of memory" if name == "SIGKILL" else ""
    print(f"error: rank {number} was ended by {name}{reason}", file=sys.stderr)
    return 128 - codes[number]
