"""ECGs on paper: true to scale, each lead in its place, shading that hides nothing."""

import io
import sys

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from PIL import Image

from cardiolect.utils.errors import UserError
from cardiolect.utils.plots import MM_PER_MILLIVOLT, draw_ecg_paper

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
FS = 100


def ecg(seconds=10.0, seed=0):
    """White noise of 0.2 mV: a drawing needs no heartbeat."""
    return 0.2 * np.random.default_rng(seed).standard_normal((12, int(seconds * FS)))


def png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB"))


def lines(figure):
    """The drawn lines of more than a hundred points: the traces, row by row."""
    return [line for line in figure.axes[0].lines if len(line.get_xdata()) > 100]


def test_paper_is_true_to_scale():
    figure = draw_ecg_paper(ecg(), FS, LEADS, title="test")
    axes = figure.axes[0]
    dots_per_mm = figure.dpi / 25.4
    origin, one_mv, one_second = axes.transData.transform([(0, 0), (0, MM_PER_MILLIVOLT), (25, 0)])
    assert one_mv[1] - origin[1] == pytest.approx(10 * dots_per_mm, rel=1e-6)
    assert one_second[0] - origin[0] == pytest.approx(25 * dots_per_mm, rel=1e-6)

    image = png(figure)
    assert image.shape[1] / dots_per_mm == pytest.approx(270, abs=1)
    assert image.min() < 50 < 240 < image.max()  # ink on paper


def test_a_title_is_text_and_no_formula():
    figure = draw_ecg_paper(ecg(), FS, LEADS, r"50 $\frac{$ of it")  # as a formula it would fail
    assert r"50 $\frac{$ of it" in [text.get_text() for text in figure.axes[0].texts] and png(figure).size


def test_leads_stand_where_they_belong():
    signal = np.zeros((12, 10 * FS))
    signal += np.arange(12)[:, None] / 100  # every lead at a voltage of its own
    figure = draw_ecg_paper(signal, FS, LEADS)
    traces = lines(figure)
    assert len(traces) == 13
    texts = [text.get_text() for text in figure.axes[0].texts][:13]
    assert " ".join(texts) == "I aVR V1 V4 II aVL V2 V5 III aVF V3 V6 II"
    first = traces[0].get_ydata()[0]  # lead I, at 0 mV of the first row
    assert [t.get_ydata()[0] - first for t in traces[:4]] == pytest.approx([0, 0.3, 0.6, 0.9])
    widths = [np.ptp(trace.get_xdata()) for trace in (traces[0], traces[-1])]
    assert widths == pytest.approx([62.5 - 0.25, 250 - 0.25])


def test_lead_order_of_the_caller_does_not_matter():
    order = np.random.default_rng(3).permutation(12)
    signal = ecg()
    shuffled = draw_ecg_paper(signal[order], FS, [LEADS[i] for i in order])
    assert np.array_equal(png(draw_ecg_paper(signal, FS, LEADS)), png(shuffled))


def test_overlay_and_its_legend():
    figure = draw_ecg_paper(ecg(), FS, LEADS, overlay=ecg(seed=1), labels=("recorded", "decoded"))
    assert len(lines(figure)) == 26
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["recorded", "decoded"]
    assert not np.array_equal(png(figure), png(draw_ecg_paper(ecg(), FS, LEADS)))


def shaded(figure):
    """Per row of leads, where it is shaded, in mm: ``(left, right, strength)``."""
    bands = {}
    for mesh in (c for c in figure.axes[0].collections if isinstance(c, QuadMesh)):
        corners = mesh.get_coordinates()
        for left, right, strength in zip(corners[0, :-1, 0], corners[0, 1:, 0], mesh.get_array().ravel(), strict=True):
            if strength > 0:
                bands.setdefault(round(corners[0, 0, 1]), []).append(
                    (round(left, 3), round(right, 3), round(strength, 6))
                )
    return [bands[low] for low in sorted(bands, reverse=True) if bands[low]]


def test_time_is_shaded_in_every_column_and_under_the_rhythm_strip():
    spans = np.array([[1.0, 1.2], [4.9, 5.3], [8.0, 8.1]])  # the second reaches over two columns
    figure = draw_ecg_paper(ecg(), FS, LEADS, shading=(*spans.T, np.array([2.0, 2.0, 0.0])))
    second = 25
    first, two = (15 + second * 1.0, 15 + second * 1.2, 1.0), [15 + second * t for t in (4.9, 5.0, 5.3)]
    *columns, strip = shaded(figure)
    assert strip == [first, (two[0], two[2], 0.5)]  # as much weight in twice the time
    assert columns == [[first, (two[0], two[1], 0.5), (two[1], two[2], 0.5)]] * 3
    assert "shaded: where the answer depended on the ECG" in [text.get_text() for text in figure.axes[0].texts]


def test_columns_of_a_short_ecg_are_shaded_at_their_own_time():
    figure = draw_ecg_paper(ecg(4), FS, LEADS, shading=([0.6], [1.6], [1.0]))  # columns of 1 s
    assert shaded(figure)[:3] == [[(30.0, 40.0, 1.0), (40.0, 55.0, 1.0)]] * 3
    assert shaded(figure)[-1] == [(30.0, 55.0, 1.0)]


