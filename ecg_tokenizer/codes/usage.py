"""Use and entropy of codebooks."""

from collections.abc import Sequence

import numpy as np


def code_use(codes: np.ndarray, sizes: Sequence[int]) -> dict:
    """Joint use of the codebooks; counts whole codes, not the levels of single dimensions.

    codes: ints of any shape, numbered over all codebooks as in `ECGTokenizer`; sizes: number of codes in each codebook.
    Returns codes_used and codebook_size (of all codebooks), entropy_bits (per code, mean over codes of the entropy of
    its codebook), normalised_entropy (1: all codes of a codebook are equally likely), and the same ``by_codebook``.
    """
    counts = np.bincount(np.asarray(codes).ravel(), minlength=sum(sizes))
    books = np.split(counts, np.cumsum(sizes)[:-1])
    shares = np.array([book.sum() for book in books]) / max(1, counts.sum())
    entropies = [entropy_of(book) for book in books]
    entropy = float(shares @ entropies)
    return {
        "codes_used": int((counts > 0).sum()),
        "codebook_size": sum(sizes),
        "entropy_bits": entropy,
        "normalised_entropy": entropy / float(shares @ np.log2(sizes)),
        "by_codebook": [
            {
                "codes_used": int((book > 0).sum()),
                "codebook_size": size,
                "entropy_bits": bits,
                "normalised_entropy": bits / float(np.log2(size)),
            }
            for book, size, bits in zip(books, sizes, entropies, strict=True)
        ],
    }


def entropy_of(counts: np.ndarray) -> float:
    """Entropy in bits of a codebook whose codes were used ``counts`` times."""
    p = counts[counts > 0] / max(1, counts.sum())
    return float(-(p * np.log2(p)).sum())
