"""result.json: what was evaluated, how, and the scores; predictions.jsonl beside it holds what was said.

Everything that `score` gives can be computed again from predictions.jsonl: ``run_eval.py --check result.json``.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from model.results.samples import PREDICTIONS, Sample, read_samples, write_samples
from model.results.scoring import Rules, score
from model.results.tables import groups_table, scores_table, verify_table
from utils.errors import UserError

RESULT = "result.json"
PACKAGES = ("torch", "transformers", "nltk", "sacrebleu", "rouge-score", "numpy", "scikit-learn", "scipy")


def write_result(
    folder: Path, samples: Sequence[Sample], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Write predictions.jsonl, result.json and the tables as text; returns the result.

    provenance: what else belongs to the result: ``checkpoint``, ``data``, ``seconds``.
    """
    digest = write_samples(folder / PREDICTIONS, samples)
    result = {
        **score(samples, Rules.of(settings)),
        **provenance,
        "predictions": {"file": PREDICTIONS, "sha256": digest},
        "settings": dict(settings),
        "versions": {name: version(name) for name in PACKAGES},
    }
    (folder / RESULT).write_text(json.dumps(result, indent=2) + "\n")
    for name, table in tables(result).items():
        (folder / name).write_text(table + "\n")
    return result


def tables(result: Mapping[str, Any]) -> dict[str, str]:
    """File name -> table, of those that the result has."""
    found = {"scores.txt": scores_table(result)}
    if result["task"] == "qa":
        found |= {"groups.txt": groups_table(result), "verify.txt": verify_table(result)}
    return {name: table for name, table in found.items() if table}


def read_result(path: Path) -> tuple[dict[str, Any], list[Sample]]:
    """The result and its samples; ``path`` is result.json or its folder. Raises `UserError` where it is none."""
    path = path / RESULT if path.is_dir() else path
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run_eval.py writes {RESULT} to OUTPUT_DIR") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no result of an evaluation ({error})") from None
    if not isinstance(result, dict) or not result.keys() >= {"task", "metrics", "conditions", "settings"}:
        raise UserError(f"{path}: no result of an evaluation; run_eval.py writes {RESULT}")
    return result, read_samples(path.parent / PREDICTIONS)


def check_result(path: Path) -> list[str]:
    """What of a result does not follow from its predictions, one line each; none where all of it does."""
    result, samples = read_result(path)
    folder = path if path.is_dir() else path.parent
    found = []
    digest = hashlib.sha256((folder / PREDICTIONS).read_bytes()).hexdigest()
    if result.get("predictions", {}).get("sha256") != digest:
        found.append(f"{PREDICTIONS} is not the file that the result was written with (another SHA-256)")
    try:
        again = json.loads(json.dumps(score(samples, Rules.of(result["settings"]))))
    except KeyError as error:
        raise UserError(f"{path}: the result or its samples lack {error}") from None
    return found + [
        difference for key, value in again.items() for difference in _differences(key, result.get(key), value)
    ]


def rescore(path: Path, metrics: str) -> dict[str, Any]:
    """The scores of a result's predictions by the definition called ``metrics``."""
    result, samples = read_result(path)
    return score(samples, replace(Rules.of(result["settings"]), metrics=metrics))


def _differences(where: str, told: Any, computed: Any) -> Iterator[str]:
    if isinstance(computed, dict) and isinstance(told, dict):
        for key in dict.fromkeys([*computed, *told]):
            yield from _differences(f"{where}.{key}", told.get(key), computed.get(key))
    elif isinstance(computed, list) and isinstance(told, list) and len(told) == len(computed):
        for i, pair in enumerate(zip(told, computed, strict=True)):
            yield from _differences(f"{where}[{i}]", *pair)
    elif not _equal(told, computed):
        yield f"{where}: the result says {told}, its predictions give {computed}"


def _equal(told: Any, computed: Any) -> bool:
    numbers = (int, float)
    if isinstance(told, numbers) and isinstance(computed, numbers):
        return math.isclose(told, computed, rel_tol=1e-9, abs_tol=1e-9)
    return told == computed
