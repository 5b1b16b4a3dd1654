"""Measurements predicted from the codes: an auxiliary target for details that squared error neglects.

A P wave has a tenth of a millivolt: its onset hardly affects the distortion, but cardiologists rely on it.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardiolect.data_provider.storage.signal_cache import SignalCache
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.utils.errors import UserError


class MeasurementHead(nn.Module):
    """Predicts each measurement from single frames, weighted by attention, so that the codes themselves must hold it.

    Used in training only and not saved.
    """

    def __init__(self, width: int, measurements: int, hidden: int = 96):
        super().__init__()
        self.expand = nn.Linear(width, hidden)
        self.read = nn.Linear(hidden, 2 * measurements)

    def forward(self, quantized: Tensor) -> Tensor:
        """``(batch, frames, width)`` -> standardised measurements ``(batch, measurements)``."""
        attention, values = self.read(F.gelu(self.expand(quantized))).chunk(2, dim=-1)
        return (attention.softmax(dim=1) * values).sum(dim=1)


def training_targets(settings: TokenizerSettings, table: dict[str, np.ndarray], train: SignalCache) -> Tensor:
    """Targets of a `MeasurementHead`, ``(len(train), measurements)``. Raises `UserError` if a column has no values."""
    targets = standardised(table, train.record_ids, len(settings.measurements))
    if empty := [n for n, column in zip(settings.measurements, targets.T, strict=True) if column.isnan().all()]:
        raise UserError(f"MEASUREMENTS_DATA: no value of {', '.join(empty)} for any training recording")
    return targets


def standardised(table: dict[str, np.ndarray], record_ids: list[str], columns: int) -> Tensor:
    """``(records, columns)``, each column with mean 0 and standard deviation 1; NaN if a value is missing."""
    missing = np.full(columns, np.nan, dtype=np.float32)
    values = torch.from_numpy(np.stack([table.get(record, missing) for record in record_ids]))
    known = ~values.isnan()
    count = known.sum(0).clamp(min=1)
    mean = values.nan_to_num().sum(0) / count
    deviation = ((values - mean).nan_to_num().square().sum(0) / count).sqrt()
    return (values - mean) / deviation.clamp(min=1e-6)
