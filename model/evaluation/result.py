"""result.json: what was evaluated and how, and the scores. predictions.jsonl in the same folder has the answers.

Everything that `score` returns can be computed again from predictions.jsonl: ``run_eval.py --check result.json``.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cardiolect.model.evaluation.reasoning.settings import REASONING
from cardiolect.model.evaluation.samples import PREDICTIONS, Sample, fingerprint, read_samples, write_samples
from cardiolect.model.evaluation.scoring import ScoringRules, score
from cardiolect.model.evaluation.subgroups import subgroups_table
from cardiolect.model.evaluation.tables import groups_table, scores_table, verify_csv, verify_table
from cardiolect.model.prompt.tasks import TASKS
from cardiolect.utils.errors import UserError

RESULT = "result.json"
# Keys that do not follow from the predictions.
_GIVEN = (
    "checkpoint",
    "choices",
    "operating_point",
    "predictions",
    "prevalence",
    "seen",
    "settings",
    "versions",
    "seconds",
    "answer_seconds",
)
PACKAGES = ("torch", "transformers", "nltk", "sacrebleu", "rouge-score", "numpy", "scikit-learn", "scipy")


def write_result(
    folder: Path, samples: Sequence[Sample], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Write predictions.jsonl, result.json and the tables as text; returns the result.

    provenance: other parts of the result: ``checkpoint``, ``seen`` (`SeenRecordings.count`), ``data``, ``prevalence``
    (`prevalence_in`), ``choices``, ``operating_point`` (`OperatingPoint.describe`), ``seconds``, ``answer_seconds``
    (per answer, by condition).
    """
    digest = write_samples(folder / PREDICTIONS, samples)
    result = {
        **score(samples, ScoringRules.of(settings, folder), provenance.get("prevalence")),
        **provenance,
        "predictions": {"file": PREDICTIONS, "sha256": digest},
        "settings": dict(settings),
        "versions": versions(),
    }
    (folder / RESULT).write_text(json.dumps(result, indent=2) + "\n")
    for name, table in tables(result).items():
        (folder / name).write_text(table + "\n")
    return result


def versions() -> dict[str, str]:
    """Versions of the packages that scores depend on, and a hash of this project's sources."""
    root, digest = Path(__file__).parents[2], hashlib.sha256()
    for package in ("model", "ecg_tokenizer", "data_provider", "utils"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return {"cardiolect": f"sources {digest.hexdigest()[:16]}", **{name: version(name) for name in PACKAGES}}


def tables(result: Mapping[str, Any]) -> dict[str, str]:
    """File name -> table, for the tables that the result has."""
    found = {"scores.txt": scores_table(result)}
    if TASKS[result["task"]].exact_match:
        found |= {
            "groups.txt": groups_table(result),
            "verify.txt": verify_table(result),
            "verify.csv": verify_csv(result),
        }
    found["subgroups.txt"] = subgroups_table(result)
    return {name: table for name, table in found.items() if table}


def read_result(path: Path, intact: bool = False) -> tuple[dict[str, Any], list[Sample]]:
    """The result and its samples; ``path`` is result.json or its folder.

    Raises `UserError` if it is not a result, or, with ``intact``, if predictions.jsonl is not the file that the result
    was written with.
    """
    path = path / RESULT if path.is_dir() else path
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run_eval.py writes {RESULT} to OUTPUT_DIR") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a result of an evaluation ({error})") from None
    if isinstance(result, dict) and result.get("task") == REASONING:
        raise UserError(f"{path}: a result of reasoning chains, of which only run_eval.py --check can make use")
    parts = ("metrics", "conditions", "settings", "predictions")
    if not isinstance(result, dict) or not all(isinstance(result.get(part), dict) for part in parts):
        raise UserError(f"{path}: not a result of an evaluation; run_eval.py writes {RESULT}")
    samples = read_samples(path.parent / PREDICTIONS)
    if intact and not is_intact(path.parent, result):
        raise UserError(
            f"{path}: was written with another {PREDICTIONS} than is in its folder; see run_eval.py --check"
        )
    return result, samples


def is_intact(folder: Path, result: Mapping[str, Any]) -> bool:
    return result["predictions"].get("sha256") == hashlib.sha256((folder / PREDICTIONS).read_bytes()).hexdigest()


def check_result(path: Path) -> list[str]:
    """The parts of a result that do not follow from its predictions, one line each; empty if all of them do.

    Checkpoint, hashes of prompts and codes, candidates and seconds cannot be computed again and are not checked.
    """
    result, samples = read_result(path)
    folder = path if path.is_dir() else path.parent
    found = []
    if not is_intact(folder, result):
        found.append(f"{PREDICTIONS} is not the file that the result was written with (its SHA-256 differs)")
    rules = ScoringRules.of(result["settings"], path)
    again = json.loads(json.dumps(score(samples, rules, result.get("prevalence"))))
    if isinstance(data := result.get("data"), dict):
        again["data"] = {**data, "texts_fingerprint": fingerprint(samples)}
    found += differences("", {key: value for key, value in result.items() if key not in _GIVEN}, again)
    for name, table in tables({**result, **again}).items():
        if not (folder / name).is_file():
            found.append(f"{name} is missing")
        elif (folder / name).read_text(errors="replace") != table + "\n":
            found.append(f"{name} is not the table of these predictions")
    return found


def rescore(path: Path, metrics: str) -> dict[str, Any]:
    """Scores of a result's predictions by the definition ``metrics``, and what they are to be read with."""
    result, samples = read_result(path, intact=True)
    rules = replace(ScoringRules.of(result["settings"], path), metrics=metrics)
    given = {key: result[key] for key in ("seen", "prevalence", "operating_point", "settings") if key in result}
    return {**score(samples, rules, result.get("prevalence")), **given}


def differences(where: str, written: Any, computed: Any) -> Iterator[str]:
    if isinstance(computed, dict) and isinstance(written, dict):
        for key in dict.fromkeys([*computed, *written]):
            yield from differences(f"{where}.{key}".lstrip("."), written.get(key), computed.get(key))
    elif isinstance(computed, list) and isinstance(written, list) and len(written) == len(computed):
        for i, pair in enumerate(zip(written, computed, strict=True)):
            yield from differences(f"{where}[{i}]", *pair)
    # The rounding of an encoder depends on the machine and the number of threads.
    elif not _equal(written, computed, 1e-4 if "bertscore" in where else 1e-9):
        yield f"{where}: {written} in the result, but {computed} from its predictions"


def _equal(written: Any, computed: Any, tolerance: float) -> bool:
    numbers = (int, float)
    if isinstance(written, numbers) and isinstance(computed, numbers):
        return math.isclose(written, computed, rel_tol=tolerance, abs_tol=tolerance)
    return written == computed
