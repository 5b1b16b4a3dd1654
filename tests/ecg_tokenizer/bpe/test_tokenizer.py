"""BPE of ECGs: symbols against their formulas, what decodes to what, and what tokens cover."""

import json

import numpy as np
import pytest
import torch

from cardiolect.data_provider.record import INDEPENDENT, LEADS, resample, without_offsets
from cardiolect.ecg_tokenizer.bpe.levels import LevelSymbols, fixed_steps, percentile_range
from cardiolect.ecg_tokenizer.bpe.merges import Merges
from cardiolect.ecg_tokenizer.bpe.settings import BPESettings
from cardiolect.ecg_tokenizer.bpe.signal2vec import signal2vec
from cardiolect.ecg_tokenizer.bpe.tokenizer import BPETokenizer
from cardiolect.ecg_tokenizer.bpe.training import fit, train_bpe_representation
from cardiolect.ecg_tokenizer.bpe.wavelet import (
    END,
    FROM_INDEPENDENT,
    WaveletSymbols,
    analyse,
    lead_components,
    synthesise,
)
from cardiolect.ecg_tokenizer.fidelity.distortion import prdn
from cardiolect.utils.errors import UserError

RATE = 125


class Signals:
    """A signal cache in memory."""

    def __init__(self, signals: list[np.ndarray]):
        self.signals = signals
        self.present = np.ones((len(signals), 12), dtype=bool)

    def __len__(self) -> int:
        return len(self.signals)

    def signal(self, i: int) -> np.ndarray:
        return self.signals[i]


