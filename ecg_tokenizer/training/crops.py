"""Random training crops: drawn from the signal cache, then augmented."""

import numpy as np
import torch
from torch import Tensor

from cardiolect.data_provider.corpora.mixture import probabilities
from cardiolect.data_provider.splits import corpus_weights
from cardiolect.data_provider.storage.signal_cache import SignalCache
from cardiolect.ecg_tokenizer.training.augmentation import augment, stretched_length
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.utils import launch


class CropSampler:
    """Draws each rank's share of every batch; the batches do not depend on the number of ranks."""

    def __init__(self, settings: TokenizerSettings, train: SignalCache):
        self.settings, self.train = settings, train
        self.length = round(settings.crop_seconds * settings.sampling_rate) // settings.stride * settings.stride
        self.probabilities = probabilities(train.record_ids, corpus_weights(settings))
        self.rng = np.random.default_rng(settings.seed)
        self.generator = torch.Generator().manual_seed(settings.seed)

    def draw(self) -> tuple[Tensor, Tensor, np.ndarray]:
        """Signal ``(rows, 12, length)`` mV, lead mask ``(rows, 12)`` and each row's index in the cache."""
        share = launch.share()
        length = stretched_length(self.length, self.settings, self.rng)
        *crops, rows = self.train.crops(self.rng, self.settings.batch_size, length, share, self.probabilities)
        signal, present = (torch.from_numpy(array).float() for array in crops)
        return *augment(signal, present, self.length, self.settings, self.generator, share), rows
