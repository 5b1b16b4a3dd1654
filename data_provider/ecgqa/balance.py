"""Balanced answers: no answer to a question is given much more often than the others."""

import numpy as np


def balanced(
    groups: dict[tuple[str, ...], list[int]], want: int, top_share: float, rng: np.random.Generator
) -> list[int]:
    """Choose up to ``want`` items, evenly over their groups (answer -> items); at most ``top_share`` from one group.

    With only two groups the limit is one half.
    """
    top_share = max(top_share, 1 / len(groups)) if groups else 1.0
    available = {key: len(items) for key, items in groups.items()}
    take = dict.fromkeys(available, 0)
    room = want
    while room > 0 and any(available[k] > take[k] for k in available):
        open_keys = [k for k in available if available[k] > take[k]]
        step = max(room // len(open_keys), 1)
        for key in open_keys[:room]:
            gain = min(step, available[key] - take[key])
            take[key] += gain
            room -= gain
    for key in sorted(take, key=lambda k: (-take[k], k)):
        rest = sum(take.values()) - take[key]
        take[key] = min(take[key], int(rest * top_share / (1 - top_share) + 1e-9)) if top_share < 1 else take[key]
    return [int(i) for key in sorted(groups) for i in rng.permutation(groups[key])[: take[key]]]
