"""What probes read in representations, without a language model."""

import json

import numpy as np
import pytest
import torch

from cardiolect.ecg_tokenizer import probe
from cardiolect.ecg_tokenizer.bpe.merges import Merges
from cardiolect.ecg_tokenizer.bpe.tokenizer import BPETokenizer
from cardiolect.ecg_tokenizer.bpe.wavelet import WaveletSymbols, lead_components
from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.ecg_tokenizer.fidelity.probe import ProbeData, nearest_scores
from cardiolect.ecg_tokenizer.patches.representation import ECGPatches
from cardiolect.ecg_tokenizer.patches.settings import PatchConfig
from cardiolect.utils.errors import UserError
from tests.helpers.signals import some_ecg


@pytest.fixture(scope="module")
def probed(tmp_path_factory, corpus, tokenizer_folder):
    folder = tmp_path_factory.mktemp("probe")
    torch.manual_seed(0)
    ECGEncoder(EncoderConfig("mtae", width=16, depth=1)).save_pretrained(folder / "encoder")
    given = [tokenizer_folder, folder / "encoder", "--data", corpus, "--train-folds", "1-8", "--folds", "9-10"]
    options = ["--labels", "rhythm", "--shares", "1,0.5", "--keep-seen", "--workers", 0, "--out", folder / "out"]
    probe.main([*map(str, given), *map(str, options)])
    return folder / "out"


def test_every_representation_has_a_line_next_to_the_raw_signal(probed, tokenizer_folder):
    found = json.loads((probed / "probe.json").read_text())["found"]
    assert list(found) == ["linear 100%", "linear 50%", "nearest 100%", "nearest 50%"]
    for result in found.values():
        kinds = [kind for kind in result if kind not in ("classes", "records")]
        assert kinds[0] == "raw" and "encoder" in kinds and len(kinds) == 3
        assert result["raw"]["minus_raw"] == 0
        assert all(0 <= result[kind]["ci95"][0] <= result[kind]["ci95"][1] <= 1 for kind in kinds)
    assert found["linear 50%"]["records"][0] < found["linear 100%"]["records"][0]
    lines = (probed / "probe.txt").read_text().splitlines()
    assert lines[0].startswith("rhythm of") and lines[2].startswith("raw") and "ms/ECG" in lines[1]


def test_features_are_those_of_the_ecg_alone():
    signal = some_ecg(10)
    symbols = WaveletSymbols(125, 0.2, 0.65, 5, 60, lead_components(np.eye(8)))
    bpe = BPETokenizer(symbols, Merges.learn(symbols.pieces(some_ecg(10, 125)), symbols.alphabet, 40))
    counts = probe.features_of(bpe, 0)(signal, 500)
    assert counts.shape == (bpe.vocabulary_size,)
    assert np.expm1(counts).sum() == pytest.approx(len(bpe.prepare([signal], 500)[0]))
    for frozen in (True, False):
        torch.manual_seed(0)
        encoder = ECGEncoder(EncoderConfig("mtae", width=16, depth=1, frozen=frozen)).eval()
        rows = encoder.embed([torch.from_numpy(encoder.prepare([signal], 500)[0]).float()])
        expected = torch.cat([rows.mean(0), rows.amax(0)]).detach().numpy()
        np.testing.assert_allclose(probe.features_of(encoder, 0)(signal, 500), expected, rtol=1e-6)
    with pytest.raises(UserError, match="patches are samples of the raw signal"):
        probe.features_of(ECGPatches(PatchConfig("patch")), 0)


def test_a_smaller_share_is_part_of_a_larger_one_and_keeps_patients_whole():
    patients = np.repeat(np.arange(50), 2)
    data = ProbeData({"raw": np.arange(100.0)[:, None]}, np.zeros((100, 1), int), patients)
    large, small = (probe.shared(data, share, 0) for share in (0.5, 0.1))
    assert len(np.unique(large.patients)) == 25 and len(np.unique(small.patients)) == 5
    assert set(small.patients) <= set(large.patients) and len(large.labels) == 50


def test_the_nearest_recordings_decide():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)[:, None]
    features = rng.normal(size=(100, 4)) + 4 * labels
    side = ProbeData({"raw": features}, labels, np.arange(100))
    scores = nearest_scores(side, side, "raw", [0])
    assert scores[labels[:, 0] == 1].min() > 0.9 and scores[labels[:, 0] == 0].max() < 0.1


@pytest.mark.parametrize("shares", ["0", "1.5", "a", ""])
def test_shares_that_cannot_be_are_refused(shares):
    with pytest.raises(UserError, match="give numbers above 0 and up to 1"):
        probe._shares(shares)
