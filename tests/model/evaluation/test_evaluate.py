"""Evaluation of a checkpoint folder through its entry point, with ranks, batches and kills."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import LEADS
from cardiolect.model.evaluation.result import check_result
from cardiolect.model.evaluation.tables import ecg_line
from cardiolect.model.llm.checkpoint_folder import fingerprint
from tests.helpers import ROOT
from tests.helpers.runs import finetune_lines, one_thread, pretrain_lines, run
from tests.helpers.wfdb_records import write

FLOORS = "no_ecg,other_ecg,silenced_leads,noise,reversed_leads"
MODELLED = ("with_ecg", *FLOORS.split(","))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, corpus, tokenizer_folder) -> Path:
    """A checkpoint trained on questions and reports, without any other file of its training."""
    folder = tmp_path_factory.mktemp("trained")
    pretrained = run("pretrain", folder, "pre", **pretrain_lines(corpus, tokenizer_folder))
    both = {
        f"{split.upper()}_DATA": f"{corpus}/questions/{split}.json,{corpus}/reports/{split}.json"
        for split in ("train", "valid")
    }
    lines = finetune_lines(corpus, pretrained) | both | {"TASKTYPE": "all", "TUNING": "full"}
    moved = tmp_path_factory.mktemp("elsewhere") / "llm"
    shutil.move(run("finetune", folder, "ft", **lines), moved)
    shutil.rmtree(folder)
    return moved


@pytest.fixture(scope="module")
def single(tmp_path_factory, corpus, tuned) -> Path:
    """OUTPUT_DIR of one evaluation on one rank."""
    folder = tmp_path_factory.mktemp("single")
    done = subprocess.run(evaluation(folder, corpus, tuned), **quiet())
    assert done.returncode == 0, done.stderr[-2000:]
    assert "signal-use gap" in done.stdout
    return folder


def evaluation(folder: Path, corpus: Path, checkpoint: Path, **values) -> list[str]:
    """The command of an evaluation that writes to ``folder``."""
    lines = {
        "TASKTYPE": "qa",
        "DATA_ROOT": corpus,
        "TEST_DATA": corpus / "questions/test.json",
        "CHECKPOINT": checkpoint,
        "CACHE_DIR": folder.parent / "cache",
        "MAX_NEW_TOKENS": 8,
        "MAX_SAMPLES": 61,
        "WORKERS": 0,
        "FLOORS": FLOORS,
        "BATCH_SIZE": 16,
        "BOOTSTRAP_RESAMPLES": 50,
        "PAGE_EXAMPLES": 4,
        "OUTPUT_DIR": folder,
        **values,
    }
    env_file = folder.parent / f"{folder.name}.env"
    env_file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    return [sys.executable, "run_eval.py", str(env_file)]


def quiet() -> dict:
    return {"cwd": ROOT, "capture_output": True, "text": True, "env": one_thread()}


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def assert_equal(folder: Path, single: Path) -> None:
    """Checks for the same samples in the same order with the same texts and scores; probabilities up to rounding."""
    for one, other in zip(rows(single), rows(folder), strict=True):
        for key in ("probabilities", "yes_margins"):
            assert one.pop(key, {}) == pytest.approx(other.pop(key, {}), abs=2e-4)
        assert one == other
    results = [json.loads((each / "result.json").read_text()) for each in (single, folder)]
    for key in ("conditions", "gap", "groups", "checkpoint", "data", "samples"):
        assert results[0][key] == results[1][key]


@pytest.mark.parametrize("values", [{"BATCH_SIZE": 5, "NUM_PROCESSES": 2}, {"BATCH_SIZE": 1}])
def test_ranks_and_batches_change_nothing(tmp_path, corpus, tuned, single, values):
    done = subprocess.run(evaluation(tmp_path / "other", corpus, tuned, **values), **quiet())
    assert done.returncode == 0, done.stderr[-2000:]
    assert_equal(tmp_path / "other", single)
    found = rows(single)
    assert len({row["sample_id"] for row in found}) == len(found) == 61
    assert all(set(row["predictions"]) == {*MODELLED, "majority", "majority_per_question"} for row in found)


def test_a_killed_evaluation_resumes_where_it_stopped(tmp_path, corpus, tuned, single):
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        evaluation(folder, corpus, tuned, BATCH_SIZE=1),
        cwd=ROOT,
        env=one_thread(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    journal = folder / "unfinished/rank-0.jsonl"
    deadline = time.time() + 120
    while time.time() < deadline and not (journal.is_file() and journal.read_bytes().count(b"\n") > 80):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = journal.read_text().count("\n") - 1
    assert 80 <= kept < 6 * 61 and not (folder / "result.json").exists()
    with journal.open("a") as file:
        file.write('["with_ecg", "cut o')  # the kill came in the middle of a line
    done = subprocess.run(evaluation(folder, corpus, tuned, NUM_PROCESSES=2), **quiet())
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(re.search(r"resuming after (\d+) answers", done.stdout).group(1)) == kept
    assert_equal(folder, single)
    assert not journal.parent.exists()


def test_answers_of_other_settings_are_deleted(tmp_path, corpus, tuned, single):
    folder = tmp_path / "other"
    (folder / "unfinished").mkdir(parents=True)
    stale = '["of another checkpoint"]\n["with_ecg", "' + rows(single)[0]["sample_id"] + '", "stale", 1.0]\n'
    (folder / "unfinished/rank-0.jsonl").write_text(stale)
    done = subprocess.run(evaluation(folder, corpus, tuned), **quiet())
    assert done.returncode == 0 and "deleted answers of another" in done.stdout, done.stderr[-2000:]
    assert_equal(folder, single)


def test_a_result_has_its_provenance_and_identifies_no_patient(single, corpus):
    result = json.loads((single / "result.json").read_text())
    assert result["checkpoint"]["fingerprint"] and result["checkpoint"]["ecg_tokenizer_fingerprint"]
    assert result["data"]["texts_fingerprint"] and result["data"]["codes_fingerprint"]
    assert result["versions"]["torch"] and result["settings"]["seed"] == 42 and result["metrics"]["quirks"]
    patients = {int(number) for row in rows(single) for number in row["patients"]}
    assert patients == set(range(result["patients"])), "numbers in order of appearance, no identifiers"
    done = subprocess.run([sys.executable, "run_eval.py", "--check", str(single / "result.json")], **quiet())
    assert done.returncode == 0 and "follows from its predictions" in done.stdout, done.stderr


def test_a_result_says_what_an_ecg_takes_in_a_prompt_and_how_much_of_it_is_shown(tmp_path, single):
    result = json.loads((single / "result.json").read_text())
    assert result["data"]["ecgs"] == {
        "tokens": {"median": 197, "min": 197, "max": 197},
        "leads": {"median": 12, "min": 12, "max": 12},
        "seconds": {"median": 10.048, "min": 10.048, "max": 10.048},  # the last frame reaches beyond the end
    }
    line = "an ECG takes 197 tokens, which show 12 leads and 10.0 s\n"
    assert line in (single / "scores.txt").read_text()
    assert set(result["answer_seconds"]) == set(MODELLED) and min(result["answer_seconds"].values()) > 0
    assert (
        ecg_line(
            {
                "tokens": {"median": 199.5, "min": 90, "max": 400},
                "leads": {"median": 12, "min": 3, "max": 12},
                "seconds": {"median": 10, "min": 0.5, "max": 10},
            }
        )
        == "an ECG takes 199.5 tokens (median; 90 to 400), which show 12 leads (at least 3) and 10.0 s (at least 0.5 s)"
    )
    older = shutil.copytree(single, tmp_path / "older")
    (older / "scores.txt").write_text((single / "scores.txt").read_text().replace(line, ""))
    del result["data"]["ecgs"], result["answer_seconds"]
    (older / "result.json").write_text(json.dumps(result))
    assert check_result(older) == []


def test_a_result_counts_recordings_that_are_not_as_recorded(tmp_path, corpus, tuned):
    copied = shutil.copytree(corpus, tmp_path / "corpus")
    questions = json.loads((copied / "questions/test.json").read_text())
    records = sorted({number for question in questions for number in question["ecg_id"]})[:2]
    railed, short = (copied / f"records500/00000/{number:05d}_hr" for number in records)
    signal = read_record(railed).signal
    signal[LEADS.index("V2"), 1000:2500] = 5.1
    write(railed.parent, signal, name=railed.name)
    write(short.parent, read_record(short).signal[:8], LEADS[:8], name=short.name)
    values = {"TEST_DATA": copied / "questions/test.json", "CACHE_DIR": tmp_path / "cache", "MAX_SAMPLES": 0}
    done = subprocess.run(evaluation(tmp_path / "out", copied, tuned, FLOORS="", MAX_NEW_TOKENS=1, **values), **quiet())
    assert done.returncode == 0, done.stderr[-2000:]
    marked = json.loads((tmp_path / "out/result.json").read_text())["data"]["marked"]
    assert marked == {
        "recordings": len({number for question in questions for number in question["ecg_id"]}),
        "absent": 1,
        "computed": 0,
        "masked": 1,
        "contradicts": 0,
    }
    line = "1 lack leads, 1 have stretches without a voltage, which are masked"
    assert line in (tmp_path / "out/scores.txt").read_text()


def test_everything_that_determines_an_answer_is_in_the_fingerprint(tmp_path, tuned):
    copy = shutil.copytree(tuned, tmp_path / "llm")
    assert fingerprint(copy) == fingerprint(tuned)
    for name in ("config.json", "tokenizer.json", "ecg_tokenizer/config.json"):
        before = fingerprint(copy)
        (copy / name).write_text((copy / name).read_text() + " ")
        assert fingerprint(copy) != before, name


def test_a_changed_prediction_is_found(tmp_path, single):
    folder = shutil.copytree(single, tmp_path / "copy")
    found = rows(folder)
    row = next(row for row in found if row["predictions"]["with_ecg"] != row["answers"][0])
    row["predictions"]["with_ecg"] = row["answers"][0]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    done = subprocess.run([sys.executable, "run_eval.py", "--check", str(folder)], **quiet())
    assert done.returncode == 1 and "conditions.with_ecg.em" in done.stdout


def test_patients_seen_in_training_are_counted_and_nothing_is_claimed(tmp_path, corpus, tuned):
    """Half of these questions are about training patients, and the page must not take memory for reading."""
    few = {"MAX_SAMPLES": 40, "FLOORS": "other_ecg", "PAGE_EXAMPLES": 0, "KEEP_SEEN_PATIENTS": "true"}
    both = f"{corpus}/questions/train.json,{corpus}/questions/test.json"
    done = subprocess.run(evaluation(tmp_path / "seen", corpus, tuned, TEST_DATA=both, **few), **quiet())
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((tmp_path / "seen/result.json").read_text())
    counts = result["seen"]
    assert counts["known"] and 0 < counts["patients"] <= counts["samples"] <= 40
    words = f"Training has seen {counts['patients']} of these {result['patients']} patients"
    for text in (done.stdout, *((tmp_path / "seen" / name).read_text() for name in ("scores.txt", "result.html"))):
        assert words in text and "the answers depend on the ECG" not in text

    left_out = few | {"KEEP_SEEN_PATIENTS": "false"}
    done = subprocess.run(evaluation(tmp_path / "unseen", corpus, tuned, TEST_DATA=both, **left_out), **quiet())
    assert done.returncode == 2 and "more than MAX_LEFT_OUT=0.05" in done.stderr and done.stderr.count("\n") == 1
    left_out["MAX_LEFT_OUT"] = 1
    done = subprocess.run(evaluation(tmp_path / "unseen", corpus, tuned, TEST_DATA=both, **left_out), **quiet())
    counts = json.loads((tmp_path / "unseen/result.json").read_text())["seen"]
    assert (counts["samples"], counts["patients"]) == (0, 0) and counts["left_out_patients"] > 0
    assert "WARNING" not in (tmp_path / "unseen/scores.txt").read_text()
    assert 0.05 < counts["left_out_share"] < 1
    for name in ("scores.txt", "result.html"):
        assert f"({counts['left_out_share']:.1%} of the samples)" in (tmp_path / "unseen" / name).read_text()


def test_a_checkpoint_that_does_not_say_what_it_has_seen_is_not_known_to_be_tested_fairly(tmp_path, corpus, tuned):
    copy = shutil.copytree(tuned, tmp_path / "llm")
    (copy / "seen_recordings.json").unlink()
    few = {"MAX_SAMPLES": 10, "FLOORS": "other_ecg", "PAGE_EXAMPLES": 0}
    done = subprocess.run(evaluation(tmp_path / "out", corpus, copy, **few), **quiet())
    assert done.returncode == 2 and "its seen_recordings.json is missing" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "out/result.json").exists()
    few["ACCEPT_UNKNOWN_LEAKAGE"] = "true"
    done = subprocess.run(evaluation(tmp_path / "out", corpus, copy, **few), **quiet())
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / "out/result.json").read_text())["seen"]["known"] is False
    for text in (done.stdout, *((tmp_path / "out" / name).read_text() for name in ("scores.txt", "result.html"))):
        assert "not known whether training has seen these patients (leakage unknown)" in text
        assert "the answers depend on the ECG" not in text


def test_reports_have_a_constant_for_words_and_one_for_content(tmp_path, corpus, tuned):
    few = {"TASKTYPE": "report", "MAX_SAMPLES": 10, "FLOORS": "none", "PAGE_EXAMPLES": 0}
    reports = corpus / "reports/test.json"
    done = subprocess.run(evaluation(tmp_path / "out", corpus, tuned, TEST_DATA=reports, **few), **quiet())
    assert done.returncode == 0, done.stderr[-2000:]
    training = {item["report"] for item in json.loads((corpus / "reports/train.json").read_text())}
    for condition in ("majority", "majority_content"):
        constant = {row["predictions"][condition] for row in rows(tmp_path / "out")}
        assert len(constant) == 1 and constant < training, "chosen on training texts"


def test_unknown_floors_are_refused_by_name(tmp_path, corpus, tuned):
    done = subprocess.run(evaluation(tmp_path / "out", corpus, tuned, FLOORS="no_egc"), **quiet())
    assert done.returncode == 2 and "FLOORS=no_egc" in done.stderr and done.stderr.count("\n") == 1
