"""Exact match as HeartLLM computes it."""

import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import (
    answer_set_heartllm,
    exact_match,
)


@pytest.mark.parametrize(
    ("prediction", "answers", "hit"),
    [
        ("yes", ["yes"], True),
        (" yes\n", ["yes"], True),
        ("lead II.lead I", ["lead I", "lead II"], True),  # order is free
        ("lead I.lead I", ["lead I"], True),
        ("yes.", ["yes"], False),  # the trailing "." adds an empty answer
        ("Yes", ["yes"], False),
        ("lead I. lead II", ["lead I", "lead II"], False),  # elements are not stripped
        ("lead I", ["lead I", "lead II"], False),
        ("", ["none"], False),
    ],
)
def test_exact_match_is_that_of_heartllm(prediction, answers, hit):
    assert exact_match(prediction, answers) is hit


def test_answer_set_of_nothing_holds_the_empty_answer():
    assert answer_set_heartllm("") == {""}


def test_exact_match_refuses_a_bare_string():
    with pytest.raises(UserError, match="list"):
        exact_match("no", "no")