def ecg(seed: int, seconds: float = 4.0, rate: int = RATE) -> np.ndarray:
    """Something with spikes, slow waves and noise, ``(12, T)`` mV, that obeys the limb laws."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    phase = (time * rng.uniform(0.9, 1.4) + rng.random()) % 1
    waves = [np.exp(-0.5 * ((phase - at) / width) ** 2) for at, width in ((0.2, 0.03), (0.35, 0.01), (0.6, 0.05))]
    eight = rng.normal(0, (0.1, 1, 0.3), (8, 3)) @ waves + rng.normal(0, 0.01, (8, len(time)))
    return (FROM_INDEPENDENT @ eight).astype(np.float32)


TRAIN = Signals([ecg(seed) for seed in range(12)])
KINDS = {
    "wavelet": {},
    "millivolts": {"bpe_symbols": "millivolts", "bpe_step_mv": 0.1, "bpe_lead_tokens": True},
    "asinh": {"bpe_symbols": "millivolts", "bpe_step_mv": 0.05, "bpe_knee_mv": 0.2, "bpe_independent_leads": False},
    "percentile": {"bpe_symbols": "ecg-byte", "bpe_turn_seconds": 0},
    "instance": {"bpe_symbols": "ecg-byte", "bpe_scaling": "instance", "bpe_turn_seconds": 0, "bpe_cross_leads": True},
}


def settings(tmp_path, **values) -> BPESettings:
    defaults = {"bpe_merges": 200, "sampling_rate": RATE, "data_root": tmp_path, "output_dir": tmp_path / "out"}
    return BPESettings(**{**defaults, **values})


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request, tmp_path_factory) -> BPETokenizer:
    return fit(settings(tmp_path_factory.mktemp("bpe"), **KINDS[request.param]), TRAIN)


def test_levels_follow_the_published_formula():
    signal = ecg(1) * 3
    low, high = percentile_range(signal)
    p1, p99 = np.percentile(signal, (1, 99))
    scaled = np.clip((signal.astype(float) - (p1 - 0.5)) / ((p99 + 0.5) - (p1 - 0.5) + 1e-6), 0, 1)
    published = np.minimum(np.floor(scaled * 26), 25)
    pieces = LevelSymbols(RATE, "percentile", 26, low, high).pieces(signal)
    assert (np.stack(pieces) == published).all()  # lead-major
    instance = LevelSymbols(RATE, "instance", 26, -1, 1)
    scaled = (signal.astype(float) - signal.min()) / (float(signal.max()) - float(signal.min()) + 1e-6)
    assert (np.stack(instance.pieces(signal)) == np.floor(scaled * 26)).all()


def test_levels_are_read_at_bin_centres_or_as_published():
    levels = np.arange(26)
    assert LevelSymbols(RATE, low=-1, high=1.6).values(levels) == pytest.approx(-0.95 + 0.1 * levels)
    published = LevelSymbols(RATE, low=-1, high=1.6, published_offset=True).values(levels)
    assert published == pytest.approx(levels / 25 * 2.6 - 1)


@pytest.mark.parametrize("knee", [0, 0.2])
def test_fixed_steps_have_a_level_around_zero_and_reach_the_largest(knee):
    levels, edge = fixed_steps(0.1, 5, knee)
    symbols = LevelSymbols(RATE, "millivolts", levels, -edge, edge, knee)
    values = symbols.values(np.arange(levels))
    centre = levels // 2
    assert values[centre] == pytest.approx(0, abs=1e-9)
    assert values[centre + 1] == pytest.approx(0.1, rel=0.05)
    assert edge >= 5 and values[-1] <= (5.1 if not knee else 10)
    steps = np.diff(values)
    assert np.allclose(steps, 0.1) if not knee else steps[-1] > 5 * steps[centre]


def test_the_wavelet_is_inverted_and_keeps_energy():
    signal = np.random.default_rng(0).normal(size=(3, 128))
    bands = analyse(signal, 4)
    assert [band.shape[1] for band in bands] == [8, 8, 16, 32, 64]
    assert np.allclose(synthesise(bands), signal)
    assert sum((band**2).sum() for band in bands) == pytest.approx((signal**2).sum(), rel=0.05)


def test_wavelet_symbols_come_back_within_the_step_and_obey_the_limb_laws():
    signal = ecg(3, seconds=64 * 4 / RATE)
    basis = lead_components(np.cov(signal[list(INDEPENDENT)]))
    assert np.allclose(np.array(basis).T @ basis, np.eye(8), atol=1e-6)
    fine = WaveletSymbols(RATE, 1e-4, 0.5, 6, 10**6, basis)
    found = fine.signal(np.concatenate(fine.pieces(signal)))
    assert np.abs(found - signal).max() < 1e-3
    assert np.allclose(found[0] + found[2], found[1], atol=1e-5)
    silent = fine.pieces(np.zeros((12, 100), np.float32))
    assert [piece.tolist() for piece in silent] == [[END], [END]]


def test_decoding_an_encoded_ecg_gives_the_quantised_signal(tokenizer):
    # Not in training, and not a whole number of turns or blocks.
    signal = without_offsets(ecg(50, seconds=3.3))
    codes = tokenizer.encode(signal, RATE)
    assert codes.dtype == np.int64 and tokenizer.prepare([signal], tokenizer.sampling_rate)[0].dtype == np.uint16
    value_range = tokenizer.value_range(signal)
    quantised = tokenizer.symbols.signal(np.concatenate(tokenizer.symbols.pieces(signal)), value_range)
    decoded = tokenizer.decode(codes, value_range)
    assert decoded.dtype == np.float32 and (decoded == quantised).all()
    assert 0 <= decoded.shape[1] - signal.shape[1] < RATE
    assert np.abs(decoded[:, : signal.shape[1]] - signal).mean() < 0.1


def test_levels_of_a_quantised_signal_are_its_own(tmp_path):
    tokenizer = fit(settings(tmp_path, **KINDS["percentile"]), TRAIN)
    codes = tokenizer.encode(ecg(50), RATE)
    # Without taking off its offsets once more: they would no longer be whole levels.
    assert (tokenizer._prepare([tokenizer.decode(codes)])[0] == codes).all()


def test_times_follow_the_ecg(tokenizer):
    signal = ecg(51, seconds=3.3)
    item = tokenizer.prepare([signal], tokenizer.sampling_rate)[0]
    times = tokenizer.times(item)
    assert times.shape == (len(item), 2) and len(tokenizer.token_ids(item)) == len(item)
    assert (times[:, 0] < times[:, 1]).all() and times.min() == 0
    assert 0 <= round(times.max() * RATE) - signal.shape[1] < RATE  # padded to a whole turn or block


def test_each_sample_is_in_the_time_of_its_token():
    symbols = LevelSymbols(10, "millivolts", 5, -1, 1, chunk=10)
    tokenizer = BPETokenizer(symbols, Merges(5, [(2, 2)]))
    signal = np.zeros((12, 20), np.float32)
    times = tokenizer.times(tokenizer.prepare([signal], 10)[0])
    assert len(times) == 120  # pairs of samples
    assert times[:5] == pytest.approx(np.array([[k / 5, (k + 1) / 5] for k in range(5)]))
    assert (times[:60] <= 1 + 1e-9).all() and (times[60:] >= 1 - 1e-9).all()  # all leads of a second, then the next


def test_a_budget_of_tokens_cuts_time_and_not_leads(tmp_path):
    signal = ecg(52, seconds=8)
    for kind in ("wavelet", "millivolts", "asinh"):
        tokenizer = fit(settings(tmp_path, **KINDS[kind]), TRAIN)
        item = tokenizer.prepare([signal], tokenizer.sampling_rate)[0]
        leads, seconds = tokenizer.coverage(item, len(item) // 2)
        assert leads == 12 and 2 < seconds < 6, kind
        assert tokenizer.coverage(item).leads == 12 and tokenizer.coverage(item).seconds >= 8
    tokenizer = fit(settings(tmp_path, **KINDS["percentile"]), TRAIN)
    item = tokenizer.prepare([signal], tokenizer.sampling_rate)[0]
    assert tokenizer.coverage(item) == (12, 8.0)
    leads, seconds = tokenizer.coverage(item, len(item) // 2)
    assert leads < 12 and seconds <= 8  # as published: V leads are lost
    assert tokenizer.coverage(item, 0) == (0, 0.0)


def test_a_budget_within_the_first_block_covers_nothing(tmp_path):
    tokenizer = fit(settings(tmp_path), TRAIN)
    item = tokenizer.prepare([ecg(52)], RATE)[0]
    assert tokenizer.coverage(item, 1) == (0, 0.0)


def test_the_first_turns_or_blocks_decode_alone(tmp_path):
    signal = ecg(58, seconds=4)
    for kind in ("wavelet", "millivolts"):
        tokenizer = fit(settings(tmp_path, **KINDS[kind]), TRAIN)
        item = tokenizer.prepare([signal], RATE)[0]
        times = tokenizer.times(item)
        begin = tokenizer.symbols.block * 2 / RATE if kind == "wavelet" else 2.0
        first = item[: int(np.argmax(times[:, 0] >= begin))]
        whole, part = tokenizer.decode(item), tokenizer.decode(first)
        assert part.shape == (12, round(begin * RATE))
        assert np.allclose(part[:, : RATE // 4], whole[:, : RATE // 4], atol=0.1)


def test_lead_tokens_say_whose_the_next_tokens_are(tmp_path):
    tokenizer = fit(settings(tmp_path, **KINDS["millivolts"]), TRAIN)
    item = tokenizer.prepare([ecg(53, seconds=2)], tokenizer.sampling_rate)[0].astype(int)
    leads = item[item >= len(tokenizer.merges)] - len(tokenizer.merges)
    assert [LEADS[k] for k in leads] == ["I", "II", "V1", "V2", "V3", "V4", "V5", "V6"] * 2
    assert tokenizer.vocabulary_size == len(tokenizer.merges) + 12


def test_large_waves_are_clipped_and_not_refused(tokenizer):
    decoded = tokenizer.decode(tokenizer.encode(100 * ecg(56), RATE))
    assert np.isfinite(decoded).all()


def test_without_merges_every_symbol_is_a_token(tmp_path):
    tokenizer = fit(settings(tmp_path, **KINDS["percentile"], **{"bpe_merges": 0}), TRAIN)
    assert tokenizer.vocabulary_size == 26
    assert len(tokenizer.encode(ecg(57), RATE)) == ecg(57).size


def test_too_many_symbols_are_one_clear_error(tmp_path):
    with pytest.raises(UserError, match="raise BPE_STEP_MV"):
        fit(settings(tmp_path, bpe_step_mv=1e-4), TRAIN)


def test_cut_and_foreign_codes_are_refused(tokenizer):
    codes = tokenizer.encode(ecg(54), RATE)
    for wrong in (codes[:-1], np.array([], int), np.array([[0]]), np.array([tokenizer.vocabulary_size]), [-1]):
        with pytest.raises(UserError):
            tokenizer.decode(wrong)


def test_bad_signals_are_refused(tokenizer):
    with pytest.raises(UserError, match="shape"):
        tokenizer.encode(np.zeros((2, 100)), RATE)
    with pytest.raises(UserError, match="NaN"):
        tokenizer.encode(np.full((12, 100), np.nan), RATE)
    assert len(tokenizer.encode(np.zeros((12, 1000)), 500)) > 0


def test_saved_and_loaded_it_encodes_alike(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"config.json", "tokenizer.json", "geometry.safetensors"}
    loaded = BPETokenizer.from_pretrained(tmp_path)
    signal = ecg(55)
    assert (loaded.encode(signal, RATE) == tokenizer.encode(signal, RATE)).all()
    assert loaded.fingerprint() == tokenizer.fingerprint() and len(loaded.fingerprint()) == 16
    assert torch.equal(loaded.geometry(), tokenizer.geometry())
    config = json.loads((tmp_path / "config.json").read_text())
    config["symbols"]["sampling_rate"] = 100
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert BPETokenizer.from_pretrained(tmp_path).fingerprint() != tokenizer.fingerprint()


@pytest.mark.parametrize("damage", ["{", "{}", '{"symbols": {"kind": "other"}}', "[]"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_damaged_folder_is_one_clear_error(tokenizer, tmp_path, name, damage):
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / name).write_text(damage)
    with pytest.raises(UserError, match=str(tmp_path)):
        BPETokenizer.from_pretrained(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=name):
        BPETokenizer.from_pretrained(tmp_path)


def test_the_fingerprint_tells_merges_and_encoding_apart():
    symbols = LevelSymbols(RATE, levels=3)
    kinds = [Merges(3, [(0, 1)]), Merges(3, [(1, 0)]), Merges(3, [(0, 1)], "longest-match")]
    assert len({BPETokenizer(symbols, merges).fingerprint() for merges in kinds}) == 3


def test_geometry_puts_similar_tokens_close(tmp_path):
    tokenizer = fit(settings(tmp_path, **KINDS["percentile"]), TRAIN)
    rows = tokenizer.geometry()
    assert rows.shape[0] == tokenizer.vocabulary_size and rows.isfinite().all()
    distance = torch.cdist(rows, rows)
    assert distance[3, 4] < distance[3, 20]  # neighbouring levels


def test_geometry_of_wavelets_comes_from_what_tokens_draw(tokenizer):
    rows = tokenizer.geometry()
    assert rows.shape[0] == tokenizer.vocabulary_size and rows.isfinite().all() and rows.std(0).min() > 0


def test_signal2vec_puts_tokens_of_one_context_close():
    rng = np.random.default_rng(0)
    # Tokens 0-4 stand near one another, and so do 5-9.
    sequences = [rng.integers(0, 5, 200) + 5 * (k % 2) for k in range(30)]
    vectors, learned = signal2vec(sequences, 12, dims=8, epochs=8, learning_rate=0.05, subsample=1.0)
    assert learned.tolist() == [True] * 10 + [False] * 2 and (vectors[10:] == 0).all()
    likeness = torch.nn.functional.cosine_similarity(vectors[:10, None], vectors[None, :10], dim=2)
    assert likeness[:5, :5].mean() > likeness[:5, 5:].mean() + 0.5
    again, _ = signal2vec(sequences, 12, dims=8, epochs=8, learning_rate=0.05, subsample=1.0)
    assert torch.equal(vectors, again)


def test_signal2vec_is_the_geometry_by_setting(tmp_path):
    chosen = {"bpe_geometry": "signal2vec", "signal2vec_dims": 16, "signal2vec_epochs": 1, "bpe_merges": 20}
    tokenizer = fit(settings(tmp_path, **chosen), TRAIN)
    assert tokenizer.geometry().shape == (tokenizer.vocabulary_size, 16)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"bpe_lead_tokens": True}, "BPE_LEAD_TOKENS"),
        ({"bpe_cross_leads": True}, "BPE_CROSS_LEADS"),
        ({"bpe_symbols": "ecg-byte", "bpe_cross_leads": True, "bpe_lead_tokens": True}, "inside a token"),
        ({"bpe_symbols": "millivolts", "bpe_step_mv": 20}, "BPE_STEP_MV"),
        ({"bpe_turn_seconds": 0.001}, "BPE_TURN_SECONDS"),
        ({"bpe_symbols": "ecg-byte", "bpe_merges": 65530}, "BPE_MERGES"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, values, match):
    with pytest.raises(UserError, match=match):
        settings(tmp_path, **values).check()


def test_one_env_file_trains_on_real_recordings(shared_data, tmp_path):
    root = shared_data / "ptb-xl"
    if not (root / "ptbxl_database.csv").is_file():
        pytest.skip(f"PTB-XL not found at {root}")
    env = tmp_path / "bpe.env"
    values = {
        "DATA_ROOT": root,
        "TRAIN_FOLDS": "1-7",
        "VALID_FOLDS": "8",
        "MAX_TRAIN": 60,
        "MAX_VALID": 10,
        "WORKERS": 0,
        "OUTPUT_DIR": tmp_path / "out",
        "CACHE_DIR": tmp_path / "cache",
        "BPE_MERGES": 1000,
    }
    env.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    figures = train_bpe_representation(BPESettings.load(env))
    assert figures["prdn"] < 25 and figures["tokens"] < 600
    tokenizer = BPETokenizer.from_pretrained(tmp_path / "out")
    from cardiolect.data_provider.readers import read_record

    record = read_record(root / "records500/00000/00001_hr")
    item = tokenizer.encode(record.signal, record.fs)
    expected = without_offsets(resample(record.signal, record.fs, tokenizer.sampling_rate))
    assert prdn(expected, tokenizer.decode(item)[:, : expected.shape[1]]) < 35
    assert tokenizer.bits(item) == pytest.approx(len(item) * np.log2(tokenizer.vocabulary_size))
