"""Exact match by question type, attribute type, attribute, template and answer."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cardiolect.model.evaluation.conditions import WITH_ECG
from cardiolect.model.evaluation.floors import floors, gap_over
from cardiolect.model.evaluation.samples import Sample
from cardiolect.utils.metrics import bootstrap_ci

KEYS = ("question_type", "attribute_type", "attribute", "template", "answer")
FEWEST, FEWEST_PATIENTS = 30, 20  # samples and patients that the interval of a group's gap needs


def break_down(
    samples: Sequence[Sample], matches: Mapping[str, np.ndarray], n_resamples: int, seed: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """``{key: {group: {"n", "patients", "em": {condition: share}, "gap", "gap_ci95"}}}`` for the `KEYS`.

    matches: condition -> 0 or 1 per sample. A question that names two attributes is in the groups of both. Groups are
    sorted by name. A group has ``gap_ci95`` if it has `FEWEST` samples of `FEWEST_PATIENTS`. A template also has an
    ``example``, its most common question. Groups of the same right answer have no gap, because a floor that always
    gives this answer is an oracle there.
    """
    names = floors(matches)
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for key in KEYS:
        members: dict[str, list[int]] = defaultdict(list)
        for i, sample in enumerate(samples):
            for group in _groups(sample, key):
                members[group].append(i)
        result[key] = {}
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
            result[key][group] = cell
    return {key: groups for key, groups in result.items() if groups}


def _groups(sample: Sample, key: str) -> Iterable[str]:
    if key == "attribute":
        return dict.fromkeys(sample.attributes)
    if key == "answer":
        return [" + ".join(sorted(set(sample.answers)))]
    if key == "template":
        return [] if sample.template_id is None else [str(sample.template_id)]
    return [value] if (value := getattr(sample, key)) else []


def _order(group: str) -> tuple[int, str]:
    """Sorts template numbers as numbers."""
    return (int(group), "") if group.isdecimal() else (0, group)
