"""predictions.jsonl of chains: everything that scores are computed from."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cardiolect.data_provider.texts.reasoning.loading import chain_of, json_of
from cardiolect.model.evaluation.reasoning.scores import AnsweredChain
from cardiolect.utils.errors import UserError


def write_predictions(path: Path, answered: Sequence[AnsweredChain]) -> str:
    """Write one JSON object per chain, and return the SHA-256 of the file."""
    lines = []
    for each in answered:
        row = {"patient": each.patient, "chain": json_of(each.chain), "predictions": each.predictions}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    data = "".join(lines).encode()
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read_predictions(path: Path) -> list[AnsweredChain]:
    """Read what `write_predictions` wrote.

    Raises `UserError`, with the number of the line, if a line is not an answered chain, repeats an id, or has other
    conditions than the first.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    answered: dict[str, AnsweredChain] = {}
    for number, line in enumerate(lines, start=1):
        try:
            each = _answered(json.loads(line))
            if each.chain.chain_id in answered:
                raise UserError(f"chain {each.chain.chain_id} occurs twice")
            answered[each.chain.chain_id] = each
            if each.predictions.keys() != next(iter(answered.values())).predictions.keys():
                raise UserError("has other conditions than the first chain")
        except (UserError, ValueError) as error:
            raise UserError(f"{path}: line {number}: not an answered chain ({error})") from None
    if not answered:
        raise UserError(f"{path}: has no chains")
    return list(answered.values())


def _answered(row: object) -> AnsweredChain:
    if not isinstance(row, dict) or not isinstance(row.get("patient"), int):
        raise UserError("patient is not a number")
    chain, given = chain_of(row.get("chain"), Counter()), row.get("predictions")
    if not isinstance(given, dict) or not given:
        raise UserError("has no predictions")
    for name, texts in given.items():
        if not isinstance(texts, list) or len(texts) != len(chain.steps) or not all(isinstance(t, str) for t in texts):
            raise UserError(f"predictions.{name} is not one text for each of its {len(chain.steps)} questions")
    return AnsweredChain(chain, row["patient"], given)
