"""Chooses PyTorch's device, and tunes memory allocation for training on the CPU."""

import ctypes
import sys

import torch

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def choose_device(setting: str = "auto") -> torch.device:
    """The device for a setting: the CPU for "cpu", otherwise the GPU if there is one.

    "cuda" falls back to the CPU as "auto" does; `EnvSettings.check` and `ECGChat` refuse it without a GPU.
    """
    return torch.device("cuda" if setting != "cpu" and torch.cuda.is_available() else "cpu")


def keep_freed_memory() -> None:
    """Let this process keep freed memory instead of returning it to the kernel. Does nothing without glibc.

    By default, large blocks are returned whenever they are freed, and the kernel zeroes them at every allocation, which
    takes a fifth of a training step on the CPU (`docs/LOG.md`).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
