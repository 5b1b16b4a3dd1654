"""Majority answers and the majority report."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import (
    MajorityAnswers,
)
from cardiolect.utils.metrics.majority import central_text


@dataclass(frozen=True)
class Asked:
    question: str
    answers: tuple[str, ...] = ()
    question_type: str = "verify"
    template_id: int | None = 1


TRAINING = [
    Asked("AF?", ("yes",)),
    Asked("AF?", ("yes",)),
    Asked("MI?", ("no",)),
    Asked("MI?", ("no",)),
    Asked("MI?", ("no",)),
    Asked("Which leads?", ("V2", "V1"), "query", 2),
    Asked("Which leads?", ("V1", "V2"), "query", 2),
    Asked("Which leads?", ("V3",), "query", 2),
    Asked("Which noise?", ("b",), "query", 3),
    Asked("Which noise?", ("a",), "query", 3),
]


@pytest.mark.parametrize("stored", [False, True])
def test_majority_answers(stored):
    majority = MajorityAnswers.fit(TRAINING)
    if stored:
        majority = MajorityAnswers.from_json(majority.to_json())
    assert majority.predict(Asked("AF?")) == ("no",)
    assert majority.predict(Asked("AF?"), level="question") == ("yes",)
    assert majority.predict(Asked("LBBB?"), level="question") == ("no",)  # unseen text: its template
    assert majority.predict(Asked("Which leads?", template_id=2)) == ("V1", "V2")  # a set, in whatever order
    assert majority.predict(Asked("Which noise?", template_id=3)) == ("a",)  # ties: the alphabet
    assert majority.predict(Asked("?", (), "query", 99)) == ("V1", "V2")  # unseen template: its type
    assert majority.predict(Asked("?", (), "choose", None)) == ("no",)  # unseen type: overall


def test_majority_answers_refuse_bad_input():
    majority = MajorityAnswers.fit(reversed(TRAINING))
    assert majority.to_json()["by_template"]["3"] == ["a"]
    with pytest.raises(UserError, match="levels"):
        majority.predict(TRAINING[0], level="patient")
    with pytest.raises(UserError, match="none"):
        MajorityAnswers.fit([])
    with pytest.raises(UserError, match="fit them again"):
        MajorityAnswers.from_json({"by_template": {}})


def test_spellings_of_one_answer_are_counted_together():
    answers = [("Yes",), ("yes",), ("yes",), ("Yes.",), ("no",), ("no",), ("no",)]
    examples = [
        SimpleNamespace(question="?", question_type="single-verify", template_id=1, answers=each) for each in answers
    ]
    assert MajorityAnswers.fit(examples).predict(examples[0]) == ("yes",)
    assert MajorityAnswers.fit(examples[::-1]).to_json() == MajorityAnswers.fit(examples).to_json()


def test_the_majority_is_spelled_as_training_spells_it():
    """ECG-QA does not sort its answer sets, and string equality tells their orders apart."""
    asked = [("b", "a"), ("b", "a"), ("a", "b"), ("c",), ("c",)]
    examples = [SimpleNamespace(question="?", question_type="single-query", template_id=1, answers=a) for a in asked]
    assert MajorityAnswers.fit(examples).predict(examples[0]) == ("b", "a")


def test_the_majority_report_is_the_one_that_shares_most_words_with_the_others():
    reports = ["sinus rhythm", "sinus rhythm normal ecg", "sinus rhythm abnormal ecg", "atrial flutter"]
    assert central_text(reports) == central_text(reports[::-1]) == "sinus rhythm abnormal ecg", "the first of two alike"
    assert central_text([*reports, *["sinus rhythm normal ecg"] * 9]) == "sinus rhythm normal ecg"
    with pytest.raises(UserError, match="training reports"):
        central_text([])
