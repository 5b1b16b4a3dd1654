"""Memory of training on the CPU."""

import ctypes
import sys

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let this process keep what it frees instead of handing it back to the kernel. Does nothing where glibc is not.

    By default large blocks go back at every free, and the kernel zeroes them at every allocation: a fifth of a training
    step on the CPU (`docs/LOG.md`).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
