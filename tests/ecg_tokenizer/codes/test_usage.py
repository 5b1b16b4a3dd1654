"""How much of the codebooks is used."""

import numpy as np
import pytest

from cardiolect.ecg_tokenizer.codes.usage import code_use


def test_code_use_counts_whole_codes_not_levels():
    """Six levels all used in each of four dimensions: HeartLLM says 100 %, of 1296 codes 6 are used."""
    levels = np.arange(6)
    codes = sum(levels * 6**i for i in range(4))
    use = code_use(codes, [6**4])
    assert use["codes_used"] == 6
    assert use["entropy_bits"] == pytest.approx(np.log2(6))


def test_entropy_of_several_codebooks_is_their_mean():
    """One codebook used evenly, one stuck on a single code."""
    use = code_use(np.stack([np.arange(4), np.full(4, 4)]), sizes=[4, 4])
    assert (use["codes_used"], use["codebook_size"]) == (5, 8)
    assert use["entropy_bits"] == 1 and use["normalised_entropy"] == 0.5
    assert [book["normalised_entropy"] for book in use["by_codebook"]] == [1, 0]
