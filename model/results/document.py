"""result.json: what was evaluated, how, and the scores; with predictions.jsonl beside it."""

import json
from pathlib import Path
from typing import Any

from model.results.samples import PREDICTIONS, Sample, read_samples
from utils.errors import UserError

RESULT = "result.json"


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
