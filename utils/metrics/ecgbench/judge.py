"""A language model as judge of reports and conversations: ECGBench's ptb-test-report and arena."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from cardiolect.utils.chat_client import ChatEndpoint, MalformedError, answer_all
from cardiolect.utils.errors import UserError
from cardiolect.utils.kept_answers import KeptAnswers
from cardiolect.utils.metrics.ecgbench.rubric import Rubric

_TEXTS = ("question", "reference", "answer")


class JudgeEndpoint(ChatEndpoint):
    """The endpoint of a judge, named by JUDGE_URL, JUDGE_MODEL and JUDGE_KEY."""

    role, prefix = "the judge", "JUDGE"


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
        with KeptAnswers(self.path, "verdict") as verdicts:
            open_ = {key: body for key, body in zip(keys, bodies, strict=True) if verdicts.get(key) is None}
            failures = self._ask(open_, verdicts)
            found = {key: verdicts.get(key) for key in keys}
        return self._result(ids, keys, found, failures)

    def count_requests(self, items: Sequence[Mapping[str, Any]]) -> int:
        """How many requests `score` would make, without retries."""
        with KeptAnswers(self.path, "verdict") as verdicts:
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

    def _ask(self, bodies: Mapping[str, dict[str, Any]], verdicts: KeptAnswers) -> dict[str, Exception]:
        """Request verdicts for all ``bodies``, by key; returns key -> error of those that failed."""

        def read(reply: str, served: str) -> dict[str, Any]:
            return {"rubric": self.rubric.sha256, "served": served, "verdict": self.rubric.read(reply)}

        return answer_all(self.endpoint, bodies, verdicts, read, self.threads, f"judge {self.rubric.name}")

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
