"""Charts of scores and of calibration."""

import pytest

from cardiolect.utils.charts import draw_reliability, draw_scores
from cardiolect.utils.errors import UserError

COLOURS = {"with ECG": "#0072B2", "no ECG": "#E69F00", "majority": "#999999"}


def test_scores_stand_beside_their_floors(tmp_path):
    path = tmp_path / "scores.png"
    values = dict(zip(COLOURS, (0.623, 0.551, 0.532), strict=True))
    figure = draw_scores({"QA exact match": values, "BLEU-4": {"with ECG": 0.2}}, COLOURS, path, "Scores")
    assert path.stat().st_size > 1000
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([62.3, 55.1, 53.2, 20.0])
    assert [text.get_text() for text in axes.texts] == ["62.3", "55.1", "53.2", "20.0"]
    tops = [bar.get_y() for bar in axes.patches]
    assert tops == sorted(tops) and axes.get_ylim()[0] > axes.get_ylim()[1], "the first group is on top"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(COLOURS)


def test_scores_refuse_unknown_conditions():
    with pytest.raises(UserError, match="unknown condition 'floor'"):
        draw_scores({"em": {"floor": 0.1}}, COLOURS)
    with pytest.raises(UserError, match="no scores"):
        draw_scores({"em": {}}, COLOURS)


def test_reliability_shows_every_bin_with_its_interval():
    bins = [{"confidence": 0.3, "accuracy": 0.25, "accuracy_ci95": [0.1, 0.4]}]
    diagonal, interval, point = draw_reliability(bins).axes[0].lines
    assert list(point.get_xydata()[0]) == [30, 25] and list(interval.get_ydata()) == [10, 40]
    assert list(diagonal.get_xdata()) == [0, 100]


def test_intervals_are_whiskers():
    values, ends = {"with ECG": 0.5, "no ECG": 0.2}, {"with ECG": (0.4, 0.6), "no ECG": (None, None)}
    plain, whiskers = (draw_scores({"em": values}, COLOURS, intervals=each).axes[0] for each in (None, {"em": ends}))
    assert len(whiskers.lines) == len(plain.lines) + 1
    assert list(whiskers.lines[-1].get_xdata()) == [40, 60]
