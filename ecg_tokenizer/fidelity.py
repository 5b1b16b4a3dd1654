"""How well codes keep an ECG: distortion in millivolts and use of the codebook."""

import numpy as np


def prdn(original: np.ndarray, reconstruction: np.ndarray) -> float:
    """Percentage root-mean-square difference, normalised: mean-removed per lead (Zigel et al. 2000, TBME 47:1424).

    original, reconstruction: ``(leads, T)`` millivolts, usable leads only. Returns percent over all leads together.
    """
    energy = ((original - original.mean(axis=1, keepdims=True)) ** 2).sum()
    return float(100 * np.sqrt(((original - reconstruction) ** 2).sum() / max(energy, 1e-12)))


def code_use(codes: np.ndarray, codebook_size: int) -> dict[str, float]:
    """Joint use of the codebook: whole codes counted, not the levels of single dimensions.

    codes: ints of any shape. Returns codes_used, codebook_size, entropy_bits and normalised_entropy (1: all codes
    equally likely). Perplexity is 2 ** entropy_bits.
    """
    counts = np.bincount(np.asarray(codes).ravel(), minlength=codebook_size)
    p = counts[counts > 0] / counts.sum()
    entropy = float(-(p * np.log2(p)).sum())
    return {
        "codes_used": int((counts > 0).sum()),
        "codebook_size": codebook_size,
        "entropy_bits": entropy,
        "normalised_entropy": entropy / np.log2(codebook_size),
    }
