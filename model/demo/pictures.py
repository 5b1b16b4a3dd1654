"""Pictures of the page: the ECG on paper, what its tokens keep of it, and the tokens along time."""

import threading
from itertools import pairwise

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cardiolect.data_provider.record import LEADS, ECGRecord
from cardiolect.ecg_tokenizer import ECGTokenizer
from cardiolect.model.cli.reconstruction import reconstruct
from cardiolect.utils.plots import draw_ecg_paper

DPI = 150
RHYTHM_LEAD = "II"
_INK = "#111111"
_drawing = threading.Lock()  # matplotlib's caches of fonts are not made for threads


def draw_paper(record: ECGRecord, shading: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None) -> Image.Image:
    """The 12 leads; shading as `draw_ecg_paper` takes it."""
    with _drawing:
        return _rendered(draw_ecg_paper(_known(record), record.fs, LEADS, shading=shading))


def draw_reconstruction(record: ECGRecord, tokenizer: ECGTokenizer, codes: np.ndarray) -> Image.Image:
    """What the codes decode to, over the ECG."""
    there, kept = record.lead_present[:, None], reconstruct(tokenizer, record, codes)
    with _drawing:
        return _rendered(
            draw_ecg_paper(
                np.where(there, record.signal, np.nan),
                record.fs,
                LEADS,
                overlay=np.where(there, kept, np.nan),
                labels=("ECG", "from its tokens"),
            )
        )


class TokenStrip:
    """The codes of an ECG under its rhythm lead: a row for each codebook, coarse codes apart.

    Codes that mean similar things have similar colours: the first three principal components of
    `ECGTokenizer.code_geometry`, each spread evenly over the codes.
    """

    def __init__(self, tokenizer: ECGTokenizer):
        self.tokenizer = tokenizer
        geometry = tokenizer.code_geometry().float().cpu().numpy()
        self.colours = np.empty((len(geometry), 3))
        ends = np.cumsum([0, *tokenizer.layout.sizes])
        for first, behind in pairwise(ends):  # the colours of each codebook are its own
            own = geometry[first:behind] - geometry[first:behind].mean(0)
            parts = own @ np.linalg.svd(own, full_matrices=False)[2][:3].T
            ranks = parts.argsort(axis=0).argsort(axis=0) / max(len(parts) - 1, 1)
            self.colours[first:behind] = 0.15 + 0.8 * np.pad(ranks, ((0, 0), (0, 3 - ranks.shape[1])))

    def draw(self, record: ECGRecord, codes: np.ndarray) -> Image.Image:
        """A picture as wide as the paper."""
        with _drawing:
            return _rendered(self._figure(record, codes))

    def _figure(self, record: ECGRecord, codes: np.ndarray) -> Figure:
        layout, times = self.tokenizer.layout, self.tokenizer.code_times(len(codes))
        coarse = layout.is_coarse(len(codes))
        fine = np.flatnonzero(~coarse)
        names = [f"codebook {q + 1}" for q in range(layout.num_codebooks)] if layout.num_codebooks > 1 else ["codes"]
        rows = [(name, fine[q :: layout.num_codebooks]) for q, name in enumerate(names)]
        if coarse.any():
            rows.append(("coarse", np.flatnonzero(coarse)))
        figure = Figure(figsize=(10.6, 1.6 + 0.42 * len(rows)), facecolor="white", layout="constrained")
        trace, *strips = figure.subplots(1 + len(rows), sharex=True, height_ratios=[2.4, *[1] * len(rows)])
        signal = _known(record)[LEADS.index(RHYTHM_LEAD)]
        trace.plot(np.arange(len(signal)) / record.fs, signal, color=_INK, lw=0.7)
        trace.set_ylabel(RHYTHM_LEAD, rotation=0, ha="right", va="center")
        trace.spines[:].set_visible(False)
        trace.tick_params(left=False, labelleft=False, bottom=False)
        for axes, (name, places) in zip(strips, rows, strict=True):
            edges = np.append(times[places, 0], times[places[-1], 1])
            axes.pcolormesh(edges, [0, 1], self.colours[codes[places]][None])
            axes.set_ylabel(name, rotation=0, ha="right", va="center")
            axes.spines[:].set_visible(False)
            axes.tick_params(left=False, labelleft=False, bottom=axes is strips[-1])
        strips[-1].set_xlabel("tokens along time (seconds); similar codes have similar colours")
        trace.set_xlim(0, times[-1, 1])
        return figure


def _known(record: ECGRecord) -> np.ndarray:
    """The signal with gaps where nothing is known."""
    return np.where(record.good, record.signal, np.nan)


def _rendered(figure: Figure) -> Image.Image:
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
