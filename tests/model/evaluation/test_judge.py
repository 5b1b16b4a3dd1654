"""A model on a server judges the texts of a result."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cardiolect.model.evaluation import judge
from cardiolect.model.evaluation.samples import Sample, write_samples
from cardiolect.utils.chat_client import READS, TRIES
from cardiolect.utils.metrics.ecgbench import ARENA, JudgeEndpoint
from tests.helpers import ROOT
from tests.helpers.commands import refused
from tests.helpers.judge import ChatServer, verdict
from tests.helpers.servers import serving


@pytest.fixture
def server(monkeypatch) -> Iterator[ChatServer]:
    with serving(ChatServer()) as served:
        for name, value in {"URL": served.url, "MODEL": "judge", "KEY": "secret-key"}.items():
            monkeypatch.setenv(f"JUDGE_{name}", value)
        yield served


def report(number: int, patient: int | None = None, **predictions: str) -> Sample:
    patients = (number if patient is None else patient,)
    return Sample(
        f"reports:{number}",
        (f"p77/rec{number}",),
        patients,
        "report",
        "",
        (f"truth {number}",),
        predictions={"with_ecg": f"said {number}", **predictions},
    )


@pytest.fixture
def result(tmp_path):
    """The folder of a result with these samples."""

    def put(*samples: Sample, task: str = "report") -> Path:
        folder = tmp_path / "result"
        folder.mkdir(exist_ok=True)
        digest = write_samples(folder / "predictions.jsonl", samples)
        settings = {"seed": 3, "bootstrap_resamples": 50}
        parts = {"metrics": {}, "conditions": {}, "settings": settings, "predictions": {"sha256": digest}}
        document = {"task": task, **parts}
        (folder / "result.json").write_text(json.dumps(document))
        return folder

    return put


def judged(folder: Path, *options) -> dict:
    judge.main([str(folder), *map(str, options)])
    return json.loads((folder / "judge.json").read_text())


def test_reports_of_a_result_are_judged(server, result, capsys):
    server.plans = {"said 0": [verdict(6, 7, 8)], "said 1": [verdict(9, 9, 9)], "said 2": [verdict(0, 0, 10)]}
    folder = result(report(0, patient=0), report(1, patient=0), report(2))
    found = judged(folder)
    only = found["conditions"]["with_ecg"]
    assert only["items"] == {"reports:0": 70, "reports:1": 90, "reports:2": pytest.approx(100 / 3)}
    assert only["score"] == pytest.approx((70 + 90 + 100 / 3) / 3) and only["patients"] == 2
    low, high = only["ci95"]
    assert low == pytest.approx(100 / 3) and high == pytest.approx(80)  # the means of either patient
    assert only["axes"] == {"Diagnosis": 5, "Waveform": pytest.approx(16 / 3), "Rhythm": 9}
    assert found["judge"]["model"] == "judge" and found["judge"]["served"] == ["judge-2026"]
    assert len(found["judge"]["prompt_sha256"]) == len(found["predictions_sha256"]) == 64 and "gap" not in found
    said = capsys.readouterr().out
    assert said.index("3 of 3 reports under with_ecg: 3 requests") < said.index("judge.json is in")
    assert "64.4" in said


def test_only_texts_leave_the_machine(server, result):
    judged(result(report(0)))
    _, body, headers = server.asked[0]
    assert json.loads(body["messages"][1]["content"]) == {"reference": "truth 0", "answer": "said 0"}
    assert not any(name in json.dumps([body, headers]) for name in ("reports:0", "p77", "rec0", "patient"))


def test_floors_are_judged_too_and_give_the_gap(server, result, capsys):
    points = {"said": 8, "blind": 3, "other": 5}
    server.reply = lambda answer: verdict(*[points[answer.split()[0]]] * 3)
    folder = result(*(report(k, no_ecg="blind", other_ecg=f"other {k % 2}") for k in range(4)))
    found = judged(folder, "--floors")
    assert {name: of["score"] for name, of in found["conditions"].items()} == {
        "with_ecg": 80,
        "no_ecg": 30,
        "other_ecg": 50,
    }
    assert found["gap"] == {"value": 30, "ci95": [30, 30], "best_floor": "other_ecg", "samples": 4}
    said = capsys.readouterr().out
    assert "4 of 4 reports under with_ecg, no_ecg, other_ecg: 12 requests" in said
    assert "gap by the judge: +30.0 points [30.0, 30.0] against the best floor, other_ecg" in said
    assert len(server.asked) == 12  # each reference is another
    alone = judged(folder, "--condition", "no_ecg")
    assert alone["conditions"].keys() == {"no_ecg"} and len(server.asked) == 12


def test_the_gap_is_over_units_judged_under_all_conditions(server, result):
    server.reply = lambda answer: verdict(*[9 if answer == "said 1" else 2] * 3)
    server.plans = {"said 0": ["?"] * READS}
    found = judged(result(report(0, no_ecg="blind"), report(1, no_ecg="blind")), "--floors")
    assert found["gap"]["value"] == pytest.approx(70) and found["gap"]["samples"] == 1
    assert found["conditions"]["no_ecg"]["judged"] == 2


def turn(name: str, number: int, patient: int = 0) -> Sample:
    return Sample(
        f"{name}:{number}",
        ("rec",),
        (patient,),
        "instruct",
        f"q{number}",
        (f"r{number}",),
        predictions={"with_ecg": f"{name} {number}"},
    )


def test_turns_of_a_conversation_are_judged_together(server, result, capsys):
    server.reply = lambda answer: verdict(9, 3, 6, rubric=ARENA)
    turns = [
        turn("chat:0", 1),
        turn("chat:0", 0),
        turn("chat:1", 0, 1),
        turn("chat:2", 1, 2),
    ]  # the last lacks its first
    found = judged(result(*turns, task="instruct"))
    assert found["rubric"] == "arena" and found["incomplete_conversations"] == 1
    assert found["conditions"]["with_ecg"]["items"] == {"chat:0": 60, "chat:1": 60}
    sent = [json.loads(body["messages"][1]["content"])["turns"] for _, body, _ in server.asked]
    assert [{"question": f"q{k}", "reference": f"r{k}", "answer": f"chat:0 {k}"} for k in range(2)] in sent
    assert "1 conversations lack a turn and are left out" in capsys.readouterr().out


def test_a_limit_draws_the_same_units_and_a_higher_one_requests_only_the_rest(server, result):
    folder = result(*(report(k) for k in range(12)))
    first = judged(folder, "--limit", 5)["conditions"]["with_ecg"]["items"]
    assert len(first) == 5 and list(first) != [f"reports:{k}" for k in range(5)]
    assert judged(folder, "--limit", 5)["conditions"]["with_ecg"]["items"] == first and len(server.asked) == 5
    assert judged(folder)["samples"] == 12 and len(server.asked) == 12


@pytest.mark.parametrize("act", [(500, {"Retry-After": "0"}), (429, {"Retry-After": "0"}), "drop", "half", "late"])
def test_temporary_failures_are_retried(server, result, monkeypatch, act):
    hasty = JudgeEndpoint(server.url, "judge", timeout=0.3, pause=0.01)
    monkeypatch.setattr(JudgeEndpoint, "from_environment", lambda: hasty)
    server.plans = {"said 0": [act]}
    assert judged(result(report(0)))["conditions"]["with_ecg"]["judged"] == 1
    assert server.counts() == {"said 0": 2}


def test_failures_are_reported_and_the_same_command_requests_them_again(server, result, capsys, monkeypatch):
    monkeypatch.setattr("cardiolect.utils.chat_client.MAX_WAIT", 0.01)
    server.plans = {"said 0": ["Diagnosis: 8/10"] * READS, "said 1": [(503, {})] * TRIES, "said 2": [verdict(9, 9, 9)]}
    folder = result(*(report(k) for k in range(3)))
    found = judged(folder)["conditions"]["with_ecg"]
    assert (found["n"], found["judged"], found["malformed"], found["score"]) == (3, 1, 1, 90)
    assert found["failed"].keys() == {"reports:0", "reports:1"}
    assert "2 not judged and not in the means; the same command requests them again" in capsys.readouterr().out
    again = judged(folder)["conditions"]["with_ecg"]
    assert (again["judged"], again["failed"]) == (3, {}) and server.counts()["said 2"] == 1


def test_a_killed_command_resumes_where_it_stopped(server, result):
    folder = result(*(report(k) for k in range(30)))
    server.delay, path = 0.1, folder / "judge" / "verdicts.jsonl"
    run = subprocess.Popen(
        [sys.executable, "-m", "cardiolect", "judge", str(folder), "--threads", "2"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(1200):
        if path.is_file() and path.read_bytes().count(b"\n") >= 6:
            break
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    kept, asked = path.read_bytes().count(b"\n"), len(server.asked)
    assert 6 <= kept < 30 and not (folder / "judge.json").exists()
    server.delay = 0
    assert judged(folder)["conditions"]["with_ecg"]["judged"] == 30
    assert len(server.asked) - asked == 30 - kept


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        ([report(0)], ["--condition", "no_ecg"], "condition no_ecg is not in all samples; there are with_ecg"),
        ([report(0)], ["--floors"], "has no floors to judge; evaluate with FLOORS=no_ecg,other_ecg"),
        ([report(0)], ["--rubric", "arena"], "rubric arena is for samples of task instruct"),
        ([turn("chat", 0)], [], "rubric report is for samples of task report"),
        ([turn("chat", 1)], ["--rubric", "arena"], "every conversation lacks a turn"),
        (
            [Sample("a", ("r",), (0,), "instruct", "q", ("r",), predictions={"with_ecg": "x"})],
            ["--rubric", "arena"],
            "sample a does not end in the number of its turn",
        ),
        ([report(0)], ["--limit", -1], "--limit -1"),
        ([report(0)], ["--threads", 0], "at least one thread"),
        ([Sample("a", ("r",), (0,), "report", "", (" ",), predictions={"with_ecg": "x"})], [], "reference is empty"),
    ],
)
def test_results_that_cannot_be_judged_give_a_one_line_error(server, result, capsys, samples, options, message):
    assert message in refused(judge.main, [result(*samples), *options], capsys)
    assert server.asked == []


def test_judges_that_do_not_work_give_a_one_line_error(server, result, capsys, monkeypatch, tmp_path):
    folder = result(report(0))
    server.plans = {"said 0": [(401, {})]}
    said = refused(judge.main, [folder], capsys)
    assert "returned 401; check JUDGE_KEY" in said and "secret" not in said
    server.plans = {"said 0": ["?"] * READS}
    assert "none of 1 reports was judged: the reply is not JSON" in refused(judge.main, [folder], capsys)
    assert "run_eval.py writes result.json" in refused(judge.main, [tmp_path], capsys)
    monkeypatch.delenv("JUDGE_MODEL")
    assert "the judge needs JUDGE_MODEL in the environment" in refused(judge.main, [folder], capsys)
