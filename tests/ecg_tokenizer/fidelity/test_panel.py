"""The fidelity panel: figures that a cardiologist can check, on any folder of recordings."""

import json
from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider.ecgqa.scp_classes import load_classes
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.fidelity import rhythm
from cardiolect.ecg_tokenizer.fidelity.distortion import einthoven_residual, prdn, rmse, snr
from cardiolect.ecg_tokenizer.fidelity.panel import main
from cardiolect.ecg_tokenizer.fidelity.probe import ProbeData, probe
from cardiolect.utils.errors import UserError


def test_distortion_has_its_textbook_values():
    t = np.arange(1000) / 250
    signal = np.stack([np.sin(2 * np.pi * t), 2 * np.sin(2 * np.pi * 2 * t)])
    assert prdn(signal, 0.9 * signal) == pytest.approx(10)
    assert snr(signal, 0.9 * signal) == pytest.approx(20)
    assert rmse(signal, signal + 0.1) == pytest.approx(0.1)


def test_einthovens_law_holds_or_shows_by_how_much():
    limbs = np.zeros((12, 500))
    limbs[0], limbs[2] = np.random.default_rng(0).normal(size=(2, 500))
    limbs[1] = limbs[0] + limbs[2]
    assert einthoven_residual(limbs) == pytest.approx(0)
    limbs[1] += 0.05
    assert einthoven_residual(limbs) == pytest.approx(0.05)


def test_errors_are_means_over_the_same_recordings_and_losses_are_counted():
    """A P wave wiped out in the hard recording must not make the mean PR error look better."""
    beats = np.arange(1.0, 5.0)

    def reading(pr: float) -> rhythm.Delineation:
        return rhythm.Delineation(beats, 60.0, {"qrs": 90.0, "pr": pr, "qt": 400.0})

    easy = (rhythm.compare(reading(160), reading(164)), rhythm.compare(reading(160), reading(161)))
    hard = (rhythm.compare(reading(160), reading(np.nan)), rhythm.compare(reading(160), reading(200)))
    figures = rhythm.summarise([easy, hard])
    assert figures["reconstruction"]["pr_error_ms"] == 4 and figures["original_with_noise"]["pr_error_ms"] == 1
    assert (figures["recordings"]["pr"], figures["lost"]["pr"], figures["lost"]["qt"]) == (1, 1, 0)


