"""ECGBench's reports and arena go to the judge by its command."""

import json
from collections.abc import Iterator

import pytest

from cardiolect.utils.metrics.ecgbench import ARENA
from cardiolect.utils.metrics.ecgbench.__main__ import main as ecgbench
from tests.helpers.commands import refused
from tests.helpers.judge import ChatServer, verdict
from tests.helpers.servers import serving


@pytest.fixture
def server(monkeypatch) -> Iterator[ChatServer]:
    with serving(ChatServer()) as served:
        for name, value in {"URL": served.url, "MODEL": "judge", "KEY": "secret-key"}.items():
            monkeypatch.setenv(f"JUDGE_{name}", value)
        yield served


def test_ecgbench_reports_go_to_the_judge(server, tmp_path, capsys):
    turns = [{"role": "user", "content": "<image>\nReport."}, {"role": "assistant", "content": "sinus rhythm"}]
    gold, answers, out = (tmp_path / name for name in ("gold.json", "answers.jsonl", "scores.json"))
    gold.write_text(json.dumps([{"id": f"ptb-{k}", "image": "x.png", "conversation": turns} for k in range(2)]))
    answers.write_text("".join(json.dumps({"question_id": f"ptb-{k}", "text": f"said {k}"}) + "\n" for k in range(2)))
    given = ["ptb-test-report", str(answers), "--gold", str(gold), "--out", str(out)]
    assert "ptb-test-report has 500 samples, not 2" in refused(ecgbench, given, capsys)
    assert server.asked == []
    ecgbench([*given, "--expected", "2"])
    found = json.loads(out.read_text())
    assert (found["score"], found["judged"], found["task"]) == (70, 2, "ptb-test-report")
    sent = json.loads(server.asked[0][1]["messages"][1]["content"])
    assert sent["question"] == "Report." and sent["reference"] == "sinus rhythm"
    ecgbench([*given, "--expected", "2"])
    assert len(server.asked) == 2 and (tmp_path / "answers.verdicts.jsonl").is_file()
    assert "2 requests to judge at http://127.0.0.1" in capsys.readouterr().out
    assert "judged, and has only one form" in refused(ecgbench, [*given, "--form", "strict"], capsys)


@pytest.mark.parametrize("ours", [False, True])
def test_arena_goes_to_the_judge_as_a_conversation(server, tmp_path, ours):
    server.reply = lambda answer: verdict(9, 3, 6, rubric=ARENA)
    golden = [{"question": f"q{k}", "answer": f"r{k}"} for k in range(2)]
    row = {
        "question_id": "a-1",
        "golden_convs": golden,
        "predict_convs": [{"question": f"q{k}", "answer": f"a{k}"} for k in range(2)],
    }
    if ours:
        row = {"id": "a-1", "conversations": golden, "response": [{"response": f"a{k}"} for k in range(2)]}
    answers, out = tmp_path / "answers.jsonl", tmp_path / "scores.json"
    answers.write_text(json.dumps(row) + "\n")
    ecgbench(["arena", str(answers), "--expected", "1", "--out", str(out)])
    assert json.loads(out.read_text())["items"] == {"a-1": 60}
    sent = json.loads(server.asked[0][1]["messages"][1]["content"])
    assert sent == {"turns": [{"question": f"q{k}", "reference": f"r{k}", "answer": f"a{k}"} for k in range(2)]}
