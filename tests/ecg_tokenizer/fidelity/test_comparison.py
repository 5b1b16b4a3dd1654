"""Tokenizers of different kinds and rates on the same recordings."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider.audit.seen import save_seen
from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import resample, without_offsets
from cardiolect.data_provider.storage.remarks import Remark
from cardiolect.ecg_tokenizer.bpe.levels import LevelSymbols
from cardiolect.ecg_tokenizer.bpe.merges import Merges
from cardiolect.ecg_tokenizer.bpe.tokenizer import BPETokenizer
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.fidelity.comparison import compare, comparison_table, names_of
from cardiolect.ecg_tokenizer.fidelity.distortion import prdn
from cardiolect.ecg_tokenizer.fidelity.panel import REFERENCE_RATE, main, probe_data
from cardiolect.ecg_tokenizer.fidelity.rate import coverage
from cardiolect.ecg_tokenizer.fidelity.reconstruction import reconstruct
from cardiolect.ecg_tokenizer.fidelity.table import table
from cardiolect.ecg_tokenizer.patches.representation import ECGPatches
from cardiolect.ecg_tokenizer.patches.settings import PatchConfig
from cardiolect.utils.errors import UserError


def levels(rate: int, scaling: str, **shape) -> BPETokenizer:
    """Fine levels without merges; with "instance" scaling typical ECGs are twice as large as those of the corpus."""
    symbols = LevelSymbols(rate, scaling, levels=4000, low=-10.0, high=10.0, **shape)
    return BPETokenizer(symbols, Merges.learn([], symbols.alphabet, 0, "longest-match"))


@pytest.fixture(scope="module")
def instance_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("instance") / "ecg_byte"
    levels(125, "instance").save_pretrained(folder)
    return folder


@pytest.fixture
def measure(corpus: Path, tmp_path: Path, capsys):
    """Run the panel on two recordings of fold 10; returns the folder that it wrote to and what it printed."""

    def run(*tokenizers: Path, words: tuple[str, ...] = ()) -> tuple[Path, str]:
        out = tmp_path / "out"
        fixed = ["--data", str(corpus), "--folds", "10", "--max-records", "2", "--out", str(out), "--workers", "0"]
        main(["--tokenizer", *map(str, tokenizers), *fixed, *words])
        return out, capsys.readouterr().out

    return run


def test_what_the_rate_of_a_tokenizer_cannot_hold_is_distortion(corpus: Path):
    """With fine levels a 50 Hz tokenizer is nearly exact at 50 Hz, where nobody reads an ECG."""
    refs = list(load_database(corpus).values())[:2]
    tokenizer = levels(50, "millivolts")
    own, common = (list(reconstruct(tokenizer, refs, 0, "t", fs=fs)) for fs in (None, REFERENCE_RATE))
    for a, b, ref in zip(own, common, refs, strict=True):
        record = read_record(ref.path)
        assert a.signal.shape == (12, 500) and b.signal.shape == b.decoded.shape == (12, 2500)
        assert b.signal == pytest.approx(without_offsets(resample(record.signal, record.fs, REFERENCE_RATE)))
        lost = prdn(b.signal, resample(resample(b.signal, 250, 50), 50, 250))
        assert prdn(a.signal, a.decoded) < 5 and lost > 2 * prdn(a.signal, a.decoded)
        assert prdn(b.signal, b.decoded) == pytest.approx(lost, rel=0.1)


def test_a_reconstruction_is_as_long_as_its_recording(corpus: Path, monkeypatch):
    """2501 samples at 250 Hz are 1250 at 125 Hz, and these 2500."""
    from cardiolect.ecg_tokenizer.fidelity import reconstruction

    signal = np.random.default_rng(0).normal(size=(12, 2501)).astype(np.float32)
    stream = [(next(iter(load_database(corpus).values())), signal, np.ones(12, bool), Remark())]
    monkeypatch.setattr(reconstruction, "stream_signals", lambda *_: stream)
    (measured,) = reconstruct(levels(125, "millivolts"), [], 0, "t", fs=250)
    assert measured.decoded.shape == measured.signal.shape == (12, 2501)


@pytest.fixture(scope="module")
def instance_figures(corpus: Path, instance_folder: Path, tmp_path_factory) -> dict:
    out = tmp_path_factory.mktemp("figures")
    words = ["--data", str(corpus), "--max-records", "2", "--workers", "0", "--prompt-tokens", "3000"]
    main(["--tokenizer", str(instance_folder), "--out", str(out), *words])
    figures = json.loads((out / "fidelity.json").read_text())
    assert (out / "fidelity.txt").read_text() == table(figures)
    return figures


def test_tokens_that_do_not_tell_millivolts_are_judged_with_and_without_the_range(instance_figures: dict):
    told, given = instance_figures["distortion"], instance_figures["range_given"]["distortion"]
    assert given["prdn"] < 20 < told["prdn"]
    text = table(instance_figures)
    assert "2 recordings judged at 250 Hz; bpe at 125 Hz" in text
    worst = max(told["leads"], key=lambda lead: told["leads"][lead]["prdn"])
    assert told["worst_lead"] == worst and f"worst lead {worst} {told['leads'][worst]['prdn']:.1f} %" in text


def test_rate_is_counted_in_the_items_and_a_prompt_cuts_leads_or_time(instance_figures: dict, tokenizer_folder: Path):
    rate = instance_figures["rate"]
    assert rate["tokens_per_10_s"] == 12 * 1250 and rate["kbit_per_10_s"] == pytest.approx(15 * np.log2(4000))
    assert rate["tokens_per_10_s_p5_p95"] == [15000, 15000] and rate["codebook_size"] == 4000
    # 3000 tokens are two whole leads of 1250, and 500 samples of the third.
    assert rate["prompt"] == {"tokens": 3000, "leads": 3, "seconds": pytest.approx(4.0), "whole_ecgs": 0}

    codes = ECGTokenizer.from_pretrained(tokenizer_folder)  # a coarse code, then four of 64 ms
    item = np.zeros(codes.tokens_in(10))
    assert coverage(codes, item, 10, 10.0) == (12, pytest.approx(8 * 0.064))
    assert coverage(codes, item, 512, 10.0) == (12, 10.0), "padding of the last code shows nothing"


def test_the_probe_leaves_out_tokens_that_are_not_a_series(corpus: Path, instance_figures: dict):
    ref = next(iter(load_database(corpus).values()))
    measured = reconstruct(levels(125, "millivolts"), [ref], 0, "t", fs=REFERENCE_RATE)
    data = probe_data(levels(125, "millivolts"), measured, {ref.record_id: frozenset({"NORM"})}, seed=0)
    assert set(data.features) == {"raw", "reconstruction"} and data.labels.sum() == 1
    found = dict(auroc=0.8, ci95=[0.7, 0.9], minus_raw=-0.1, minus_raw_ci95=[-0.2, 0.0])
    probed = {"classes": ["NORM"], "records": [9, 9], "raw": found, "reconstruction": found}
    text = table({**instance_figures, "probe": probed})
    assert "codes           not probed: the tokens are not a series" in text and "reconstruction  0.800" in text
    comparison = compare({"a": {**instance_figures, "probe": probed}})
    assert [row["auroc_reconstruction"] for row in comparison["rows"]] == [0.8, None]
    assert "raw signals 0.800" in comparison_table(comparison)


def test_several_tokenizers_are_measured_on_the_same_recordings(
    measure, corpus: Path, tokenizer_folder: Path, instance_folder: Path, tmp_path: Path
):
    """A patient in the training of one of them is left out for all."""
    refs = [ref for ref in load_database(corpus).values() if ref.fold == 10]
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(tokenizer_folder, first)
    shutil.copytree(instance_folder, second)
    save_seen(first, refs[:2])
    save_seen(second, refs[2:4])
    out, printed = measure(first, second)
    again = {ref.patient_id for ref in refs[:4]}
    assert f"left out: {sum(ref.patient_id in again for ref in refs)} recordings" in printed
    comparison = json.loads((out / "comparison.json").read_text())
    assert comparison["records"] == 2 and comparison["reference_rate"] == 250
    assert [row["tokenizer"] for row in comparison["rows"]] == ["first", "second", "second, range given"]
    for name in ("first", "second"):
        assert {p.name for p in (out / name).iterdir()} == {"fidelity.json", "fidelity.txt", "fidelity.png"}
        figures = json.loads((out / name / "fidelity.json").read_text())
        row = next(row for row in comparison["rows"] if row["tokenizer"] == name)
        assert figures["records"] == 2 and row["prdn"] == figures["distortion"]["prdn"]
    told, given = comparison["rows"][1:]
    assert given["prdn"] < told["prdn"] and given["kbit_per_10_s"] == told["kbit_per_10_s"]
    text = (out / "comparison.txt").read_text()
    assert text in printed and f"{told['worst_lead']} {told['worst_lead_prdn']:.1f}" in text


def test_what_cannot_be_compared_is_one_line(measure, tokenizer_folder: Path, tmp_path: Path):
    ECGPatches(PatchConfig()).save_pretrained(tmp_path / "patches")
    with pytest.raises(UserError, match=r"--tokenizer .*patches: patches cannot be turned back into a signal") as error:
        measure(tokenizer_folder, tmp_path / "patches")
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="a folder is named twice"):
        measure(tokenizer_folder, tokenizer_folder)
    with pytest.raises(UserError, match="--prompt-tokens 0: give 1 or more"):
        measure(tokenizer_folder, words=("--prompt-tokens", "0"))


def test_names_grow_by_folders_above_until_they_differ():
    assert names_of([Path("/a/codes"), Path("/a/bpe")]) == ["codes", "bpe"]
    assert names_of([Path("/x/one/ecg_tokenizer"), Path("/x/two/ecg_tokenizer")]) == [
        "one-ecg_tokenizer",
        "two-ecg_tokenizer",
    ]
