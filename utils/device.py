"""Chooses PyTorch's device, and tunes memory allocation for training on the CPU."""

import ctypes
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# From glibc's malloc.h, and the largest threshold that it takes.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, LARGEST = -1, -3, 2**25


def choose_device(setting: str = "auto") -> "torch.device":
    """The device for a setting: the CPU for "cpu", otherwise the GPU if there is one.

    "cuda" falls back to the CPU as "auto" does; `EnvSettings.check` and `ECGChat` refuse it without a GPU.
    """
    import torch  # slow, and settings are read without it

    return torch.device("cuda" if setting != "cpu" and torch.cuda.is_available() else "cpu")


def keep_freed_memory() -> None:
    """Let this process keep freed memory instead of returning it to the kernel. Does nothing without glibc.

    By default, large blocks are returned whenever they are freed, and the kernel zeroes them at every allocation, which
    takes a fifth of a training step on the CPU (`docs/LOG.md`). Blocks of more than 32 MB are still returned: if they
    were not, those that oneDNN aligns for bf16 would lengthen the heap by 10 GB in 30 steps, without using it, until
    the kernel refuses to fork workers.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
