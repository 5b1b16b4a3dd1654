"""Signal2Vec: vectors of ECG tokens, close together for tokens that occur close together.

A skip-gram with negative sampling (Mikolov et al. 2013, arXiv 1310.4546) as in ECG-Bench
(github.com/willxxy/ECG-Bench): the loss of negatives is averaged, so they count less than in word2vec.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cardiolect.utils.progress import progress
from cardiolect.utils.schedule import half_cosine

BATCH, MOST_PAIRS = 1024, 10_000_000  # per step; per epoch
SUBSAMPLE, MIN_COUNT, NOISE_POWER = 1e-5, 10, 0.75
WEIGHT_DECAY, CLIP = 1e-5, 1.0


def signal2vec(
    sequences: Sequence[np.ndarray],
    vocabulary: int,
    dims: int = 128,
    window: int = 12,
    negatives: int = 5,
    epochs: int = 10,
    learning_rate: float = 2e-3,
    seed: int = 0,
    subsample: float = SUBSAMPLE,
    min_count: int = MIN_COUNT,
) -> tuple[Tensor, np.ndarray]:
    """Skip-gram vectors of tokens: the mean of the centre vector and the context vector of each.

    sequences: int token numbers ``(n,)`` of each training ECG. subsample: tokens with a larger share than this are
    skipped at random (word2vec's threshold). min_count: rarer tokens are left out. Returns float32
    ``(vocabulary, dims)``, zero for tokens left out, and bool ``(vocabulary,)``, True for tokens learned.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    counts = np.bincount(np.concatenate(sequences), minlength=vocabulary)
    learned = counts >= min_count
    vectors = torch.zeros(2, vocabulary, dims)
    if learned.sum() < 2:
        return vectors[0], np.zeros(vocabulary, dtype=bool)
    centre = torch.empty(vocabulary, dims).uniform_(-0.5 / dims, 0.5 / dims, generator=generator).requires_grad_()
    context = torch.zeros(vocabulary, dims).requires_grad_()
    frequency = np.where(learned, counts, 0) / counts[learned].sum()
    kept = np.minimum(1, np.sqrt(subsample / np.maximum(frequency, 1e-30)))
    noise = torch.from_numpy(frequency**NOISE_POWER)
    draw = torch.multinomial(noise, MOST_PAIRS // 10, replacement=True, generator=generator)
    optimizer = torch.optim.AdamW([centre, context], lr=learning_rate, weight_decay=WEIGHT_DECAY)
    bar = progress(range(epochs), desc="signal2vec", unit="epoch")
    for epoch in bar:
        pairs = _pairs(sequences, learned, kept, window, rng)
        batches = math.ceil(len(pairs) / BATCH)
        for number, batch in enumerate(torch.from_numpy(pairs).split(BATCH)):
            done = (epoch + number / batches) / epochs
            optimizer.param_groups[0]["lr"] = learning_rate * half_cosine(done)
            others = draw[torch.randint(len(draw), (len(batch), negatives), generator=generator)]
            at = F.embedding(batch[:, 0], centre)
            near = (at * F.embedding(batch[:, 1], context)).sum(1)
            far = torch.einsum("bd,bnd->bn", at, F.embedding(others, context))
            loss = -F.logsigmoid(near).mean() - F.logsigmoid(-far).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([centre, context], CLIP)
            optimizer.step()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return ((centre + context) / 2).detach() * torch.from_numpy(learned)[:, None], learned


def _pairs(
    sequences: Sequence[np.ndarray], learned: np.ndarray, kept: np.ndarray, window: int, rng: np.random.Generator
) -> np.ndarray:
    """Pairs of an epoch in random order, int64 ``(pairs, 2)``: a centre, and a token within a random radius."""
    found = []
    for tokens in sequences:
        tokens = tokens[learned[tokens]]
        tokens = tokens[rng.random(len(tokens)) < kept[tokens]].astype(np.int64)
        radius = rng.integers(1, window + 1, len(tokens))
        for distance in range(1, min(window, len(tokens) - 1) + 1):
            left, right = tokens[:-distance], tokens[distance:]
            found.append(np.stack([left, right], axis=1)[radius[:-distance] >= distance])
            found.append(np.stack([right, left], axis=1)[radius[distance:] >= distance])
    pairs = np.concatenate([*found, np.empty((0, 2), np.int64)])
    return pairs[rng.permutation(len(pairs))[:MOST_PAIRS]]
