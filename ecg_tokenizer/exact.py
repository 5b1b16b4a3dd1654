"""Computation in full float32, whatever the caller allows for speed."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

backends = torch.backends
_OPERATIONS = (
    backends.cuda.matmul,
    backends.cudnn.conv,
    backends.cudnn.rnn,
    backends.mkldnn.matmul,
    backends.mkldnn.conv,
    backends.mkldnn.rnn,
)


@contextmanager
def full_float32(device_type: str) -> Iterator[None]:
    """Neither autocast nor TF32 nor bfloat16 inside; the caller's settings apply again afterwards.

    On GPUs since Ampere, convolutions use TF32 by default, whose 10 bits of mantissa change about 1 code in 2,000.
    """
    matmul, precisions = torch.get_float32_matmul_precision(), [each.fp32_precision for each in _OPERATIONS]
    cudnn = None
    with suppress(RuntimeError):  # unreadable if the caller has set convolutions and recurrent layers differently
        cudnn = backends.cudnn.allow_tf32
    # PyTorch has two interfaces to these settings; the older one complains if the newer alone has changed.
    torch.set_float32_matmul_precision("highest")
    if cudnn is not None:
        backends.cudnn.allow_tf32 = False
    for operation in _OPERATIONS:
        operation.fp32_precision = "ieee"
    try:
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        if cudnn is not None:
            backends.cudnn.allow_tf32 = cudnn
        for operation, precision in zip(_OPERATIONS, precisions, strict=True):
            operation.fp32_precision = precision
