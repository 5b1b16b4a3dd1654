"""Signs of life of all ranks, so that none waits long for one whose machine is gone.

A process that ends closes its connections, which Gloo notices at once. A machine without power or network closes none,
and with NCCL a process that has ended may not be noticed either; the timeout of the process group must be longer than
the longest work of one rank that the others wait for, which is days.
"""

import atexit
import os
import socket
import sys
import threading

import torch.distributed as dist

SECONDS = 10.0  # between two beats
SILENCE = 90  # beats: ranks may be stopped, or hold Python's lock (json reads a file so), for almost 15 minutes


class Heartbeat:
    """Beats in threads of its own, and ends this process with one line and exit code 1 after a rank's `SILENCE`.

    What is counted is beats of this rank without a new one of the other, so that a job which is suspended and resumed
    loses no rank. If the store does not answer, all ranks are silent. All ranks must make one at about the same time.
    """

    def __init__(self, store: dist.Store, rank: int, world_size: int):
        # By a connection of its own: a rank that waits in the store keeps the other one to itself. A launcher that
        # restarts ranks keeps the store.
        name = f"heartbeat-{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
        self.store, self.rank, self.latest = dist.PrefixStore(name, store.clone()), rank, [""] * world_size
        self.stopped = threading.Event()
        self.beating = threading.Thread(target=self._beat, daemon=True)
        self.beating.start()
        threading.Thread(target=self._watch, daemon=True).start()
        atexit.register(self.stop)

    def stop(self) -> None:
        self.stopped.set()
        self.beating.join(1)

    def _beat(self) -> None:
        keys, beats = [str(rank) for rank in range(len(self.latest))], 0
        while not self.stopped.is_set():
            beats += 1
            try:
                self.store.set(str(self.rank), f"{beats} {socket.gethostname()}")
                self.latest = [value.decode() for value in self.store.multi_get(keys)]
            except RuntimeError:  # the first rank, which has the store, is gone
                return
            self.stopped.wait(SECONDS)

    def _watch(self) -> None:
        before, missed = self.latest, [0] * len(self.latest)
        while not self.stopped.wait(SECONDS):
            latest = self.latest
            missed = [0 if new != old else n + 1 for new, old, n in zip(latest, before, missed, strict=True)]
            before = latest
            if lost := [rank for rank, n in enumerate(missed) if n >= SILENCE]:
                self._give_up(lost, latest)

    def _give_up(self, lost: list[int], latest: list[str]) -> None:
        silence = f"for {SILENCE * SECONDS / 60:.0f} minutes; see docs/CLUSTER.md"
        if self.rank in lost:
            print(f"error: rank {self.rank} has not reached the first rank {silence}", file=sys.stderr, flush=True)
        elif self.rank == min(set(range(len(latest))).difference(lost)):
            names = ", ".join(f"{rank} on {latest[rank].partition(' ')[2]}" for rank in lost)
            print(f"error: no sign of life of rank {names} {silence}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(1)  # the main thread may wait in the process group
