"""Random training crops: drawn from the signal cache, then augmented."""

import numpy as np
import torch
from torch import Tensor

from cardiolect.data_provider.corpora.mixture import probabilities
from cardiolect.data_provider.splits import corpus_weights
from cardiolect.data_provider.storage.signal_cache import SignalCache
from cardiolect.ecg_tokenizer.training.augmentation import augment, stretched_length
from cardiolect.ecg_tokenizer.training.settings import TrainingSettings
from cardiolect.utils import launch


class CropSampler:
    """Draws each rank's share of every batch, by generators that follow from SEED, the step and the crop's number.

    The batches therefore do not depend on the number of ranks, nor on the steps before.
    """

    def __init__(self, settings: TrainingSettings, train: SignalCache):
        self.settings, self.train = settings, train
        self.length = round(settings.crop_seconds * settings.sampling_rate) // settings.stride * settings.stride
        shares = probabilities(train.record_ids, corpus_weights(settings))
        self.cumulative = np.cumsum(np.ones(len(train)) if shares is None else shares)

    def draw(self, step: int) -> tuple[Tensor, Tensor, np.ndarray]:
        """Signal ``(rows, 12, length)`` mV, lead mask ``(rows, 12)`` and each row's index in the cache."""
        length = stretched_length(self.length, self.settings, self._generator(step, 0))
        generators = [self._generator(step, 1 + i) for i in range(self.settings.batch_size)[launch.share()]]
        uniform = np.array([generator.random(2) for generator in generators])
        rows = np.searchsorted(self.cumulative, uniform[:, 0] * self.cumulative[-1], side="right")
        crops = np.stack([self.train.crop(i, at, length) for i, at in zip(rows, uniform[:, 1], strict=True)])
        signal, present = torch.from_numpy(crops), torch.from_numpy(self.train.present[rows]).float()
        return *augment(signal, present, self.length, self.settings, generators), rows

    def _generator(self, step: int, number: int) -> np.random.Generator:
        """Of a crop of the step's batch; number 0: of the batch."""
        return np.random.default_rng((self.settings.seed, step, number))
