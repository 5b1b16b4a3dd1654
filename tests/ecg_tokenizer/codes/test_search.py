"""Analysis by synthesis: less distortion with the same codebook, and never more."""

import numpy as np
import pytest
import torch

from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.codes.quantizers import FiniteScalarQuantizer
from cardiolect.ecg_tokenizer.codes.search import SPACING
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.utils.errors import UserError
from tests.helpers.signals import some_ecg


def tokenizer(rounds: int, coarse_frames: int = 4) -> ECGTokenizer:
    torch.manual_seed(0)
    config = TokenizerConfig(
        hidden=32, encoder_depth=1, decoder_depth=1, coarse_frames=coarse_frames, search_rounds=rounds
    )
    return ECGTokenizer(config).eval()


def squared_error(of: ECGTokenizer, signal: np.ndarray, codes: np.ndarray) -> float:
    return float(((of.decode(codes)[:, : signal.shape[1]] - signal) ** 2).sum())


@pytest.mark.parametrize("levels", [(8, 6, 6, 5), (3, 3), (5, 4, 3)])
def test_neighbours_are_one_step_away_in_one_dimension(levels):
    quantizer = FiniteScalarQuantizer(levels, 16)
    place = quantizer.geometry()
    neighbours = quantizer.neighbours()
    steps = torch.tensor([1 / (n // 2) for n in levels])  # between two levels of the implicit codebook
    moved = ((place[neighbours] - place[:, None]).abs() / steps).round(decimals=4)
    itself = neighbours == torch.arange(len(place))[:, None]
    assert (moved[~itself].sum(-1) == 1).all() and (moved[~itself].amax(-1) == 1).all()
    # Both directions exist except at the two ends of a dimension.
    assert itself.sum() == sum(2 * len(place) // n for n in levels)


@pytest.mark.parametrize("coarse_frames", [0, 4])
def test_every_round_lowers_the_error_of_the_ecg(coarse_frames):
    signal = some_ecg(4, 250)
    errors = []
    for rounds in (0, 1, 2):
        coder = tokenizer(rounds, coarse_frames)
        errors.append(squared_error(coder, signal, coder.encode(signal, 250)))
    assert errors[0] > errors[1] > errors[2]


def test_a_frame_takes_its_best_neighbour():
    signal = some_ecg(0.04, 250)  # a single frame, so that the search is exhaustive
    plain, searched = tokenizer(0, 0), tokenizer(1, 0)
    code = plain.encode(signal, 250)
    tried = [code, *(neighbour[None].numpy() for neighbour in plain.quantizer.neighbours()[code[0]])]
    best = min(tried, key=lambda codes: squared_error(plain, signal, codes))
    np.testing.assert_array_equal(searched.encode(signal, 250), best)


def test_coarse_codes_and_the_number_of_bits_stay():
    signal = some_ecg(4, 250)
    plain, searched = (tokenizer(rounds).encode(signal, 250) for rounds in (0, 1))
    coarse = tokenizer(0).layout.is_coarse(len(plain))
    np.testing.assert_array_equal(plain[coarse], searched[coarse])
    assert (plain[~coarse] != searched[~coarse]).any()
    assert tokenizer(0).bits(plain) == tokenizer(1).bits(searched)


def test_what_the_decoder_imagines_in_a_lead_that_was_not_recorded_is_no_error():
    signal = some_ecg(4, 250)
    signal[6:] = 0
    coder = tokenizer(2)
    codes = tokenizer(0).encode(signal, 250), coder.encode(signal, 250)
    before, after = (((coder.decode(each)[:6] - signal[:6]) ** 2).sum() for each in codes)
    assert after < before
    silent = np.zeros((12, 1000), np.float32)
    np.testing.assert_array_equal(tokenizer(0).encode(silent, 250), coder.encode(silent, 250))


def test_codes_do_not_depend_on_the_batch():
    coder, ecgs = tokenizer(1), [some_ecg(4, 250) * gain for gain in (0.5, 1, 2)]
    for ecg, codes in zip(ecgs, coder.encode_batch(ecgs), strict=True):
        np.testing.assert_array_equal(coder.encode_batch([ecg])[0], codes)


@pytest.mark.parametrize("frames", [1, 2, SPACING - 1, SPACING + 1])
def test_short_ecgs_are_searched_too(frames):
    coder = tokenizer(1)
    assert len(coder.encode(some_ecg(0.04 * frames, 250), 250)) == coder.layout.codes_in(frames)


def test_the_search_is_part_of_the_fingerprint_and_of_a_saved_tokenizer(tmp_path):
    searched = tokenizer(2)
    assert len({searched.fingerprint(), tokenizer(1).fingerprint(), tokenizer(0).fingerprint()}) == 3
    searched.save_pretrained(tmp_path)
    loaded, signal = ECGTokenizer.from_pretrained(tmp_path), some_ecg(2, 250)
    assert loaded.fingerprint() == searched.fingerprint()
    np.testing.assert_array_equal(loaded.encode(signal, 250), searched.encode(signal, 250))


def test_codes_without_neighbours_are_refused(tmp_path):
    chosen = TokenizerSettings(data_root=[tmp_path], output_dir=tmp_path / "out", quantizer="vq", search_rounds=1)
    with pytest.raises(UserError, match="SEARCH_ROUNDS needs QUANTIZER=fsq"):
        chosen.check()
