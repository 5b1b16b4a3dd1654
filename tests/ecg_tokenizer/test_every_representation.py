"""What `model/` relies on, of every representation alike: lengths, rates, missing leads, batches, saving."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.bpe.merges import Merges
from cardiolect.ecg_tokenizer.bpe.tokenizer import BPETokenizer
from cardiolect.ecg_tokenizer.bpe.wavelet import WaveletSymbols, lead_components
from cardiolect.ecg_tokenizer.cached import CachedECGs
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.ecg_tokenizer.measured.representation import MeasuredECG
from cardiolect.ecg_tokenizer.patches.representation import ECGPatches
from cardiolect.ecg_tokenizer.patches.settings import PatchConfig
from cardiolect.ecg_tokenizer.representations import REPRESENTATIONS, load_representation
from cardiolect.model.evaluation.condition_inputs import inputs_under
from cardiolect.utils.errors import UserError
from tests.helpers.signals import some_ecg


def codes() -> ECGTokenizer:
    torch.manual_seed(0)
    config = TokenizerConfig(fsq_levels=(5, 5, 5), coarse_levels=(3, 3, 3), stride=16, hidden=16, encoder_depth=1)
    return ECGTokenizer(config).eval()


def bpe() -> BPETokenizer:
    symbols = WaveletSymbols(125, 0.2, 0.65, 5, 60, lead_components(np.eye(8)))
    pieces = symbols.pieces(some_ecg(10, 125))
    return BPETokenizer(symbols, Merges.learn(pieces, symbols.alphabet, 40))


def patches() -> ECGPatches:
    torch.manual_seed(0)
    return ECGPatches(PatchConfig("conv")).eval()


def measured() -> MeasuredECG:
    return MeasuredECG(codes())


def encoder() -> ECGEncoder:
    torch.manual_seed(0)
    return ECGEncoder(EncoderConfig("convnext-atto", width=8, depth=1)).eval()


SMALL = {"codes": codes, "measured": measured, "bpe": bpe, "encoder": encoder, "patches": patches}


@pytest.fixture(params=REPRESENTATIONS)
def representation(request) -> ECGRepresentation:
    return SMALL[request.param]()


@pytest.mark.parametrize("seconds", [2.5, 7.013, 10, 23.7])
def test_any_length_has_as_many_tokens_as_times_up_to_its_end(representation, seconds):
    item = representation.prepare([some_ecg(seconds)], 500)[0]
    numbers, times = representation.token_ids(item), representation.times(item)
    assert len(numbers) == representation.num_tokens(item) == len(times)
    assert min(numbers) >= 0 and max(numbers) < representation.vocabulary_size
    assert (times[:, 0] < times[:, 1]).all() and times.min() >= 0
    assert seconds <= times.max() < seconds + 1.1
    leads, shown = representation.coverage(item)
    assert leads == 12 and shown >= seconds - 0.3


def test_the_sampling_rate_of_a_file_hardly_matters(representation):
    """The test signal lies below 20 Hz: its samples at the common rate differ by the resampling filter alone."""
    one, other = (representation.prepare([some_ecg(10, fs)], fs)[0] for fs in (500, 400))
    if representation.embeds:
        assert np.abs(one.astype(float) - other)[5:-5].max() < 0.1
    else:
        assert np.mean(representation.decode(one) - representation.decode(other)) == pytest.approx(0, abs=0.02)
        assert abs(len(one) - len(other)) <= 0.1 * len(one)


def test_an_item_is_the_same_in_any_batch(representation):
    signals = [gain * some_ecg(seconds) for gain, seconds in ((1, 10), (0.5, 10), (2, 4.1), (1, 10))]
    together = representation.prepare(signals, 500)
    for signal, item in zip(signals, together, strict=True):
        alone = representation.prepare([signal], 500)[0]
        assert alone.dtype == item.dtype and np.array_equal(alone, item)


@pytest.mark.parametrize("size", [0.3, 3, 300])
def test_a_constant_in_a_lead_is_no_ecg(representation, size):
    offsets = size * np.random.default_rng(0).standard_normal((12, 1))
    plain, moved = (representation.prepare([some_ecg() + each], 500)[0] for each in (0, offsets))
    if representation.embeds:
        np.testing.assert_allclose(plain, moved, atol=5e-3)  # float16
    else:
        assert len(plain) == len(moved) and np.mean(plain != moved) < 0.005


def test_missing_leads_are_zeros_and_pass_through(representation):
    signal = some_ecg()
    limb_only = signal.copy()
    limb_only[6:] = 0
    silent = np.zeros_like(signal)
    items = representation.prepare([signal, limb_only, silent], 500)
    assert all(representation.num_tokens(item) for item in items)
    assert not np.array_equal(items[0], items[1])


@pytest.mark.parametrize("wrong", [np.zeros((11, 500)), np.zeros((12, 0)), np.zeros(500), np.full((12, 500), np.nan)])
def test_what_is_not_a_12_lead_ecg_is_refused(representation, wrong):
    with pytest.raises(UserError, match="an ECG to encode"):
        representation.prepare([wrong], 500)


def test_a_saved_representation_gives_the_same_items(representation, tmp_path):
    representation.save_pretrained(tmp_path)
    loaded = load_representation(tmp_path)
    assert type(loaded) is type(representation) and loaded.fingerprint() == representation.fingerprint()
    before, after = (each.prepare([some_ecg()], 500)[0] for each in (representation, loaded))
    assert np.array_equal(before, after)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".safetensors"}


def test_rows_or_a_signal_come_back_as_promised(representation):
    item = representation.prepare([some_ecg()], 500)[0]
    if representation.embeds:
        rows = representation.embed([torch.from_numpy(item).float()])
        assert rows.shape == (representation.num_tokens(item), representation.embedding_width)
        assert representation.vocabulary_size == 1
    else:
        assert representation.embed([torch.from_numpy(item)]) is None
        assert representation.bits(item) > 0
    if representation.decodes:
        decoded = representation.decode(item)
        assert decoded.shape[0] == 12 and decoded.dtype == np.float32
        assert decoded.shape[1] >= 10 * representation.sampling_rate
    else:
        with pytest.raises(UserError, match="cannot be turned back into a signal"):
            representation.decode(item)


def test_geometry_has_a_row_per_token(representation):
    geometry = representation.geometry()
    assert geometry is None or geometry.shape[0] == representation.vocabulary_size


def test_noise_in_place_of_an_ecg_is_as_long_and_depends_on_seed_and_recording_alone(representation, corpus):
    refs = list(load_database(corpus).values())[:3]
    settings = {"device": "cpu", "workers": 0, "lead_law": "mask"}

    def noise(asked: list, seed: int) -> dict:
        own = [(ref,) for ref in asked]
        ecgs = CachedECGs(representation, cache=None)
        found = inputs_under("noise", own, own, ecgs, SimpleNamespace(**settings, seed=seed))(asked)
        return {ref.record_id: ecg for ref, ecg in zip(asked, found, strict=True)}

    one, backwards, other = noise(refs, 1), noise(refs[:0:-1], 1), noise(refs, 2)
    for ref in refs[1:]:
        drawn = one[ref.record_id]
        np.testing.assert_array_equal(drawn.item, backwards[ref.record_id].item)
        assert not np.array_equal(drawn.item, other[ref.record_id].item)
        assert not np.array_equal(drawn.item, one[refs[0].record_id].item)
        assert representation.coverage(drawn.item).seconds >= 9.9 and drawn.key == (ref.record_id, "noise")
