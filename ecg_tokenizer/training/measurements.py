"""Measurements read back from the codes: an auxiliary target that makes codes keep what squared error loses.

A P wave is a tenth of a millivolt: where it starts hardly shows in the distortion, but a cardiologist reads it.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MeasurementHead(nn.Module):
    """Reads each measurement from single frames, weighed by attention; the codes themselves must hold it.

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


def standardised(table: dict[str, np.ndarray], record_ids: list[str], columns: int) -> Tensor:
    """``(records, columns)`` of mean 0 and deviation 1 in each column; NaN where nothing was measured."""
    nothing = np.full(columns, np.nan, dtype=np.float32)
    values = torch.from_numpy(np.stack([table.get(record, nothing) for record in record_ids]))
    known = ~values.isnan()
    count = known.sum(0).clamp(min=1)
    mean = values.nan_to_num().sum(0) / count
    deviation = ((values - mean).nan_to_num().square().sum(0) / count).sqrt()
    return (values - mean) / deviation.clamp(min=1e-6)
