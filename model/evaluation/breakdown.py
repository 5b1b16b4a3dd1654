"""Exact match by what is asked: question type, attribute type, attribute, template, answer."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cardiolect.model.evaluation.conditions import WITH_ECG, floors, gap_over
from cardiolect.model.evaluation.samples import Sample
from cardiolect.utils.metrics import bootstrap_ci

KEYS = ("question_type", "attribute_type", "attribute", "template", "answer")
FEWEST, FEWEST_PATIENTS = 30, 20  # samples and patients, for an interval of a group's gap


def break_down(
    samples: Sequence[Sample], matches: Mapping[str, np.ndarray], n_resamples: int, seed: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """``{key: {group: {"n", "patients", "em": {condition: share}, "gap", "gap_ci95"}}}`` for the `KEYS`.

    matches: condition -> 0 or 1 per sample. A question that names two attributes stands in the groups of both; one that
    names none in none. Groups come in the order of their names. ``gap_ci95`` stands where a group has `FEWEST`
    samples of `FEWEST_PATIENTS`; a template has an ``example`` besides, its most common question. Groups of a right
    answer have no gap: there a floor that always says this answer is an oracle.
    """
    names = floors(matches)
    broken: dict[str, dict[str, dict[str, Any]]] = {}
    for key in KEYS:
        members: dict[str, list[int]] = defaultdict(list)
        for i, sample in enumerate(samples):
            for group in _groups(sample, key):
                members[group].append(i)
        broken[key] = {}
        for group, rows in sorted(members.items(), key=lambda item: _order(item[0])):
            columns = {name: column[rows] for name, column in matches.items()}
            means = {name: float(column.mean()) for name, column in columns.items()}
            patients = [samples[i].patients for i in rows]
            cell = {"n": len(rows), "patients": len({p for each in patients for p in each}), "em": means}
            if names and key != "answer":
                cell["gap"] = gap_over(names)(means)
            if "gap" in cell and len(rows) >= FEWEST and cell["patients"] >= FEWEST_PATIENTS:
                interval = bootstrap_ci(
                    gap_over(names),
                    {name: columns[name] for name in (WITH_ECG, *names)},
                    patients,
                    n_resamples,
                    seed,
                )
                cell["gap_ci95"] = [interval.low, interval.high]
            if key == "template":
                cell["example"] = Counter(samples[i].question for i in rows).most_common(1)[0][0]
            broken[key][group] = cell
    return {key: groups for key, groups in broken.items() if groups}


def _groups(sample: Sample, key: str) -> Iterable[str]:
    if key == "attribute":
        return dict.fromkeys(sample.attributes)
    if key == "answer":
        return [" + ".join(sorted(set(sample.answers)))]
    if key == "template":
        return [] if sample.template_id is None else [str(sample.template_id)]
    return [value] if (value := getattr(sample, key)) else []


def _order(group: str) -> tuple[int, str]:
    """Template numbers as numbers."""
    return (int(group), "") if group.isdecimal() else (0, group)
