"""The baseline that benchmarks compare with is the architecture that was published."""

import json
import sys

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter1d

from bench import answer_latency, encoders, first_answer, lora_step, scale, serving, training_step
from bench.baselines.heartllm_tokenizer import HeartLLMTokenizer, z_score
from bench.finding_spans import FindingSpans, overlap_share
from bench.scaling import TASKS, estimate
from bench.sim_to_real import FINDINGS, real_labels, scores, simulated_labels
from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.ecgqa.findings import ECTOPIES
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.simulator.patients import draw_patient
from cardiolect.data_provider.simulator.truth import Truth
from cardiolect.data_provider.simulator.varied.render import clean_varied
from cardiolect.utils.errors import UserError


def test_the_rebuilt_heartllm_tokenizer_has_its_size_and_its_rate():
    tokenizer = HeartLLMTokenizer().eval()

    def size(*parts: torch.nn.Module) -> int:
        return sum(p.numel() for part in parts for p in part.parameters())

    assert size(tokenizer.encoder, tokenizer.to_code) == 30_692
    assert size(tokenizer.decoder, tokenizer.from_code) == 4_139_916
    with torch.inference_mode():
        codes = tokenizer.encode(z_score(torch.randn(2, 12, 5000)))
        assert codes.shape == (2, 313) and codes.min() >= 0 and codes.max() < 6**4
        assert tokenizer(torch.randn(1, 12, 5000)).shape == (1, 12, 5000)


@pytest.mark.parametrize(
    "bench, options, message",
    [
        (
            answer_latency,
            ["--checkpoint", "{checkpoint}", "--device", "cpu", "--tokens", "1", "--questions", "1"],
            "two tokens",
        ),
        (serving, ["{checkpoint}", "{empty}"], "no WFDB recordings"),
    ],
)
def test_a_benchmark_that_can_measure_nothing_says_why(
    bench, options, message, checkpoint_folder, tmp_path, monkeypatch
):
    filled = [option.format(checkpoint=checkpoint_folder, empty=tmp_path) for option in options]
    monkeypatch.setattr(sys, "argv", ["bench", *filled, "--threads", "1"])
    with pytest.raises(UserError, match=message):
        bench.main()


