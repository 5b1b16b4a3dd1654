"""A server that stands in for the model that judges reports, or describes statements."""

import json
import time
from collections import Counter
from collections.abc import Callable

from cardiolect.utils.metrics.ecgbench import REPORT
from tests.helpers.servers import LoopbackHandler, LoopbackServer


def verdict(*scores, rubric=REPORT) -> str:
    return json.dumps({a: {"Score": s, "Explanation": "as is"} for a, s in zip(rubric.axes, scores, strict=True)})


class ChatServer(LoopbackServer):
    """An endpoint on loopback. ``plans``: by the answer to be judged, or the statement to be described, what it does,
    one after the other: a status with headers, "drop", "half" or "late" for a broken or slow connection, or a text to
    reply with; then ``reply``."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.url = f"{self.address}/v1"
        self.plans: dict[str, list] = {}
        self.reply: Callable[[str], str] = lambda answer: verdict(6, 7, 8)
        self.asked: list[tuple[str, dict, dict]] = []  # answer, body, headers
        self.times: list[float] = []
        self.delay = 0.0

    def counts(self) -> Counter:
        return Counter(answer for answer, _, _ in self.asked)


class Handler(LoopbackHandler):
    server: ChatServer

    def do_POST(self) -> None:  # noqa: N802 - its name in http.server
        it, body = self.server, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        it.times.append(time.monotonic())
        texts = json.loads(body["messages"][-1]["content"])
        item = (texts.get("turns") or [texts])[0]
        answer = item["answer"] if "answer" in item else item["statement"]
        it.asked.append((answer, body, dict(self.headers)))
        time.sleep(it.delay)
        plan = it.plans.get(answer)
        act = plan.pop(0) if plan else it.reply(answer)
        if isinstance(act, tuple):
            return self.head(act[0], act[1], 0)
        if act == "drop":
            self.close_connection = True
            return None
        if act == "late":
            time.sleep(1.0)
        sent = json.dumps({"model": "judge-2026", "choices": [{"message": {"content": act}}]}).encode()
        self.head(200, {"Content-Type": "application/json"}, len(sent))
        self.wfile.write(sent[: len(sent) // 2] if act == "half" else sent)
        self.close_connection = act == "half"
        return None
