"""What probes read in representations, without a language model."""

import json

import numpy as np
import pytest
import torch

from cardiolect.ecg_tokenizer.bpe.merges import Merges
from cardiolect.ecg_tokenizer.bpe.tokenizer import BPETokenizer
from cardiolect.ecg_tokenizer.bpe.wavelet import WaveletSymbols, lead_components
from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.ecg_tokenizer.fidelity.probe import ProbeData, RandomConvolutions, nearest_scores
from cardiolect.ecg_tokenizer.patches.representation import ECGPatches
from cardiolect.ecg_tokenizer.patches.settings import PatchConfig
from cardiolect.ecg_tokenizer.probe import command
from cardiolect.ecg_tokenizer.probe.features import features_of, shared
from cardiolect.utils.errors import UserError
from tests.helpers.signals import some_ecg


@pytest.fixture(scope="module")
def probed(tmp_path_factory, corpus, tokenizer_folder):
    folder = tmp_path_factory.mktemp("probe")
    torch.manual_seed(0)
    ECGEncoder(EncoderConfig("mtae", width=16, depth=1)).save_pretrained(folder / "encoder")
    given = [tokenizer_folder, folder / "encoder", "--data", corpus, "--train-folds", "1-7", "--folds", "9-10"]
    options = ["--labels", "rhythm", "--shares", "1,0.5", "--keep-seen", "--workers", 0, "--out", folder / "out"]
    options += ["--valid-folds", "8", "--finetune", "last", "--finetune-steps", 2, "--identify", "1-10"]
    command.main([*map(str, given), *map(str, options)])
    return folder / "out"


def test_every_representation_has_a_line_next_to_the_raw_signal(probed, tokenizer_folder):
    found = json.loads((probed / "probe.json").read_text())["found"]
    tuned = [f"fine-tuned {share}" for share in ("100%", "50%")]
    assert list(found) == ["linear 100%", "linear 50%", "nearest 100%", "nearest 50%", *tuned]
    assert all(found[column]["encoder"]["by_class"] and "raw" not in found[column] for column in tuned)
    for result in [found[column] for column in found if column not in tuned]:
        kinds = [kind for kind in result if kind not in ("classes", "records")]
        assert kinds[0] == "raw" and "encoder" in kinds and len(kinds) == 3
        assert result["raw"]["minus_raw"] == 0
        assert all(0 <= result[kind]["ci95"][0] <= result[kind]["ci95"][1] <= 1 for kind in kinds)
    assert found["linear 50%"]["records"][0] < found["linear 100%"]["records"][0]
    lines = (probed / "probe.txt").read_text().splitlines()
    assert lines[0].startswith("rhythm of") and lines[2].startswith("raw") and "ms/ECG" in lines[1]
    assert lines[2].split()[-4:-2] == ["-", "-"], "a signal is not fine-tuned"


def test_thresholds_are_those_of_validation_recordings_and_every_class_has_a_line(probed):
    result = json.loads((probed / "probe.json").read_text())
    text, classes = (probed / "probe.txt").read_text(), (probed / "classes.txt").read_text()
    assert "at thresholds chosen on" in text and "balanced accuracy" in text
    for column, judged in result["found"].items():
        for kind in ("encoder", "raw") if "raw" in judged else ("encoder",):
            assert set(judged[kind]["by_class"]) == set(judged["classes"]) and f"{column}, {kind}" in classes
    assert 0 <= result["found"]["linear 100%"]["raw"]["f1"] <= 1


def test_recordings_of_the_same_person_are_matched(probed):
    found = json.loads((probed / "probe.json").read_text())["identification"]
    assert found["patients"] >= 5 and found["pairs"] >= found["patients"] and set(found) > {"raw", "encoder"}
    assert "same person?" in (probed / "probe.txt").read_text()


def test_without_validation_folds_there_is_auroc_only_and_people_who_come_once_are_not_matched(
    tokenizer_folder, corpus, tmp_path, capsys
):
    given = [tokenizer_folder, "--data", corpus, "--train-folds", "1-2", "--folds", "9-10", "--labels", "rhythm"]
    options = ["--keep-seen", "--workers", 0, "--identify", "9", "--out", tmp_path]
    command.main([*map(str, given), *map(str, options)])
    printed = capsys.readouterr().out
    assert "AUROC only: F1, sensitivity and specificity need thresholds from --valid-folds" in printed
    assert "--identify 9: not done" in printed and "same person?" not in printed
    result = json.loads((tmp_path / "probe.json").read_text())
    assert "identification" not in result and "f1" not in result["found"]["linear 100%"]["raw"]
    with pytest.raises(UserError, match="--finetune: give --valid-folds"):
        command.main([*map(str, given), "--finetune", "all"])
    with pytest.raises(UserError, match="both --train-folds and --valid-folds"):
        command.main([*map(str, given), "--valid-folds", "2", "--out", str(tmp_path)])


def test_features_are_those_of_the_ecg_alone():
    signal = some_ecg(10)
    symbols = WaveletSymbols(125, 0.2, 0.65, 5, 60, lead_components(np.eye(8)))
    bpe = BPETokenizer(symbols, Merges.learn(symbols.pieces(some_ecg(10, 125)), symbols.alphabet, 40))
    counts = features_of(bpe, 0)(signal, 500)
    assert counts.shape == (bpe.vocabulary_size,)
    assert np.expm1(counts).sum() == pytest.approx(len(bpe.prepare([signal], 500)[0]))
    for frozen in (True, False):
        torch.manual_seed(0)
        encoder = ECGEncoder(EncoderConfig("mtae", width=16, depth=1, frozen=frozen)).eval()
        rows = encoder.embed([torch.from_numpy(encoder.prepare([signal], 500)[0]).float()])
        expected = torch.cat([rows.mean(0), rows.amax(0), rows.std(0, correction=0)]).detach().numpy()
        found = features_of(encoder, 0)(signal, 500)
        np.testing.assert_allclose(found[:48], expected, rtol=1e-4, atol=1e-6)
        convolve = RandomConvolutions(16, 2.5, 0)  # rows of 400 ms
        np.testing.assert_allclose(found[48:], convolve(rows.detach().numpy().T), rtol=1e-5)
    with pytest.raises(UserError, match="patches are samples of the raw signal"):
        features_of(ECGPatches(PatchConfig("patch")), 0)


def test_a_smaller_share_is_part_of_a_larger_one_and_keeps_patients_whole():
    patients = np.repeat(np.arange(50), 2)
    data = ProbeData({"raw": np.arange(100.0)[:, None]}, np.zeros((100, 1), int), patients)
    large, small = (shared(data, share, 0) for share in (0.5, 0.1))
    assert len(np.unique(large.patients)) == 25 and len(np.unique(small.patients)) == 5
    assert set(small.patients) <= set(large.patients) and len(large.labels) == 50


def test_the_nearest_recordings_decide():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)[:, None]
    features = rng.normal(size=(100, 4)) + 4 * labels
    side = ProbeData({"raw": features}, labels, np.arange(100))
    (scores,) = nearest_scores(side, [side], "raw", [0])
    assert scores[labels[:, 0] == 1].min() > 0.9 and scores[labels[:, 0] == 0].max() < 0.1


@pytest.mark.parametrize("shares", ["0", "1.5", "a", ""])
def test_shares_that_cannot_be_are_refused(shares):
    with pytest.raises(UserError, match="give numbers above 0 and up to 1"):
        command._shares(shares)