@pytest.mark.parametrize("seconds", [4, 9.97, 10])
def test_columns_stand_above_the_same_time_of_the_rhythm_strip_and_do_not_overlap(seconds):
    signal = np.tile(ecg(seconds)[:1], (12, 1))
    traces = [line for line in draw_ecg_paper(signal, FS, LEADS).axes[0].lines if len(line.get_xdata()) > 90]
    strip = dict(zip(np.round(traces[-1].get_xdata(), 6), traces[-1].get_ydata(), strict=True))
    for row in range(3):
        columns = traces[4 * row : 4 * row + 4]
        times = np.round(np.concatenate([line.get_xdata() for line in columns]), 6)
        assert times.tolist() == sorted(strip)
        shift = np.concatenate([line.get_ydata() for line in columns]) - [strip[time] for time in times]
        assert np.ptp(shift) == pytest.approx(0, abs=1e-9)


def test_a_part_of_a_recording_and_leads_that_are_absent_are_said():
    def words(signal):
        return [text.get_text() for text in draw_ecg_paper(signal, FS, LEADS).axes[0].texts]

    signal = ecg(95.6)
    signal[[1, 8]] = np.nan  # II, twice on the paper, and V3
    assert words(signal).count("not recorded") == 3
    assert "25 mm/s    10 mm/mV    first 10 s of 95.6 s" in words(signal)
    assert words(ecg()).count("not recorded") == 0 and "25 mm/s    10 mm/mV" in words(ecg())


def test_spans_that_overlap_add_up_and_no_weight_shades_nothing():
    """A code of several frames and those of its frames share the time."""
    figure = draw_ecg_paper(ecg(), FS, LEADS, shading=([0.0, 0.0, 0.1], [0.2, 0.1, 0.2], [0.2, 0.3, 0.1]))
    assert [strength for *_, strength in shaded(figure)[-1]] == pytest.approx([1.0, 0.5])
    assert shaded(draw_ecg_paper(ecg(), FS, LEADS, shading=([0.0], [1.0], [0.0]))) == []
    assert shaded(draw_ecg_paper(ecg(), FS, LEADS, shading=([], [], []))) == []


def test_shading_hides_neither_grid_nor_trace_and_darkens_evenly():
    starts = np.arange(10.0)
    shading = (starts, starts + 1, starts / 9)  # every second darker than the one before
    signal = np.zeros((12, 10 * FS))
    plain, image = (png(draw_ecg_paper(signal, FS, LEADS, shading=s)).mean(axis=2) for s in (None, shading))
    mm = plain.shape[1] / 270
    above_caption = slice(0, round(-8 * mm))
    inked = [lightness[above_caption] < 60 for lightness in (plain, image)]
    assert np.array_equal(*inked) and inked[0].any()

    strip = slice(round(-26 * mm), round(-16 * mm))  # a square centimetre of grid about its baseline
    seconds = [image[strip, round((22 + 25 * k) * mm) : round((32 + 25 * k) * mm)] for k in range(10)]
    steps = np.diff([np.median(square) for square in seconds])
    assert (steps < 0).all() and steps.min() > 1.2 * steps.max()
    contrast = [np.ptp(np.median(square, axis=0)) for square in (seconds[0], seconds[-1])]
    assert contrast[1] > 0.3 * contrast[0], "lines of the grid stand out where it is darkest"


def test_shading_of_no_time_is_refused():
    for starts, ends, weights in (([0], [1], [1, 2]), ([1], [1], [1]), ([0], [1], [-1]), ([0], [1], [np.nan])):
        with pytest.raises(UserError, match="shading takes"):
            draw_ecg_paper(ecg(), FS, LEADS, shading=(starts, ends, weights))


@pytest.mark.parametrize("seconds", [0.5, 2.5, 5, 30])
def test_other_durations(seconds):
    figure = draw_ecg_paper(ecg(seconds), FS, LEADS)
    assert png(figure).size
    right = figure.axes[0].get_xlim()[1]
    assert max(line.get_xdata().max() for line in figure.axes[0].lines) < right


def test_gaps_and_high_voltages():
    signal = ecg()
    signal[0] = np.nan
    signal[8, 300] = -40.0
    image = png(draw_ecg_paper(signal, FS, LEADS))
    assert image.shape[0] < 2.5 * image.shape[1]  # a spike does not blow up the paper
    assert png(draw_ecg_paper(np.full((12, 1000), np.nan), FS, LEADS)).size


def test_paper_refuses_what_is_no_ecg():
    with pytest.raises(UserError, match="leads"):
        draw_ecg_paper(ecg(), FS, (*LEADS[:11], "V1"))
    with pytest.raises(UserError, match="shape"):
        draw_ecg_paper(ecg().T, FS, LEADS)
    with pytest.raises(UserError, match="agree"):
        draw_ecg_paper(ecg(), FS, LEADS, overlay=ecg(5))
    with pytest.raises(UserError, match="rate"):
        draw_ecg_paper(ecg(), 0, LEADS)


def test_no_global_figure_state():
    draw_ecg_paper(ecg(), FS, LEADS)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
