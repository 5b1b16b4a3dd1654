"""HeartLLM's multi-scale windows: forecast the next few codes from contexts of five lengths (arXiv 2508.15338)."""

from collections.abc import Sequence

import numpy as np

from cardiolect.model.prompt.vocabulary import Vocabulary

SCALES = 5
CONTEXT_SHARE, HORIZON_SHARE = 0.905, 0.096  # of groups / 2**scale; 283 and 30 of HeartLLM's 313 frames


def window_sizes(groups: int) -> list[tuple[int, int]]:
    """``(context, horizon)`` in groups per scale; scales too short for one group of each are left out."""
    sizes = []
    for scale in range(SCALES):
        horizon = max(1, round(HORIZON_SHARE * groups / 2**scale))
        context = min(round(CONTEXT_SHARE * groups / 2**scale), groups - horizon)
        if context >= 1:
            sizes.append((context, horizon))
    return sizes


def draw_windows(
    vocabulary: Vocabulary, codes: np.ndarray, rng: np.random.Generator, group: int = 1
) -> list[tuple[list[int], Sequence[float]]]:
    """One random window of whole groups per scale as ``(ids, weights)``; only the horizon is supervised.

    group: codes that belong together, of one frame, or a coarse code and those of its frames; an incomplete group at
    the end is cut.
    """
    bos = vocabulary.tokenizer.bos_token_id
    before = [*([] if bos is None else [bos]), vocabulary.start_id]
    after = [vocabulary.end_id, vocabulary.tokenizer.eos_token_id]
    windows = []
    groups = codes[: len(codes) // group * group].reshape(-1, group)
    for context, horizon in window_sizes(len(groups)):
        start = horizon * int(rng.integers(0, (len(groups) - context - horizon) // horizon + 1))
        inside = vocabulary.code_ids(groups[start : start + context + horizon].ravel())
        weights = [0.0] * (len(before) + context * group) + [1.0] * horizon * group
        weights += [0.0] * len(after)
        windows.append(([*before, *inside, *after], weights))
    return windows
