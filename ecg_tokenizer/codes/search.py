"""Analysis by synthesis: choose codes by what they decode to, as CELP speech coders do (Schroeder and Atal 1985).

The encoder computes the codes of all frames at once and never sees what the decoder makes of them. After it, each frame
tries the neighbours of its code, one step in one FSQ dimension, and takes the one whose reconstruction is closest to
the signal. Neither the weights nor the number of bits change.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cardiolect.ecg_tokenizer.codes.quantizers import FiniteScalarQuantizer

# Frames that change in one pass are this far apart, and each is judged by the samples up to half as far away: a code
# hardly moves anything beyond. On PTB-XL two rounds at 8 equal one round at 16, which takes longer.
SPACING = 8


@torch.inference_mode()
def search(
    quantizer: FiniteScalarQuantizer,
    synthesise: Callable[[Tensor], Tensor],
    signal: Tensor,
    codes: Tensor,
    rounds: int,
) -> Tensor:
    """Codes ``(frames,)`` of one ECG that decode with less squared error than ``codes``, or ``codes`` themselves.

    synthesise: quantized features ``(batch, frames, width)`` -> ``(batch, 12, frames * stride)``, in the units of
    ``signal``. signal: ``(12, frames * stride)``; leads that are 0 throughout do not count. rounds: how often each
    frame is visited. Every pass lowers the error of the whole ECG or is undone.
    """
    leads = signal.abs().amax(dim=1) > 0
    if not leads.any():
        return codes
    target, stride = signal[leads], signal.shape[1] // len(codes)

    def errors(tried: Tensor) -> Tensor:
        """Squared error ``(batch, frames)`` of codes ``(batch, frames)``."""
        difference = synthesise(quantizer.lookup(tried))[:, leads] - target
        return difference.square().sum(dim=1).unflatten(1, (-1, stride)).sum(dim=2)

    neighbours = quantizer.neighbours()
    error = errors(codes[None])[0]
    for _ in range(rounds):
        for phase in range(min(SPACING, len(codes))):
            at = torch.arange(phase, len(codes), SPACING, device=codes.device)
            tried = codes.repeat(neighbours.shape[1], 1)
            tried[:, at] = neighbours[codes[at]].T
            saved = _near(error - errors(tried), at)
            most, which = saved.max(dim=0)
            changed = codes.clone()
            changed[at] = torch.where(most > 0, tried[which, at], codes[at])
            after = errors(changed[None])[0]
            if after.sum() < error.sum():
                codes, error = changed, after
    return codes


def _near(values: Tensor, at: Tensor) -> Tensor:
    """Sums of ``values (batch, frames)`` over the frames around each of ``at``, each frame in one sum."""
    total = F.pad(values.double().cumsum(dim=1), (1, 0))
    first = (at - SPACING // 2).clamp(min=0)
    return total[:, (at + SPACING // 2).clamp(max=values.shape[1])] - total[:, first]
