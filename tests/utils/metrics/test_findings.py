"""Scores of findings by hand."""

import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import (
    finding_scores,
)


def test_finding_scores_by_hand():
    scores = finding_scores([{"AF", "LBBB"}, {"AF"}, {"VT"}, set()], [{"AF"}, {"LBBB"}, set(), {"AF", "MI"}])
    assert scores["per_finding"] == {
        "AF": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2},
        "LBBB": {"precision": 0, "recall": 0, "f1": 0, "support": 1},
        "MI": {"precision": 0, "recall": 0, "f1": 0, "support": 1},
    }
    assert scores["macro_f1"] == pytest.approx(0.5 / 3)
    assert scores["micro_f1"] == pytest.approx(2 * 1 / (4 + 4))  # VT, never true, is a false positive here only


def test_finding_scores_of_nothing():
    assert finding_scores([set()], [set()]) == {"per_finding": {}}
    assert finding_scores([{"AF"}], [set()]) == {"per_finding": {}, "micro_f1": 0}
    with pytest.raises(UserError, match=r"1 predicted .* 0 true"):
        finding_scores([set()], [])
