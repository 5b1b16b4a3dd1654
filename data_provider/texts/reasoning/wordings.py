"""What ECG-Reasoning-Benchmark asks at each place of a chain: questions, distractors, ranges, and what follows.

The table wordings.json is of its PTB-XL chains about recordings in folds 1-8 that are published under MIT; the file
names source and licence. `table_of` makes it.
"""

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from cardiolect.data_provider.texts.reasoning.form import LEAD, MEASUREMENT, YES, Chain

TABLE = "wordings.json"
Node = dict[str, Any]


@cache
def wordings() -> dict[str, dict[str, Any]]:
    """Diagnosis -> its initial ``question`` and ``nodes``: findings so far, such as "" or "YN" -> what is asked then.

    A node has ``question`` and ``criterion``, ``distractors`` of the criterion, ``finding``, and under "Y" and "N", as
    far as it is known, what follows that finding: ``grounding`` questions, ``decision`` and its ``ask``, and at the end
    of a chain the number of its ``path``.
    """
    return json.loads(files(__package__).joinpath(TABLE).read_text(encoding="utf-8"))["diagnoses"]


def table_of(chains: Iterable[Chain], diagnoses: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What `wordings` returns, from chains; the commonest wording is that of the first chain at a place."""
    table: dict[str, dict[str, Any]] = {}
    for chain in chains:
        if chain.diagnosis not in diagnoses:
            continue
        known = table.setdefault(chain.diagnosis, {"question": chain.initial.question, "nodes": {}})
        findings, part = "", {}
        for loop in chain.loops:
            node: Node = known["nodes"].setdefault(
                findings,
                {
                    "question": loop.criterion.question,
                    "criterion": loop.criterion.answer,
                    "distractors": [],
                    "finding": loop.finding.question,
                },
            )
            if loop.criterion.answer == node["criterion"]:
                new = [o for o in loop.criterion.options if o not in (node["criterion"], *node["distractors"])]
                node["distractors"] += new
                found = "Y" if loop.finding.answer == YES else "N"
                part = node.setdefault(
                    found,
                    {
                        "grounding": [_grounding(step) for step in loop.grounding],
                        "ask": loop.decision.question,
                        "decision": loop.decision.answer,
                    },
                )
            findings += "Y" if loop.finding.answer == YES else "N"
        part.setdefault("path", chain.path)
    return {name: {**known, "nodes": dict(sorted(known["nodes"].items()))} for name, known in sorted(table.items())}


def _grounding(step) -> dict[str, Any]:
    """A question for evidence; ranges of a measurement, and two leads to choose from, are always the same."""
    fixed = step.kind == MEASUREMENT or (step.kind == LEAD and len(step.options) == 2)
    return {"kind": step.kind, "question": step.question, **({"options": list(step.options)} if fixed else {})}