def test_the_probe_tells_signal_from_noise():
    rng = np.random.default_rng(0)

    def side(n: int) -> ProbeData:
        labels = rng.integers(0, 2, (n, 2))
        told = labels + 0.3 * rng.normal(size=(n, 2))
        return ProbeData({"raw": told, "codes": rng.normal(size=(n, 4))}, labels, np.arange(n) // 2)

    found = probe(side(200), side(200), ["a", "b"], resamples=50)
    alike = side(20)
    alike.labels[:] = 1
    assert probe(side(20), alike, ["a", "b"], resamples=5) == {}, "one class alone has no AUROC"
    assert found["raw"]["auroc"] > 0.95 and 0.35 < found["codes"]["auroc"] < 0.65
    assert found["codes"]["minus_raw_ci95"][1] < 0 and found["raw"]["minus_raw_ci95"] == [0, 0]


def test_superclasses_are_those_of_ptbxls_statements(shared_data: Path):
    """Against scp_statements.csv itself: our table must be PTB-XL's."""
    import csv

    from cardiolect.utils.scp_codes import SUPERCLASS_OF

    with (shared_data / "ptb-xl/scp_statements.csv").open() as file:
        rows = {row[""]: row for row in csv.DictReader(file)}
    assert {c: r["diagnostic_class"] for c, r in rows.items() if r["diagnostic"] == "1.0"} == SUPERCLASS_OF
    assert load_classes(shared_data / "ptb-xl")["1"] == {"NORM"}


@pytest.mark.parametrize("layout", ["ptbxl", "folder"])
def test_the_panel_runs_on_ptbxl_and_on_any_folder(corpus: Path, tokenizer_folder: Path, tmp_path: Path, layout: str):
    folds = ["--folds", "9-10", "--probe-folds", "1-8"] if layout == "ptbxl" else ["--max-records", "4"]
    data = corpus if layout == "ptbxl" else corpus / "records500"
    main(["--tokenizer", str(tokenizer_folder), "--data", str(data), "--out", str(tmp_path), "--workers", "0", *folds])
    figures = json.loads((tmp_path / "fidelity.json").read_text())
    assert {p.name for p in tmp_path.iterdir()} == {"fidelity.json", "fidelity.txt", "fidelity.png"}
    assert set(figures["distortion"]["leads"]) >= {"I", "aVR", "V6"}
    assert figures["readings"]["original_with_noise"]["r_peak_f1"] > figures["readings"]["reconstruction"]["r_peak_f1"]
    rate = figures["rate"]
    assert rate["tokens_per_10_s"] == 157 + 40 and [book["codebook_size"] for book in rate["by_codebook"]] == [125, 27]
    assert rate["bits_per_second"] == pytest.approx(15.625 * (np.log2(125) + np.log2(27) / 4))
    assert ("probe" in figures) == (layout == "ptbxl")


def test_patients_of_the_tokenizers_training_are_left_out(corpus: Path, tokenizer_folder: Path, tmp_path: Path, capsys):
    import shutil

    from cardiolect.data_provider.audit.seen import save_seen
    from cardiolect.data_provider.corpora.ptbxl_database import load_database

    shutil.copytree(tokenizer_folder, tmp_path / "tokenizer")
    refs = list(load_database(corpus).values())
    save_seen(tmp_path / "tokenizer", [r for r in refs if r.fold != 10])
    words = [
        "--tokenizer",
        str(tmp_path / "tokenizer"),
        "--data",
        str(corpus),
        "--workers",
        "0",
        "--out",
        str(tmp_path),
    ]
    main([*words, "--max-records", "3"])
    assert "left out" in capsys.readouterr().out
    (tmp_path / "checkpoint").mkdir()
    shutil.copytree(tokenizer_folder, tmp_path / "checkpoint/ecg_tokenizer")
    shutil.copy(tmp_path / "tokenizer/seen_recordings.json", tmp_path / "checkpoint")
    main([*words, "--max-records", "3", "--tokenizer", str(tmp_path / "checkpoint/ecg_tokenizer")])
    assert "left out" in capsys.readouterr().out
    with pytest.raises(UserError, match="no recordings left"):
        main([*words, "--folds", "1-9"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--data", "nowhere"], "--data nowhere: no such folder"),
        (["--data", "empty"], r"neither ptbxl_database\.csv nor any WFDB header"),
        (["--data", "empty", "--tokenizer", "empty"], "no ECG tokenizer here"),
        (["--data", "recordings", "--folds", "10"], r"has no ptbxl_database\.csv and so no folds"),
        (["--data", "empty", "--workers", "-1"], "--workers -1: give 0 or more"),
    ],
)
def test_what_cannot_be_measured_is_one_line(tokenizer_folder: Path, tmp_path: Path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("recordings").mkdir()
    Path("recordings/one.hea").touch()
    with pytest.raises(UserError, match=says):
        main(["--tokenizer", str(tokenizer_folder), *words])


def test_decode_is_measured_at_the_tokenizers_rate(corpus: Path, tokenizer_folder: Path):
    """500 Hz recordings, a 250 Hz tokenizer: comparing different rates would be a distortion of its own."""
    from cardiolect.data_provider.corpora.ptbxl_database import load_database
    from cardiolect.ecg_tokenizer.fidelity.reconstruction import reconstruct

    tokenizer = ECGTokenizer.from_pretrained(tokenizer_folder)
    measured = list(reconstruct(tokenizer, list(load_database(corpus).values())[:1], 0, "t"))
    assert measured[0].signal.shape == measured[0].decoded.shape == (12, 2500)
