"""A small encoder of our own: diagonal state spaces (S4D; Gu et al. 2022, arXiv 2206.11893) in both directions.

In comparisons of ECG models, S4 needs the fewest parameters for its score (Al-Masud et al. 2026, arXiv 2509.25095).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardiolect.ecg_tokenizer.encoders.base import LEADS_IN, ConvolutionalEncoder

LEAST_STEP, MOST_STEP = 0.001, 0.1  # of the initial time steps of states, in samples after the stem


class StateSpaces(ConvolutionalEncoder):
    """A stem that puts ``stride`` samples of all leads into a vector, and blocks of state spaces."""

    def __init__(self, width: int, depth: int, states: int, stride: int):
        super().__init__()
        self.width, self.stride = width, stride
        self.stem = nn.Conv1d(LEADS_IN, width, stride, stride)
        self.blocks = nn.Sequential(*(_Block(width, states) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, signal: Tensor) -> Tensor:
        signal = F.pad(signal, (0, -signal.shape[2] % self.stride), mode="replicate")
        return self.norm(self.blocks(self.stem(signal).transpose(1, 2)))


class _Block(nn.Module):
    """Norm, state spaces forwards and backwards, gate, shortcut; ``(batch, time, width)``."""

    def __init__(self, width: int, states: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.forwards, self.backwards = _Kernel(width, states), _Kernel(width, states)
        self.direct = nn.Parameter(torch.ones(width))
        self.mix = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        u = self.norm(x).transpose(1, 2)
        length = u.shape[-1]
        with torch.autocast(u.device.type, enabled=False):  # FFTs need fp32
            u = u.float()
            kernel = F.pad(self.forwards(length), (0, length)) + F.pad(self.backwards(length).flip(-1), (length, 0))
            spectrum = torch.fft.rfft(kernel, 2 * length) * torch.fft.rfft(u, 2 * length)
            y = torch.fft.irfft(spectrum, 2 * length)[..., :length] + u * self.direct.float()[:, None]
        return x + F.glu(self.mix(F.gelu(y.transpose(1, 2)).to(x.dtype)))


class _Kernel(nn.Module):
    """Convolution kernels of diagonal state spaces, one for each channel, by the zero-order hold.

    The last ones are kept and serve again unless they are trained: for a single ECG they take far longer than all the
    rest of the encoder.
    """

    def __init__(self, width: int, states: int):
        super().__init__()
        self.log_step = nn.Parameter(torch.empty(width).uniform_(math.log(LEAST_STEP), math.log(MOST_STEP)))
        self.log_decay = nn.Parameter(torch.full((width, states), math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(states).float().repeat(width, 1))
        self.out = nn.Parameter(torch.randn(width, states, 2) * math.sqrt(0.5))
        for parameter in self.parameters():
            parameter.no_decay = True  # as in S4D: they are rates and times
        self._kept: tuple[int, list[Tensor], Tensor] | None = None  # length, parameters, kernels

    def forward(self, length: int) -> Tensor:
        """``(width, length)``."""
        now = list(self.parameters())
        if torch.is_grad_enabled() and any(value.requires_grad for value in now):
            return self._kernel(length)
        if self._kept is not None:
            of_length, before, kernels = self._kept
            if of_length == length and kernels.device == now[0].device and all(map(torch.equal, before, now)):
                return kernels
        with torch.inference_mode(False), torch.no_grad():  # so that layers after it can be trained
            self._kept = length, [value.detach().clone() for value in now], self._kernel(length)
        return self._kept[2]

    def _kernel(self, length: int) -> Tensor:
        poles = torch.complex(-self.log_decay.float().exp(), self.frequency.float())
        stepped = poles * self.log_step.float().exp()[:, None]
        weights = torch.view_as_complex(self.out.float()) * (stepped.exp() - 1) / poles
        powers = (stepped[..., None] * torch.arange(length, device=stepped.device)).exp()
        return 2 * torch.einsum("ws,wst->wt", weights, powers).real
