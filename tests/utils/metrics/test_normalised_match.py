"""An answer is right however it is written, and wrong if it says something else."""

import numpy as np
import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.definitions import definition
from cardiolect.utils.metrics.normalised_match import normalised_match, statements, token_f1, words
from tests.helpers.reports import PREDICTIONS, REFERENCES


@pytest.mark.parametrize(
    ("prediction", "answers", "hit"),
    [
        ("yes", ["yes"], True),
        ("Yes.", ["yes"], True),
        ("lead I. lead II", ["lead II", "lead I"], True),
        (" lead  I.LEAD I ", ["lead I"], True),
        ("V1.2nd degree AV block", ["2nd degree av block", "V1"], True),  # no number: V1 is a lead
        ("st depression 0.5 mv.v2", ["ST depression 0.5 mV", "V2"], True),
        ("st depression 05 mv", ["ST depression 0.5 mV"], False),
        ("5", ["0.5"], False),
        ("lead I", ["lead I", "lead II"], False),
        ("lead I.lead II", ["lead I"], False),
        ("", ["none"], False),
        ("...", ["none"], False),
        ("not yes", ["yes"], False),
        ("yes!", ["yes"], True),
        ("yes,", ["Yes"], True),
        (' "Yes"? ', ["yes"], True),
        ("**(yes)**", ["yes"], True),
        ("lead V1, lead V2", ["lead V2", "lead V1"], True),
        ("(Lead V1; lead V2)", ["lead V1", "lead V2"], True),
        ("lead V1,lead V1", ["lead V1"], True),
        ("infarct (old)", ["infarct (old)"], True),
        ("yes, no", ["yes"], False),
        ("yes, probably", ["yes"], False),
        ("lead V1 and lead V2", ["lead V1", "lead V2"], False),
        ("lead V1, lead V2, lead V3", ["lead V1", "lead V2"], False),
        ("0,5 mV", ["0,5 mV"], True),
        ("0,5 mV", ["0", "5 mV"], False),
        ("-30", ["30"], False),
        ("", ["..."], False),
        ("!", ["yes"], False),
    ],
)
def test_normalised_match(prediction, answers, hit):
    assert normalised_match(prediction, answers) is hit


def test_the_definition_says_what_separates_answers():
    quirks = " ".join(definition("strict").quirks)
    assert "commas" in quirks and "semicolons" in quirks and "punctuation around them" in quirks
    scores = definition("strict").score_answers(["yes!", "V1, V2"], [["yes"], ["V2", "V1"]])
    assert scores.values["em"] == 1 == scores.values["f1"]


def test_statements_end_at_full_stops_outside_numbers():
    assert statements(" QRS 0.12 s.Axis  30.. Normal ECG. ") == ["qrs 0.12 s", "axis 30", "normal ecg"]
    assert statements("slope .5 mV.") == ["slope .5 mv"]
    assert statements("30.5") == ["30.5"]  # of two whole numbers one cannot tell
    bare = " ".join(words('ST-T changes, "possible" (0.5 mV).Low voltage!'))
    assert bare == "st-t changes possible 0.5 mv low voltage"
    with pytest.raises(UserError, match="list"):
        normalised_match("no", "no")


def test_token_f1_by_hand():
    assert token_f1(list("aab"), list("abbc")) == pytest.approx(2 * 2 / 7)  # one a and one b are shared
    assert token_f1([], ["a"]) == token_f1(["a"], ["b"]) == 0
    # torchmetrics.text.SQuAD 1.9.0 with "." replaced by a space; it also takes away "a", so not the second report
    f1 = definition("strict").score_texts(PREDICTIONS, REFERENCES).of_samples("f1")
    np.testing.assert_allclose(f1[[0, 2, 3]], [0.909091, 0.545455, 0.666667], atol=1e-6)


def test_a_right_answer_has_token_f1_one_however_it_is_written():
    said, gold = ["Lead II. lead I.lead I", "lead I", "yes", "no"], [["lead I", "lead II"]] * 2 + [["yes"]] * 2
    scores = definition("strict").score_answers(said, gold)
    assert scores.of_samples("em").tolist() == [1, 0, 1, 0]
    assert scores.of_samples("f1").tolist() == [1, pytest.approx(2 * 2 / (2 + 4)), 1, 0]
