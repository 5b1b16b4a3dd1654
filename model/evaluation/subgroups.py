"""The main score by sex, age and recording device, so that nobody reads a mean as if it held for everyone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cardiolect.data_provider.corpora.databases import is_manifest
from cardiolect.data_provider.corpora.mixture import corpus_names
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, load_devices
from cardiolect.data_provider.examples import Example
from cardiolect.data_provider.manifest import load_corpus
from cardiolect.data_provider.texts.background import age_and_sex
from cardiolect.model.evaluation.breakdown import FEWEST, FEWEST_PATIENTS
from cardiolect.model.evaluation.conditions import CONDITIONS, WITH_ECG
from cardiolect.model.evaluation.floors import floors, gap_over
from cardiolect.model.evaluation.samples import Sample
from cardiolect.model.evaluation.table_rows import interval, points, row
from cardiolect.model.evaluation.verdict import score_name
from cardiolect.utils.metrics import Scores, bootstrap_score

AGES = (40, 65, 80)  # groups begin here
KINDS = ("sex", "age", "device")
UNKNOWN = "unknown"


class Subgroups:
    """Which group of each kind a patient belongs to. Devices are known of PTB-XL and of corpora in its layout."""

    def __init__(self, roots: Sequence[Path]):
        self._devices: dict[str, str] = {}
        for root, corpus in zip(roots, corpus_names(roots) if len(roots) > 1 else [""], strict=True):
            source = Path(load_corpus(root).source) if is_manifest(root) else root
            if (source / DATABASE_NAME).is_file():
                found = load_devices(source / DATABASE_NAME)
                self._devices |= {f"{corpus}/{ecg}" if corpus else ecg: device for ecg, device in found.items()}

    def of(self, example: Example) -> dict[str, str]:
        """Kind -> group; {} for a comparison of two recordings."""
        if len(example.records) > 1:
            return {}
        age, sex = age_and_sex(example.background)
        groups = {"sex": sex or UNKNOWN, "age": _age_group(age)}
        if self._devices:
            groups["device"] = self._devices.get(example.records[0].record_id) or UNKNOWN
        return groups


def _age_group(age: float | None) -> str:
    if age is None:
        return UNKNOWN
    above = [start for start in AGES if start <= age]
    if not above:
        return f"under {AGES[0]}"
    later = [start for start in AGES if start > age]
    return f"{above[-1]} to {later[0] - 1}" if later else f"{above[-1]} or over"


def _order(group: str) -> tuple[bool, bool, str]:
    """Sorts the youngest first and the unknown last."""
    return group == UNKNOWN, not group.startswith("under"), group


def subgroup_scores(
    samples: Sequence[Sample], score: str, conditions: Mapping[str, Scores], n_resamples: int, seed: int
) -> dict[str, Any]:
    """``{"of": score, "kinds": {kind: {group: {"n", "patients", "values", "ci95", "gap", "gap_ci95"}}}}``.

    values: condition -> score. ci95, of the score with the ECG, and gap_ci95 need `FEWEST` samples of
    `FEWEST_PATIENTS`. {} if no sample says whom it is about.
    """
    names, kinds = floors(conditions), {}
    for kind in KINDS:
        members: dict[str, list[int]] = defaultdict(list)
        for i, sample in enumerate(samples):
            if kind in sample.subgroups:
                members[sample.subgroups[kind]].append(i)
        for group, rows in sorted(members.items(), key=lambda item: _order(item[0])):
            scores = {
                name: Scores({c: column[rows] for c, column in each.columns.items()}, each.formulas)
                for name, each in conditions.items()
            }
            patients = [samples[i].patients for i in rows]
            values = {name: each.values[score] for name, each in scores.items()}
            cell: dict[str, Any] = {
                "n": len(rows),
                "patients": len({p for each in patients for p in each}),
                "values": values,
            }
            if names:
                cell["gap"] = gap_over(names)(values)
            if len(rows) >= FEWEST and cell["patients"] >= FEWEST_PATIENTS:
                found = bootstrap_score(
                    score, {"": scores[WITH_ECG]}, patients, lambda means: means[""], n_resamples, seed
                )
                cell["ci95"] = [found.low, found.high]
                if names:
                    compared = {name: scores[name] for name in (WITH_ECG, *names)}
                    found = bootstrap_score(score, compared, patients, gap_over(names), n_resamples, seed)
                    cell["gap_ci95"] = [found.low, found.high]
            kinds.setdefault(kind, {})[group] = cell
    return {"of": score, "kinds": kinds} if kinds else {}


def subgroups_table(result: Mapping[str, Any]) -> str:
    """A table for a terminal; empty without subgroups."""
    found, names = result.get("subgroups") or {}, list(result["conditions"])
    lines = []
    for kind, groups in found.get("kinds", {}).items():
        heads = [CONDITIONS[name].heading for name in names]
        lines += ["", row(f"{score_name(found['of'])} by {kind}", heads) + "     gap"]
        for group, cell in groups.items():
            gap = f"{points(cell['gap']):>8}{interval(cell.get('gap_ci95'))}" if "gap" in cell else ""
            lines.append(row(f"{group} ({cell['n']})", [cell["values"].get(name) for name in names]) + gap)
    return "\n".join(lines[1:])
