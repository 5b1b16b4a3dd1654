"""A language model as judge of reports and conversations: ECGBench's ptb-test-report and arena."""

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from statistics import fmean
from typing import Any

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.ecgbench.judge_client import (
    JudgeClient,
    JudgeEndpoint,
    NoReplyError,
    StoppedError,
    UnreachableError,
)
from cardiolect.utils.metrics.ecgbench.rubric import MalformedError, Rubric
from cardiolect.utils.metrics.ecgbench.verdicts import Verdicts
from cardiolect.utils.progress import progress

READS = 3  # tries to get a well-formed reply
MOST_UNREACHABLE = 8  # items in a row; then the run stops, since the endpoint is down
_TEXTS = ("question", "reference", "answer")


class Judge:
    """Scores items by a rubric. Every verdict is kept in ``verdicts`` and never requested twice.

    A verdict belongs to the hash of its request: prompt, model and texts. If any of them changes, it is requested anew.
    Temperature is 0, but few services guarantee the same reply again: only the kept verdicts are reproducible.
    """

    def __init__(self, rubric: Rubric, endpoint: JudgeEndpoint, verdicts: Path, threads: int = 4):
        if threads < 1:
            raise UserError(f"a judge needs at least one thread, not {threads}")
        self.rubric, self.endpoint, self.path, self.threads = rubric, endpoint, Path(verdicts), threads

    def score(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Have every item judged; verdicts of earlier runs are reused.

        items: each with ``id``, ``reference`` and ``answer``, perhaps ``question``; or with ``turns``, a list of these.
        Only the texts are sent, unchanged, and no ids; the texts must not identify patients.

        Returns ``score``, the mean over judged items of ten times the mean of the axes, 0 to 100; ``axes``, the mean of
        each; ``items``, id -> score; ``n`` and ``judged``, numbers of items; ``failed``, id -> reason of the others,
        and how many were ``malformed``; ``judge``: the model as requested and as ``served``, and the hash of the
        rubric's prompt; ``hash`` of model and prompt. Failed items are not in the means and are requested again by the
        next run. If nothing was judged, there are no means.
        """
        bodies = self._bodies(items)
        ids = [str(item["id"]) for item in items]
        if len(set(ids)) != len(ids):
            raise UserError(f"item {next(i for i in ids if ids.count(i) > 1)} is repeated")
        keys = [_hash(body) for body in bodies]
        with Verdicts(self.path) as verdicts:
            open_ = {key: body for key, body in zip(keys, bodies, strict=True) if verdicts.get(key) is None}
            failures = self._ask(open_, verdicts)
            found = {key: verdicts.get(key) for key in keys}
        return self._result(ids, keys, found, failures)

    def count_requests(self, items: Sequence[Mapping[str, Any]]) -> int:
        """How many requests `score` would make, without retries."""
        with Verdicts(self.path) as verdicts:
            return sum(verdicts.get(key) is None for key in set(map(_hash, self._bodies(items))))

    def _bodies(self, items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [self._body(index, item) for index, item in enumerate(items)]

    def _body(self, index: int, item: Mapping[str, Any]) -> dict[str, Any]:
        """The request: all that the judge sees, and that determines the key of the verdict."""
        if not isinstance(item.get("id"), (str, int)):
            raise UserError(f"item {index} has no id")
        if "turns" in item:
            if not item["turns"]:
                raise UserError(f"item {item['id']} has no turns")
            texts: dict[str, Any] = {"turns": [_texts(item["id"], turn) for turn in item["turns"]]}
        else:
            texts = _texts(item["id"], item)
        return {
            "model": self.endpoint.model,
            "temperature": 0,
            "response_format": {"type": "json_object"},
            "messages": [
                {"role": "system", "content": self.rubric.prompt},
                {"role": "user", "content": json.dumps(texts, ensure_ascii=False)},
            ],
        }

    def _ask(self, bodies: Mapping[str, dict[str, Any]], verdicts: Verdicts) -> dict[str, Exception]:
        """Request verdicts for all ``bodies``, by key; returns key -> error of those that failed."""
        failures: dict[str, Exception] = {}
        if not bodies:
            return failures
        where = f"{self.endpoint.model} at {self.endpoint.url}"
        print(f"{len(bodies):,} requests to {where}, verdicts to {self.path}", flush=True)
        stop, unreachable = threading.Event(), 0
        client = JudgeClient(self.endpoint, stop)
        pool = ThreadPoolExecutor(self.threads)
        try:
            running = {pool.submit(self._judge, client, key, body, verdicts): key for key, body in bodies.items()}
            what = f"judge {self.rubric.name}"
            for done in progress(as_completed(running), what, len(running), unit="answer", leave=False):
                try:
                    done.result()
                    unreachable = 0
                except (NoReplyError, MalformedError) as error:
                    failures[running[done]] = error
                    unreachable = unreachable + 1 if isinstance(error, UnreachableError) else 0
                if unreachable == MOST_UNREACHABLE:
                    raise UserError(
                        f"JUDGE_URL {self.endpoint.url}: {failures[running[done]]}, for {unreachable} items in a row; "
                        f"{self.path} keeps the verdicts so far; run the same command to resume"
                    )
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
        return failures

    def _judge(self, client: JudgeClient, key: str, body: dict[str, Any], verdicts: Verdicts) -> None:
        for reads in range(1, READS + 1):
            if client.stop.is_set():
                raise StoppedError
            reply, served = client.ask(body)
            try:
                verdict = self.rubric.read(reply)
            except MalformedError as error:
                if reads == READS:
                    raise MalformedError(f"{error}, {READS} times") from None
            else:
                return verdicts.add(key, {"rubric": self.rubric.sha256, "served": served, "verdict": verdict})

    def _result(
        self, ids: list[str], keys: list[str], found: Mapping[str, Any], failures: Mapping[str, Exception]
    ) -> dict[str, Any]:
        judged: dict[str, dict[str, Any]] = {}
        for item, key in zip(ids, keys, strict=True):
            if found[key] is not None:
                try:
                    judged[item] = self.rubric.check(found[key].get("verdict"))
                except MalformedError as error:
                    raise UserError(f"{self.path}: the verdict with key {key}: {error}; delete its line") from None
        failed = {item: failures[key] for item, key in zip(ids, keys, strict=True) if item not in judged}
        judge = {"model": self.endpoint.model, "rubric": self.rubric.name, "prompt_sha256": self.rubric.sha256}
        result: dict[str, Any] = {
            "n": len(ids),
            "judged": len(judged),
            "malformed": sum(isinstance(error, MalformedError) for error in failed.values()),
            "failed": {item: str(error) for item, error in failed.items()},
            "judge": {**judge, "served": sorted({found[key].get("served", "") for key in keys if found[key]} - {""})},
            "hash": _hash(judge),
            "items": {item: self.rubric.score(verdict) for item, verdict in judged.items()},
        }
        if judged:
            result["score"] = fmean(result["items"].values())
            result["axes"] = {axis: fmean(it[axis]["Score"] for it in judged.values()) for axis in self.rubric.axes}
        return result


def _texts(item: str | int, texts: Mapping[str, Any]) -> dict[str, str]:
    """Question, reference and answer of an item, and nothing else."""
    found = {name: texts[name] for name in _TEXTS if name in texts}
    if missing := [name for name in _TEXTS[1:] if not isinstance(found.get(name), str)]:
        raise UserError(f"item {item} has no {' and no '.join(missing)}")
    if not isinstance(found.get("question", ""), str) or not found["reference"].strip():
        raise UserError(f"item {item}: the question is not text, or the reference is empty")
    return found


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
