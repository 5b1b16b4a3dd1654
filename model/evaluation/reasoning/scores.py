"""Scores of answered chains by the definitions of ECG-Reasoning-Benchmark, from predictions alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cardiolect.data_provider.texts.reasoning.form import KINDS, Chain
from cardiolect.model.evaluation.conditions import WITH_ECG
from cardiolect.model.evaluation.reasoning.floors import FLOORS, ORACLES
from cardiolect.model.evaluation.reasoning.matching import MATCHES, Match
from cardiolect.utils.metrics import bootstrap_ci

CHAIN_SCORES = ("ida", "completion", "depth", "gt_reasoning")
NAMES = {  # in the order of tables
    "ida": "IDA: initial answers",
    "completion": "Completion",
    "depth": "Depth, of 4",
    "gt_reasoning": "GT-reasoning",
    **{kind: f"step: {kind}" for kind in KINDS},
}


@dataclass(frozen=True)
class AnsweredChain:
    """A chain and its answers. patient: a number. predictions: condition -> one text per step of `Chain.steps`."""

    chain: Chain
    patient: int
    predictions: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Column:
    """Values of one score and the patients they are about: one per chain, per loop (depth) or per step."""

    values: np.ndarray
    patients: list[int]


def right_steps(chain: Chain, texts: Sequence[str], match: Match) -> list[bool]:
    """Whether each text answers its step. texts: in the order of `Chain.steps`."""
    return [match(text, step) for text, step in zip(texts, chain.steps, strict=True)]


def by_loop(chain: Chain, right: Sequence[bool]) -> list[list[bool]]:
    """`right_steps` without the initial question, one list per loop."""
    found, at = [], 1
    for loop in chain.loops:
        found.append(list(right[at : at + len(loop.steps)]))
        at += len(loop.steps)
    return found


def depth(right: Sequence[bool]) -> float:
    """Steps of a loop with grounding before its first error, from 0 to 4; right: of criterion, finding, ..., decision.

    All grounding questions together are one step, of which the share before the first error counts.
    """
    first = list(right).index(False) if False in right else len(right)
    questions = len(right) - 3
    if first == len(right):
        return 4.0
    return float(first) if first <= 2 else 2.0 + (first - 2) / questions


def columns(answered: Sequence[AnsweredChain], condition: str, match: Match) -> dict[str, Column]:
    """Score -> its values. A score that no chain has, such as depth without grounding, is left out."""
    values: dict[str, list[tuple[float, int]]] = {name: [] for name in NAMES}
    for each in answered:
        right = right_steps(each.chain, each.predictions[condition], match)
        loops = by_loop(each.chain, right)
        for name, value in (("ida", right[0]), ("completion", all(right[1:])), ("gt_reasoning", loops[-1][-1])):
            values[name].append((float(value), each.patient))
        for loop, found in zip(each.chain.loops, loops, strict=True):
            if loop.grounding:
                values["depth"].append((depth(found), each.patient))
            for step, is_right in zip(loop.steps, found, strict=True):
                values[step.kind].append((float(is_right), each.patient))
    return {
        name: Column(np.array([value for value, _ in rows]), [patient for _, patient in rows])
        for name, rows in values.items()
        if rows
    }


def score(answered: Sequence[AnsweredChain], metrics: str, n_resamples: int, seed: int) -> dict[str, Any]:
    """All scores as a JSON-ready dict; fractions of 1, depth from 0 to 4. metrics: a key of `MATCHES`.

    Intervals are of 95 %, by resampling patients. ``gap`` is Completion with the ECG minus that of the best floor,
    chosen anew in every resample; ``gap_with_oracles`` also counts floors that were chosen on these very chains.
    """
    conditions = list(answered[0].predictions)
    tables = {name: columns(answered, name, MATCHES[metrics]) for name in conditions}
    intervals = {
        name: {key: _interval({"": column.values}, column.patients, n_resamples, seed) for key, column in table.items()}
        for name, table in tables.items()
    }
    result: dict[str, Any] = {
        "chains": len(answered),
        "patients": len({each.patient for each in answered}),
        "recordings": len({each.chain.ecg_id for each in answered}),
        "steps": {key: len(column.values) for key, column in tables[conditions[0]].items()},
        "metrics": metrics,
        "conditions": {name: {key: found.value for key, found in scores.items()} for name, scores in intervals.items()},
        "ci95": {
            name: {key: [found.low, found.high] for key, found in scores.items()} for name, scores in intervals.items()
        },
    }
    if WITH_ECG in conditions:
        for key, floors in (("gap", FLOORS), ("gap_with_oracles", (*FLOORS, *ORACLES))):
            if names := [name for name in floors if name in conditions]:
                result[key] = _gap(tables, names, n_resamples, seed)
    result["groups"] = {
        "diagnosis": _groups(answered, [each.chain.diagnosis for each in answered], tables, n_resamples, seed),
        "right initial answer": _groups(
            answered, [each.chain.initial.answer for each in answered], tables, n_resamples, seed
        ),
        "grounding questions": _groups(answered, [_bin(each.chain) for each in answered], tables, n_resamples, seed),
    }
    return result


def _bin(chain: Chain) -> str:
    """0 to 3 grounding questions, or a range of them."""
    n = chain.n_grounding
    return str(n) if n <= 3 else "4 to 6" if n <= 6 else "7 or more"


def _groups(
    answered: Sequence[AnsweredChain],
    keys: Sequence[str],
    tables: Mapping[str, Mapping[str, Column]],
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Group -> its number of chains, Completion under every condition, and its interval with the ECG."""
    found = {}
    for key in sorted(set(keys)):
        members = np.array([each == key for each in keys])
        patients = [each.patient for each, member in zip(answered, members, strict=True) if member]
        values = {name: table["completion"].values[members] for name, table in tables.items()}
        found[key] = {
            "n": int(members.sum()),
            "completion": {name: float(each.mean()) for name, each in values.items()},
        }
        if WITH_ECG in values:
            ends = _interval({"": values[WITH_ECG]}, patients, n_resamples, seed)
            found[key]["ci95"] = [ends.low, ends.high]
    return found


def _interval(values: Mapping[str, np.ndarray], patients: Sequence[int], n_resamples: int, seed: int):
    return bootstrap_ci(lambda means: means[""], values, patients, n_resamples, seed)


def _gap(
    tables: Mapping[str, Mapping[str, Column]], names: Sequence[str], n_resamples: int, seed: int
) -> dict[str, Any]:
    values = {name: tables[name]["completion"].values for name in (WITH_ECG, *names)}
    found = bootstrap_ci(
        lambda means: means[WITH_ECG] - max(means[name] for name in names),
        values,
        tables[WITH_ECG]["completion"].patients,
        n_resamples,
        seed,
    )
    best = max(names, key=lambda name: float(values[name].mean()))
    return {"value": found.value, "ci95": [found.low, found.high], "best_floor": best}
