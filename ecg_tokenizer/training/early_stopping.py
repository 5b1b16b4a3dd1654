"""Validation in stage 1: keeps the best weights, and stops when they no longer improve."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cardiolect.data_provider.storage.signal_cache import SignalCache
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.fidelity.distortion import prdn
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError


@torch.inference_mode()
def validate(tokenizer: ECGTokenizer, cache: SignalCache) -> dict:
    """PRDN (percent, mean over whole recordings) and joint code use on a validation set."""
    stride, codes, prdns = tokenizer.config.stride, [], []
    for i in range(len(cache))[launch.share()]:
        signal = cache.signal(i)
        signal = signal[:, : signal.shape[1] // stride * stride]
        reconstruction, found, _ = tokenizer(torch.from_numpy(signal)[None].to(tokenizer.device))
        leads = cache.present[i]
        prdns.append(prdn(signal[leads], reconstruction[0].cpu().numpy()[leads]))
        codes.append(found[0].cpu().numpy())
    prdns, codes = ([x for part in launch.gather(found) for x in part] for found in (prdns, codes))
    return {"prdn": float(np.mean(prdns)), **tokenizer.code_use(codes)}


class EarlyStopping:
    """Keeps the weights with the best figure of validation.

    best: figures and step of these weights; empty before the first validation. exhausted: whether the last ``patience``
    validations brought no improvement.
    """

    def __init__(self, patience: int, metric: str, lower_is_better: bool = True):
        self.patience, self.metric, self.sign = patience, metric, 1 if lower_is_better else -1
        self.best: dict[str, Any] = {}
        self.weights: dict[str, Tensor] = {}
        self.since_best = 0

    @property
    def exhausted(self) -> bool:
        return self.since_best >= self.patience

    def update(self, model: nn.Module, figures: dict[str, Any], step: int) -> None:
        """Take the figures of a validation. Raises `UserError` if training has diverged."""
        if not np.isfinite(figures[self.metric]):
            raise UserError(f"training diverged at step {step}: start over with a lower LEARNING_RATE and RESUME=false")
        if self.best and self.sign * figures[self.metric] >= self.sign * self.best[self.metric]:
            self.since_best += 1
            return
        self.best, self.since_best = {**figures, "step": step}, 0
        self.weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "weights": self.weights, "since_best": self.since_best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.weights, self.since_best = state["best"], state["weights"], state["since_best"]
