"""What all encoders have in common: a signal becomes a series of feature vectors, whose times are known."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

LEADS_IN = 12  # input channels
MV_SCALE = 4.0  # millivolts times this have a variance of about 1


class SignalEncoder(nn.Module, ABC):
    """An encoder of 12-lead ECGs, up to the features before any projector or head.

    width: of a feature vector.
    """

    width: int

    @abstractmethod
    def forward(self, signal: Tensor) -> Tensor:
        """``(batch, 12, samples)`` -> ``(batch, tokens, width)``."""

    @abstractmethod
    def spans(self, samples: int) -> np.ndarray:
        """float64 ``(tokens, 2)``: first sample of each token and the one after its last; what fills it up counts."""


class ConvolutionalEncoder(SignalEncoder):
    """An encoder whose tokens follow one another, each ``stride`` samples further on. It may see more than its span."""

    stride: int

    def spans(self, samples: int) -> np.ndarray:
        starts = self.stride * np.arange(-(-samples // self.stride), dtype=np.float64)
        return np.stack([starts, starts + self.stride], axis=1)


def pool(features: Tensor) -> Tensor:
    """The mean and the maximum over tokens: ``(batch, tokens, width)`` -> ``(batch, 2 width)``."""
    return torch.cat([features.mean(1), features.amax(1)], 1)
