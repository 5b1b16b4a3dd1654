"""The judge of ECGBench's reports and arena, against an endpoint that fails as endpoints do."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from cardiolect.utils import chat_client
from cardiolect.utils.chat_client import MOST_UNREACHABLE, READS, TRIES
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.ecgbench import ARENA, REPORT, Judge, JudgeEndpoint
from tests.helpers import ROOT
from tests.helpers.judge import ChatServer, verdict
from tests.helpers.servers import serving


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serving(ChatServer()) as served:
        yield served


def reports(*answers: str) -> list[dict]:
    return [{"id": f"patient-{i}", "reference": "AF", "answer": it, "patient": "Doe"} for i, it in enumerate(answers)]


@pytest.fixture
def judge(server, tmp_path) -> Callable[..., dict]:
    def ask(items, rubric=REPORT, *, model="judge", timeout=5.0, pause=0.01) -> dict:
        endpoint = JudgeEndpoint(server.url, model, "secret-key", timeout=timeout, pause=pause)
        return Judge(rubric, endpoint, tmp_path / "verdicts.jsonl").score(items)

    return ask


def test_scores_are_ten_times_the_mean_of_the_axes(server, judge):
    server.plans = {"a": [verdict(6, 7, 8)], "b": [verdict(0, 0, 10)]}
    found = judge(reports("a", "b"))
    assert found["items"] == {"patient-0": 70, "patient-1": pytest.approx(100 / 3)}
    assert found["score"] == pytest.approx((70 + 100 / 3) / 2)
    assert found["axes"] == {"Diagnosis": 3, "Waveform": 3.5, "Rhythm": 9}
    assert (found["n"], found["judged"], found["malformed"], found["failed"]) == (2, 2, 0, {})


def test_the_judge_sees_question_reference_and_answer_and_nothing_else(server, judge):
    judge([{**reports("b")[0], "question": "Report."}])
    _, body, headers = server.asked[0]
    assert json.loads(body["messages"][1]["content"]) == {"question": "Report.", "reference": "AF", "answer": "b"}
    assert "patient-0" not in json.dumps(body) and "Doe" not in json.dumps(body)
    assert body["temperature"] == 0 and body["response_format"] == {"type": "json_object"}
    assert all(axis in body["messages"][0]["content"] for axis in ("Diagnosis", "Waveform", "Rhythm"))
    assert headers["Authorization"] == "Bearer secret-key"


def test_arena_sends_a_conversation_at_once(server, judge):
    server.reply = lambda answer: verdict(9, 3, 6, rubric=ARENA)
    turns = [{"question": f"q{k}", "reference": f"r{k}", "answer": f"a{k}", "patient": "Doe"} for k in range(2)]
    found = judge([{"id": 7, "turns": turns}], ARENA)
    assert found["axes"] == {"Accuracy": 9, "Completeness": 3, "Instruction Adherence": 6}
    assert found["items"] == {"7": 60}
    sent = json.loads(server.asked[0][1]["messages"][1]["content"])
    assert sent == {"turns": [{"question": f"q{k}", "reference": f"r{k}", "answer": f"a{k}"} for k in range(2)]}


@pytest.mark.parametrize("act", [(500, {}), (429, {"Retry-After": "0"}), (503, {}), "drop", "half", "late"])
def test_what_may_pass_is_asked_again(server, judge, act):
    server.plans = {"a": [act, act]}
    found = judge(reports("a", "b"), timeout=0.3)
    assert found["failed"] == {} and found["judged"] == 2
    assert server.counts() == {"a": 3, "b": 1}


def test_the_server_says_how_long_to_wait_within_bounds(server, judge, monkeypatch):
    server.plans = {"a": [(429, {"Retry-After": "1"})]}
    judge(reports("a"))
    assert server.times[1] - server.times[0] >= 1
    monkeypatch.setattr(chat_client, "MAX_WAIT", 0.01)
    server.plans = {"b": [(429, {"Retry-After": "3600"})]}
    assert judge(reports("b"))["judged"] == 1


def test_what_does_not_pass_fails_by_name_and_is_asked_again_next_time(server, judge):
    server.plans = {"a": [(500, {})] * TRIES, "b": [(400, {})]}
    found = judge(reports("a", "b", "c"))
    assert found["failed"] == {
        "patient-0": f"the server returned 500, {TRIES} times",
        "patient-1": "the server returned 400",
    }
    assert (found["n"], found["judged"], found["malformed"], found["score"]) == (3, 1, 0, 70)
    again = judge(reports("a", "b", "c"))
    assert (again["judged"], again["failed"]) == (3, {})
    assert server.counts() == {"a": TRIES + 1, "b": 2, "c": 1}


GOOD = json.loads(verdict(6, 7, 8))


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("Diagnosis: 8/10", "not JSON"),
        ("", "not JSON"),
        (verdict(6, 7, 8)[:-5], "not JSON"),
        ("[1, 2]", "no Diagnosis"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "Rhythm"}), "no Rhythm"),
        (json.dumps({**GOOD, "Rhythm": 8}), "no Rhythm"),
        (json.dumps({**GOOD, "Rhythm": {"Score": 8}}), "Rhythm has no explanation"),
        (verdict(11, 7, 8), "score of Diagnosis is not a number from 0 to 10"),
        (verdict(6, -1, 8), "score of Waveform is no"),
        (verdict(6, 7, "8"), "score of Rhythm is no"),
        (verdict(6, 7, True), "score of Rhythm is no"),
        (verdict(6, 7, None), "score of Rhythm is no"),
        (verdict(6, 7, float("nan")), "score of Rhythm is no"),
    ],
)
def test_malformed_replies_are_retried_and_then_counted_never_guessed(server, judge, reply, why):
    server.plans = {"a": [reply] * READS, "b": [reply] * (READS - 1)}
    found = judge(reports("a", "b"))
    assert (found["judged"], found["malformed"], found["score"]) == (1, 1, 70)
    assert why in found["failed"]["patient-0"] and found["items"].keys() == {"patient-1"}
    assert server.counts() == {"a": READS, "b": READS}


def test_nothing_judged_has_no_mean(server, judge):
    server.reply = lambda answer: "?"
    found = judge(reports("a"))
    assert "score" not in found and "axes" not in found and found["items"] == {}


def test_a_reply_that_is_no_completion_is_malformed(server, judge):
    server.reply = lambda answer: None
    assert judge(reports("a"))["malformed"] == 1


def test_verdicts_are_asked_for_once(server, judge):
    first = judge(reports("a", "b", "a"))  # two items with the same texts
    assert server.counts() == {"a": 1, "b": 1} and first["judged"] == 3
    assert judge(reports("a", "b", "a")) == first
    assert len(server.asked) == 2


def test_another_prompt_model_or_text_is_asked_anew(server, judge, monkeypatch):
    first = judge(reports("a"))
    other = judge(reports("a"), model="other")
    judge([{**reports("a")[0], "reference": "sinus rhythm"}])
    assert len(server.asked) == 3
    monkeypatch.setitem(REPORT.axes, "Rhythm", "anything")
    changed = judge(reports("a"))
    assert len(server.asked) == 4
    assert len({first["hash"], other["hash"], changed["hash"]}) == 3
    assert first["judge"]["prompt_sha256"] != changed["judge"]["prompt_sha256"]
    assert first["judge"]["model"] == "judge" and first["judge"]["served"] == ["judge-2026"]


KILLED = """
import sys, json
from pathlib import Path
from cardiolect.utils.metrics.ecgbench import REPORT, JudgeEndpoint, Judge
items = json.loads(sys.argv[3])
Judge(REPORT, JudgeEndpoint(sys.argv[1], "judge"), Path(sys.argv[2]), 2).score(items)
"""


def test_a_killed_run_asks_nothing_twice(server, judge, tmp_path):
    """Each verdict lies on the disk before the next one is asked for; a line cut short is asked for again."""
    server.delay, items, path = 0.1, reports(*(f"answer {i}" for i in range(30))), tmp_path / "verdicts.jsonl"
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED, server.url, str(path), json.dumps(items)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(600):
        if path.is_file() and path.read_bytes().count(b"\n") >= 6:
            break
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    kept = path.read_bytes().count(b"\n")
    assert 6 <= kept < 30
    asked = len(server.asked)
    assert asked - kept <= 2 + 1  # in flight, by two threads
    with path.open("ab") as file:
        file.write(b'{"key": "cut sho')
    server.delay = 0
    found = judge(items)
    assert found["judged"] == 30
    assert len(server.asked) - asked == 30 - kept
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()].count("cut sho") == 0
    assert judge(items) == found and len(server.asked) - asked == 30 - kept


def test_verdicts_are_guarded(server, judge, tmp_path):
    path = tmp_path / "verdicts.jsonl"
    path.write_text('{"key": "a"}\nnonsense\n')
    with pytest.raises(UserError, match="line 2 is not a verdict"):
        judge(reports("a"))
    path.unlink()
    judge(reports("a"))
    path.write_text(path.read_text().replace('"Score": 7', '"Score": 70'))
    with pytest.raises(UserError, match="Waveform is not a number"):
        judge(reports("a"))
    path.unlink()
    server.delay = 0.5
    other = threading.Thread(target=judge, args=(reports("a"),))
    other.start()
    time.sleep(0.2)
    with pytest.raises(UserError, match="another run is using it"):
        judge(reports("a"))
    other.join()


def test_a_refused_key_ends_the_run_and_is_not_told(server, judge, capsys):
    server.plans = {f"{i}": [(401, {})] for i in range(50)}
    with pytest.raises(UserError, match="returned 401; check JUDGE_KEY") as error:
        judge(reports(*map(str, range(50))))
    assert len(server.asked) < 50
    assert "secret" not in f"{error.value}{capsys.readouterr()}{JudgeEndpoint(server.url, 'judge', 'secret-key')}"


def test_an_endpoint_that_never_answers_ends_the_run(server, judge):
    server.plans = {f"{i}": [(503, {})] * TRIES for i in range(50)}
    with pytest.raises(UserError, match=f"503, {TRIES} times, for {MOST_UNREACHABLE} items in a row"):
        judge(reports(*map(str, range(50))), pause=0.001)
    assert len(server.counts()) < 20


def test_a_redirection_is_not_followed_with_the_key(server, judge):
    server.plans = {"a": [(307, {"Location": "http://example.org/"})]}
    with pytest.raises(UserError, match="returned 307"):
        judge(reports("a"))
    assert len(server.asked) == 1


def test_four_threads_ask_at_once(server, judge):
    together = threading.Barrier(4)

    def reply(answer: str) -> str:
        together.wait(10)
        return verdict(6, 7, 8)

    server.reply = reply
    assert judge(reports(*"abcd"), timeout=30)["judged"] == 4


@pytest.mark.parametrize(
    ("url", "model", "message"),
    [
        ("http://example.org/v1", "m", "only https"),
        ("ftp://127.0.0.1/v1", "m", "only https"),
        ("http://127.0.0.1.example.org/v1", "m", "only https"),
        ("https://user:pass@example.org/v1", "m", "must be a plain address"),
        ("https://example.org/v1?key=1", "m", "must be a plain address"),
        ("https://example.org/v1", "", "needs a model"),
    ],
)
def test_unsafe_endpoints_are_refused(url, model, message):
    with pytest.raises(UserError, match=message):
        JudgeEndpoint(url, model)


def test_the_endpoint_stands_in_the_environment():
    found = JudgeEndpoint.from_environment(
        {"JUDGE_URL": "https://example.org/v1", "JUDGE_MODEL": "m", "JUDGE_KEY": "k"}
    )
    assert (found.url, found.model, found.key) == ("https://example.org/v1", "m", "k")
    with pytest.raises(UserError, match="needs JUDGE_MODEL in the environment"):
        JudgeEndpoint.from_environment({"JUDGE_URL": "https://example.org/v1"})
    with pytest.raises(UserError, match="JUDGE_KEY contains characters"):
        JudgeEndpoint("https://example.org/v1", "m", "k\n")


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"reference": "a", "answer": "b"}, "item 0 has no id"),
        ({"id": 1, "answer": "b"}, "item 1 has no reference"),
        ({"id": 1, "reference": " ", "answer": "b"}, "the reference is empty"),
        ({"id": 1, "reference": "a", "answer": None}, "item 1 has no answer"),
        ({"id": 1, "turns": []}, "item 1 has no turns"),
    ],
)
def test_items_without_texts_are_named(server, judge, item, message):
    with pytest.raises(UserError, match=message):
        judge([item])
    assert server.asked == []
    with pytest.raises(UserError, match="patient-0 is repeated"):
        judge(reports("a") * 2)