def test_the_data_side_at_scale_is_smaller_and_faster_than_the_one_before(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench", "--questions", "6000", "--threads", "1", "--out", str(tmp_path)])
    monkeypatch.setattr(scale, "SHAPES", {"short": (200, 100)})
    monkeypatch.setattr(scale, "WAIT", 0.1)
    scale.main()
    rows = json.loads((tmp_path / "scale.json").read_text())["rows"]
    assert len(rows) == 5 and all(row["before"] > 0 for row in rows)
    ratios = {row["what"].split()[0]: row["ratio"] for row in rows[:4]}
    assert ratios["start"] > 2 and ratios["reading"] > 2


def test_a_command_starts_faster_than_when_it_imported_everything(checkpoint_folder, record, tmp_path, monkeypatch):
    given = ["--checkpoint", str(checkpoint_folder), "--record", record, "--runs", "1", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", ["bench", *given, "--out", str(tmp_path)])
    first_answer.main()
    rows = {row["part"]: row for row in json.loads((tmp_path / "first_answer.json").read_text())["rows"]}
    parts = [rows[part]["now (s)"] for part in first_answer.PARTS]
    assert min(parts) >= 0 and sum(parts) == pytest.approx(rows["all"]["now (s)"])
    assert rows["all"]["ratio"] > 1.2
    assert rows["a mistake in an env file"]["ratio"] > 2 and rows["cardiolect tokens"]["ratio"] > 1


def test_a_corpus_is_estimated_from_one_rank_and_from_what_ranks_lose():
    rows = [
        {"what": task, "ranks": ranks, "ECGs/s": rate, "efficiency": efficiency}
        for task in TASKS
        for ranks, rate, efficiency in ((1, 10.0, 1.0), (2, 16.0, 0.8))
    ]
    one, eight = (r for r in estimate(rows, node_ranks=4) if r["one pass"] == "train the tokenizer")
    assert one["hours, no loss"] == pytest.approx(800_000 / (10 * 4) / 3600)
    assert one["hours"] == pytest.approx(one["hours, no loss"] / 0.8)
    assert eight["ranks"] == 32 and eight["hours"] == pytest.approx(one["hours"] / 8)


def test_readings_of_real_recordings_are_scored_where_labels_say_something():
    row = {"scp_codes": "{'IMI': 35.0, 'AFIB': 0.0, 'CLBBB': 100.0}", "heart_axis": "ALAD"}
    labels = dict(zip(FINDINGS, real_labels(row, rate=60.7), strict=True))
    stated = {name for name, value in labels.items() if value == 1}
    assert stated == {"atrial fibrillation", "left bundle branch block", "left axis"}
    assert {name for name, value in labels.items() if np.isnan(value)} == {"slow", "inferior infarction"}

    for i in range(40):
        truth, _ = clean_varied(1, i, draw_patient(1, i, 1))
        labels = dict(zip(FINDINGS, simulated_labels(truth), strict=True))
        assert (labels["atrial fibrillation"] == 1) == ("AFIB" in truth.codes)
        assert np.isnan(labels["inferior infarction"]) == ("IMI" in truth.open)

    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=(50, len(FINDINGS))).astype(float)
    truth[:10, 0] = np.nan
    row = scores(np.where(truth == 1, 1.0, -1.0), truth, "x")[0]
    assert row["of"] == 40 and row["balanced"] == row["AUROC"] == 1


def test_readings_of_real_recordings_have_intervals_over_patients_and_means_of_findings_that_are_not_rare():
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=(60, len(FINDINGS))).astype(float)
    truth[:, 1], truth[:, 2] = 0, np.arange(60) < 8  # 8 recordings of 4 patients
    *rows, mean = scores(np.where(truth == 1, 1.0, -1.0), truth, "x", np.arange(60) // 2)
    assert [row["finding"] for row in rows] == list(FINDINGS), "every row is shown"
    assert (rows[1]["AUROC"], rows[2]["in mean"], rows[3]["in mean"]) == (None, "no", "yes")
    assert mean["finding"] == f"mean of {len(FINDINGS) - 2}, 2 left out" and mean["balanced"] == 1
    low, high = map(float, rows[2]["AUROC 95 %"].split("-"))
    assert low < 0.9 and high == 1


def test_the_places_of_simulated_findings_are_where_the_recording_shows_them(corpus, tmp_path):
    spans, refs = FindingSpans(corpus), load_database(corpus)
    truths = [Truth.from_json(json.loads(line)) for line in (corpus / "truth.jsonl").read_text().splitlines()]
    seconds = np.arange(5000) / 500
    millis = np.stack([seconds, seconds + 0.002], axis=1)
    wide = noisy = 0
    for truth in truths:
        ref = refs[str(truth.record_id)]
        record = read_record(ref)
        if truth.ectopy == ECTOPIES[1] and not truth.noise and truth.conduction is None:
            inside = overlap_share(millis, spans.find(truth.ectopy, ref, record)) > 0
            slow = np.abs(uniform_filter1d(record.signal, 50, axis=1)).max(axis=0)  # what is left of broad complexes
            assert 0.05 < inside.mean() < 0.4 and slow[inside].max() > slow[~inside].max()
            wide += 1
        if list(truth.noise) == ["burst noise"]:
            inside = overlap_share(millis, spans.find("burst noise", ref, record)) > 0
            fast = np.abs(np.diff(record.signal, n=2, prepend=0, append=0)).mean(axis=0)
            assert 0 < inside.mean() < 0.4 and fast[inside].mean() > 5 * fast[~inside].mean()
            noisy += 1
        elif "burst noise" in truth.noise:
            assert spans.find("burst noise", ref, record) == []
    assert wide and noisy

    record.signal[0, 100] += 1
    with pytest.raises(UserError, match="not what this version"):
        spans.find("burst noise", ref, record)
    (tmp_path / "corpus.json").write_text('{"records": 9, "seed": 1, "varied": 1}')
    with pytest.raises(UserError, match="varied corpus"):
        FindingSpans(tmp_path)


def test_steps_of_adapters_of_token_rows_are_compared_at_equal_losses(tmp_path, monkeypatch, capsys):
    options = ["--rows", "2000", "--width", "16", "--tokens", "32", "--steps", "1", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", ["bench", *options, "--out", str(tmp_path)])
    lora_step.main()
    rows = json.loads((tmp_path / "lora_step.json").read_text())["rows"]
    assert [row["model"] for row in rows] == ["no new rows", "PEFT", "ours"] * 2
    assert len({round(row["loss"], 4) for row in rows[:3]}) == 1 and rows[0]["ratio of step"] == 1


def test_training_steps_are_compared_at_equal_losses(tmp_path, monkeypatch, capsys):
    options = ["--ecgs", "2", "--questions", "2", "--frames", "20", "--seconds", "0", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", ["bench", *options, "--out", str(tmp_path)])
    training_step.main()
    rows = json.loads((tmp_path / "training_step.json").read_text())["rows"]
    assert [row["with"] for row in rows] == ["neither", "head in chunks", "neither", "head in chunks", "both"]
    assert len({round(row["loss"], 4) for row in rows[:2]}) == 1
    assert all(row["loss"] == pytest.approx(rows[0]["loss"], rel=0.01) for row in rows[2:])


def test_encoders_are_timed_against_codes_in_the_same_run(tmp_path, monkeypatch, capsys):
    options = ["--encoders", "s4,xresnet101,picture", "--seconds", "0", "--threads", "1", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["bench", *options])
    monkeypatch.setattr(encoders, "ECGS", 1)
    encoders.main()
    rows = json.loads((tmp_path / "encoders.json").read_text())["rows"]
    assert [row["representation"] for row in rows] == ["codes", "s4", "s4, small", "xresnet101", "picture"]
    assert rows[0]["ratio to codes"] == 1 and [row["rows"] for row in rows[1:]] == [313, 313, 79, 196]
    assert rows[1]["parameters"] > rows[2]["parameters"] and all(row["ECGs/s"] > 0 for row in rows)
    monkeypatch.setattr(sys, "argv", ["bench", "--encoders", "s5"])
    with pytest.raises(UserError, match="--encoders s5: unknown; choose from s4"):
        encoders.main()
