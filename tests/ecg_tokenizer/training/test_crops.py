"""Crops follow from SEED, the step and their number in the batch alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cardiolect.data_provider.storage.signal_cache import SignalCache
from cardiolect.ecg_tokenizer.training import augmentation, crops
from cardiolect.ecg_tokenizer.training.crops import CropSampler
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings


@pytest.fixture
def sampler(tmp_path, monkeypatch):
    """Makes a sampler of six crops a step from ten recordings, for a rank."""
    rng = np.random.default_rng(0)
    cache = object.__new__(SignalCache)
    cache.record_ids = [f"{corpus}/{i}" for corpus in ("a", "b") for i in range(5)]
    cache.starts = np.arange(11) * 1500
    cache.present = rng.random((10, 12)) < 0.9
    cache._data = rng.standard_normal((15000, 12)).astype(np.float16)

    def make(rank: int = 0, ranks: int = 1, **values) -> CropSampler:
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", str(ranks))
        env = tmp_path / "tokenizer.env"
        env.write_text(f"DATA_ROOT={tmp_path}\nOUTPUT_DIR={tmp_path}\n")
        chosen = dict(batch_size=6, electrode_jitter=0.5, wander_chance=0.7, time_stretch=0.3, lead_dropout=0.2)
        return CropSampler(TokenizerSettings.read(env, **(chosen | values)), cache)

    return make


@pytest.mark.parametrize("ranks", [2, 3, 6])
def test_the_ranks_of_a_step_draw_the_batch_of_one_rank(sampler, ranks):
    whole = sampler().draw(7)
    for rank in range(ranks):
        for found, expected in zip(sampler(rank, ranks).draw(7), whole, strict=True):
            torch.testing.assert_close(found, expected[rank::ranks])


def test_a_rank_generates_random_numbers_for_its_own_crops_only(sampler, monkeypatch):
    made = []

    def counted(entropy):
        made.append(entropy)
        return np.random.Generator(np.random.PCG64(entropy))

    rank = sampler(1, 3)
    monkeypatch.setattr(crops.np.random, "default_rng", counted)
    rank.draw(4)
    assert made == [(42, 4, 0), (42, 4, 2), (42, 4, 5)]


def test_a_step_does_not_depend_on_the_steps_before(sampler):
    begun, resumed = sampler(), sampler()
    steps = [begun.draw(step) for step in (1, 2, 3)]
    for found, expected in zip(resumed.draw(3), steps[2], strict=True):
        assert np.array_equal(found, expected)
    assert not np.array_equal(steps[0][0], steps[1][0])
    assert not np.array_equal(sampler(seed=1).draw(3)[0], steps[2][0])


def test_recordings_are_drawn_by_the_weight_of_their_corpus(sampler, monkeypatch):
    weights = SimpleNamespace(none={}, some={"a": 3.0, "b": 1.0}, one={"a": 0.0, "b": 1.0})
    shares = []
    for each in (weights.none, weights.some, weights.one):
        monkeypatch.setattr(crops, "corpus_weights", lambda settings, each=each: each)
        rows = np.concatenate([sampler(batch_size=60).draw(step)[2] for step in range(20)])
        assert rows.min() >= 0 and rows.max() < 10
        shares.append((rows < 5).mean())
    np.testing.assert_allclose(shares, [0.5, 0.75, 0], atol=0.05)


def test_wander_is_drawn_for_the_crops_that_get_it_alone(sampler, monkeypatch):
    """Most of the time of augmentation went into drift that was thrown away."""
    counts, before = [], augmentation.baseline_wander

    def counted(samples, fs, generators):
        counts.append(len(generators))
        return before(samples, fs, generators)

    monkeypatch.setattr(augmentation, "baseline_wander", counted)
    for step in range(50):
        sampler(wander_chance=0.3).draw(step)
    assert 0.2 < sum(counts) / 300 < 0.4
