"""Reads files of answers and gold answers in the formats of PULSE and LLaVA, and in a simple one of our own.

Answers are ``{"question_id", "prompt", "text"}`` or ``{"id", "response"}``, for arena ``{"question_id", "golden_convs",
"predict_convs"}`` or ``{"id", "conversations", "response": [{"response"}, ...]}``. Gold is ``{"id", "conversations"}``
or ``{"id", "conversation"}``, with turns ``{"from": "human", "value"}``, ``{"role": "user", "content"}`` or
``{"question", "answer"}``. Our format has both: ``{"id", "gold", "prediction", "question"}``, or ``{"id", "turns"}``
with the last three in each turn.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cardiolect.utils.errors import UserError

Row = Mapping[str, Any]
Turn = dict[str, Any]  # question, gold, prediction; unknown ones are left out

_IDS = ("question_id", "id", "No")  # "No" is in the gold of mmmu-ecg
_GOLD = ("golden_convs", "conversations", "conversation")
_SPEAKERS = {"human": "question", "user": "question", "gpt": "gold", "assistant": "gold"}


def read_samples(answers: Path, gold: Path | None = None, part: bool = False) -> list[dict[str, Any]]:
    """``{"id", "turns": [{"question", "gold", "prediction"}, ...]}`` in the order of the answers, JSON or JSON lines.

    gold: the file of gold answers; None if ``answers`` has them. part: leave out gold without an answer. Raises
    `UserError` for unreadable files and items, repeated ids, answers without gold and, unless ``part``, gold without
    an answer.
    """
    answered = _by_id(answers, read_rows(answers))
    if gold is None:
        truth, source = answered, answers
    else:
        truth, source = _by_id(gold, read_rows(gold), answered), gold
        if absent := [name for name in answered if name not in truth]:
            raise UserError(
                f"{answers}: {len(absent)} of {len(answered)} answers have no gold in {gold}: {absent[0]}, ..."
            )
        if (absent := [name for name in truth if name not in answered]) and not part:
            raise UserError(
                f"{gold}: {len(absent)} of {len(truth)} items have no answer in {answers}: {absent[0]}, ...; to "
                "score a part, give its number of samples as --expected"
            )
    return [{"id": name, "turns": _turns(answers, source, name, row, truth[name])} for name, row in answered.items()]


def read_rows(path: Path) -> list[Row]:
    """The objects of a JSON list, or of JSON lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text; JSON or JSON lines are needed") from None
    try:
        rows = json.loads(text)
        rows = rows if isinstance(rows, list) else [rows]
    except (ValueError, RecursionError):
        rows = [_line(path, number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if wrong := [number for number, row in enumerate(rows, 1) if not isinstance(row, dict)]:
        raise UserError(f"{path}: item {wrong[0]} is a JSON {type(rows[wrong[0] - 1]).__name__}, not an object")
    if not rows:
        raise UserError(f"{path}: is empty")
    return rows


def _line(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(f"{path}: line {number} is not JSON; a stopped run may have cut it short") from None


def _by_id(path: Path, rows: Sequence[Row], wanted: Mapping[str, Row] | None = None) -> dict[str, Row]:
    """Id -> row, by the first id key that all rows have and, with ``wanted``, that has any of its ids."""
    keys = [key for key in _IDS if all(isinstance(row.get(key), str | int) for row in rows)]
    if not keys:
        number = next((n for n, row in enumerate(rows, 1) if not row.keys() & set(_IDS)), 1)
        raise UserError(f"{path}: item {number} has no id; all items need {', '.join(_IDS[:-1])} or {_IDS[-1]}")
    tables = []
    for key in keys:
        table: dict[str, Row] = {}
        for number, row in enumerate(rows, 1):
            if (name := str(row[key])) in table:
                raise UserError(f"{path}: {key} {name} is repeated in item {number}")
            table[name] = row
        tables.append(table)
    return next((table for table in tables if wanted and table.keys() & wanted.keys()), tables[0])


def _turns(answers: Path, source: Path, name: str, row: Row, truth: Row) -> list[Turn]:
    answered, turns = _answers(row), _gold(truth)
    if answered is None:
        raise UserError(f"{answers}: {name} has no answer: no text, response, prediction or predict_convs")
    if turns is None:
        raise UserError(f"{source}: {name} has no gold answer; name the file that has it with --gold")
    if len(answered) != len(turns):
        raise UserError(f"{answers}: {name} has {len(answered)} answers to {len(turns)} questions")
    if len(turns) == 1 and "question" not in turns[0] and (asked := _question(row)):
        turns[0]["question"] = asked
    return [{**turn, "prediction": text} for turn, text in zip(turns, answered, strict=True)]


def _answers(row: Row) -> list[str] | None:
    """The answers of a row, one per turn; None if it has none."""
    found: Any = next((row[key] for key in ("text", "response", "prediction") if key in row), None)
    if found is None:
        turns = row.get("turns", row.get("predict_convs"))
        found = turns if isinstance(turns, list) else None
    if isinstance(found, list):
        found = [
            next((turn[key] for key in ("prediction", "response", "answer") if key in turn), None)
            if isinstance(turn, dict)
            else turn
            for turn in found
        ]
    found = [found] if isinstance(found, str) else found
    return found if found and all(isinstance(text, str) for text in found) else None


def _gold(row: Row) -> list[Turn] | None:
    """Questions and gold answers of a row; None if it has none, or if they do not alternate."""
    if "gold" in row:
        asked = _question(row)
        return [{"gold": _text_or_list(row["gold"]), **({"question": asked} if asked else {})}]
    messages: list[tuple[str, Any]] = []
    turns = row.get("turns", next((row[key] for key in _GOLD if key in row), None))
    for turn in turns if isinstance(turns, list) else []:
        if not isinstance(turn, dict):
            return None
        if "question" in turn:
            messages += [("question", turn["question"]), ("gold", turn.get("gold", turn.get("answer")))]
        elif (speaker := str(turn.get("from", turn.get("role"))).lower()) in _SPEAKERS:
            messages.append((_SPEAKERS[speaker], turn.get("value", turn.get("content"))))
        elif speaker != "system":
            return None
    if not messages or [role for role, _ in messages] != ["question", "gold"] * (len(messages) // 2):
        return None
    texts = [_text_or_list(text) for _, text in messages]
    if None in texts:
        return None
    return [{"question": _plain(asked), "gold": gold} for asked, gold in zip(texts[::2], texts[1::2], strict=True)]


def _question(row: Row) -> str | None:
    asked = row.get("question", row.get("prompt"))
    asked = _text_or_list(asked.get("prompt") if isinstance(asked, dict) else asked)
    return _plain(asked) if asked else None


def _text_or_list(value: Any) -> str | list[str] | None:
    """A text or a list of texts; ecgqa-test has texts as lists of characters, several answers as lists of texts."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "".join(value) if all(len(part) == 1 for part in value) else value
    return value if isinstance(value, str) else None


def _plain(text: str | list[str]) -> str:
    return (text if isinstance(text, str) else "".join(text)).replace("<image>", "").strip()
