"""Confusion: what was answered in place of what."""

import json

import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import confusion


def test_confusion_counts_what_was_said_in_place_of_what():
    gold = ["yes", "yes", "yes", "no", "no", "none"]
    said = ["yes", "no", "", "no", "yes", "none"]
    found = confusion(gold, said)
    assert found["labels"] == ["yes", "no", "none", "other"]
    assert found["counts"] == [[1, 1, 0, 1], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert json.loads(json.dumps(found)) == found


def test_rare_answers_are_joined():
    gold, said = ["a"] * 3 + ["b"] * 2 + ["c", "d", "other"], ["a", "a", "d", "b", "?", "c", "a", "other"]
    found = confusion(gold, said, most=2)
    assert found["labels"] == ["a", "b", "other"]
    assert found["counts"] == [[2, 0, 1], [0, 1, 1], [1, 0, 2]]
    assert sum(map(sum, found["counts"])) == len(gold)


def test_there_is_no_row_for_others_where_there_are_none():
    assert confusion(["b", "a"], ["a", "b"]) == {"labels": ["a", "b"], "counts": [[0, 1], [1, 0]]}
    assert confusion([], []) == {"labels": [], "counts": []}
    with pytest.raises(UserError, match="1 predictions for 2 gold"):
        confusion(["a", "b"], ["a"])
