"""HeartLLM's multi-scale windows: forecast the next few codes from contexts of five lengths (arXiv 2508.15338)."""

from collections.abc import Sequence

import numpy as np

from model.vocabulary import Vocabulary

SCALES = 5
CONTEXT_SHARE, HORIZON_SHARE = 0.905, 0.096  # of frames / 2**scale; 283 and 30 of HeartLLM's 313 frames


def window_sizes(frames: int) -> list[tuple[int, int]]:
    """``(context, horizon)`` in frames per scale; scales too short for one frame of each are left out."""
    sizes = []
    for scale in range(SCALES):
        horizon = max(1, round(HORIZON_SHARE * frames / 2**scale))
        context = min(round(CONTEXT_SHARE * frames / 2**scale), frames - horizon)
        if context >= 1:
            sizes.append((context, horizon))
    return sizes


def draw_windows(
    vocabulary: Vocabulary, codes: np.ndarray, rng: np.random.Generator, num_codebooks: int = 1
) -> list[tuple[list[int], Sequence[float]]]:
    """One random window of whole frames per scale as ``(ids, weights)``; only the horizon is supervised."""
    bos = vocabulary.tokenizer.bos_token_id
    before = [*([] if bos is None else [bos]), vocabulary.start_id]
    after = [vocabulary.end_id, vocabulary.tokenizer.eos_token_id]
    windows = []
    frames = codes.reshape(-1, num_codebooks)
    for context, horizon in window_sizes(len(frames)):
        start = horizon * int(rng.integers(0, (len(frames) - context - horizon) // horizon + 1))
        inside = vocabulary.code_ids(frames[start : start + context + horizon].ravel())
        weights = [0.0] * (len(before) + context * num_codebooks) + [1.0] * horizon * num_codebooks
        weights += [0.0] * len(after)
        windows.append(([*before, *inside, *after], weights))
    return windows
