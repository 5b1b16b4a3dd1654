"""How well codes keep an ECG: distortion in millivolts and use of the codebook."""

from collections.abc import Sequence

import numpy as np

EINTHOVEN = (0, 1, 2)  # rows of leads I, II, III


def prdn(original: np.ndarray, reconstruction: np.ndarray) -> float:
    """Percentage root-mean-square difference, normalised: mean-removed per lead (Zigel et al. 2000, TBME 47:1424).

    original, reconstruction: ``(leads, T)`` millivolts, usable leads only. Returns percent over all leads together.
    """
    energy = ((original - original.mean(axis=1, keepdims=True)) ** 2).sum()
    return float(100 * np.sqrt(((original - reconstruction) ** 2).sum() / max(energy, 1e-12)))


def snr(original: np.ndarray, reconstruction: np.ndarray) -> float:
    """Signal-to-noise ratio in dB of the same quantities: ``-20 log10(PRDN / 100)``."""
    return float(-20 * np.log10(max(prdn(original, reconstruction), 1e-6) / 100))


def rmse(original: np.ndarray, reconstruction: np.ndarray) -> float:
    """Root-mean-square error in millivolts."""
    return float(np.sqrt(np.mean((original - reconstruction) ** 2)))


def einthoven_residual(signal: np.ndarray) -> float:
    """Root mean square of ``I + III - II`` in mV, 0 in a consistent recording; signal: ``(12, T)`` mV."""
    one, two, three = (signal[row] for row in EINTHOVEN)
    return float(np.sqrt(np.mean((one + three - two) ** 2)))


def code_use(codes: np.ndarray, sizes: Sequence[int]) -> dict:
    """Joint use of the codebooks: whole codes counted, not the levels of single dimensions.

    codes: ints of any shape, of all codebooks as `ECGTokenizer` numbers them; sizes: codes of each codebook. Returns
    codes_used and codebook_size (of all codebooks), entropy_bits (per code, mean over codes of the entropy of its
    codebook), normalised_entropy (1: all codes of a codebook equally likely), and the same ``by_codebook``.
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
    """Bits per code of a codebook used so many times each."""
    p = counts[counts > 0] / max(1, counts.sum())
    return float(-(p * np.log2(p)).sum())
