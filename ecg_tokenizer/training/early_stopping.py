"""Validation of a tokenizer in training: keeps the best one, and stops when it no longer improves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cardiolect.data_provider.audit.seen import record_seen
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
    """Saves the tokenizer with the lowest validation PRDN.

    best: its figures and step; empty before the first validation. exhausted: whether the last ``patience`` validations
    brought no improvement. seen: what `save_seen` returned, which the saved tokenizer keeps.
    """

    def __init__(self, folder: Path, patience: int, seen: Mapping[str, Any] | None = None):
        self.folder, self.patience, self.seen = folder, patience, seen
        self.best: dict = {}
        self.since_best = 0

    @property
    def exhausted(self) -> bool:
        return self.since_best >= self.patience

    def update(self, tokenizer: ECGTokenizer, figures: dict, step: int) -> None:
        """Take the figures of a validation. Raises `UserError` if training has diverged."""
        if not np.isfinite(figures["prdn"]):
            raise UserError(
                f"training diverged at step {step}: lower LEARNING_RATE; the best tokenizer so far is in {self.folder}"
            )
        if self.best and figures["prdn"] >= self.best["prdn"]:
            self.since_best += 1
            return
        self.best, self.since_best = {**figures, "step": step}, 0
        if launch.is_main():
            tokenizer.save_pretrained(self.folder)
            if self.seen:
                record_seen(self.folder, self.seen)
