"""Pictures on the page: the ECG on ECG paper, its reconstruction, and its tokens over time."""

import threading
from itertools import pairwise

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cardiolect.data_provider.record import LEADS, ECGRecord
from cardiolect.ecg_tokenizer import ECGTokenizer
from cardiolect.model.cli.show import reconstruct
from cardiolect.utils.plots import draw_ecg_paper

DPI = 150
RHYTHM_LEAD = "II"
_INK = "#111111"
_lock = threading.Lock()  # matplotlib's font caches are not thread-safe


def draw_paper(record: ECGRecord, shading: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None) -> Image.Image:
    """Draw the 12 leads; ``shading`` as for `draw_ecg_paper`."""
    with _lock:
        return _render(draw_ecg_paper(_masked_signal(record), record.fs, LEADS, shading=shading))


def draw_reconstruction(record: ECGRecord, tokenizer: ECGTokenizer, codes: np.ndarray) -> Image.Image:
    """Draw the signal decoded from the codes over the ECG."""
    present, reconstruction = record.lead_present[:, None], reconstruct(tokenizer, record, codes)
    with _lock:
        return _render(
            draw_ecg_paper(
                np.where(present, record.signal, np.nan),
                record.fs,
                LEADS,
                overlay=np.where(present, reconstruction, np.nan),
                labels=("ECG", "reconstruction"),
            )
        )


class TokenStrip:
    """Draws the codes of an ECG below its rhythm lead: one row per codebook, and one for coarse codes.

    Codes with similar meanings have similar colours: the first three principal components of
    `ECGTokenizer.code_geometry`, each spread evenly over the codes.
    """

    def __init__(self, tokenizer: ECGTokenizer):
        self.tokenizer = tokenizer
        geometry = tokenizer.code_geometry().float().cpu().numpy()
        self.colours = np.empty((len(geometry), 3))
        ends = np.cumsum([0, *tokenizer.layout.sizes])
        for start, end in pairwise(ends):  # each codebook has its own colour map
            centred = geometry[start:end] - geometry[start:end].mean(0)
            components = centred @ np.linalg.svd(centred, full_matrices=False)[2][:3].T
            ranks = components.argsort(axis=0).argsort(axis=0) / max(len(components) - 1, 1)
            self.colours[start:end] = 0.15 + 0.8 * np.pad(ranks, ((0, 0), (0, 3 - ranks.shape[1])))

    def draw(self, record: ECGRecord, codes: np.ndarray) -> Image.Image:
        """Draw a picture as wide as the ECG."""
        with _lock:
            return _render(self._figure(record, codes))

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
        signal = _masked_signal(record)[LEADS.index(RHYTHM_LEAD)]
        trace.plot(np.arange(len(signal)) / record.fs, signal, color=_INK, lw=0.7)
        trace.set_ylabel(RHYTHM_LEAD, rotation=0, ha="right", va="center")
        trace.spines[:].set_visible(False)
        trace.tick_params(left=False, labelleft=False, bottom=False)
        for axes, (name, positions) in zip(strips, rows, strict=True):
            edges = np.append(times[positions, 0], times[positions[-1], 1])
            axes.pcolormesh(edges, [0, 1], self.colours[codes[positions]][None])
            axes.set_ylabel(name, rotation=0, ha="right", va="center")
            axes.spines[:].set_visible(False)
            axes.tick_params(left=False, labelleft=False, bottom=axes is strips[-1])
        strips[-1].set_xlabel("time (s); tokens with similar codes have similar colours")
        trace.set_xlim(0, times[-1, 1])
        return figure


def _masked_signal(record: ECGRecord) -> np.ndarray:
    """The signal with NaN in place of bad samples."""
    return np.where(record.good, record.signal, np.nan)


def _render(figure: Figure) -> Image.Image:
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
