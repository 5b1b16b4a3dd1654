"""Pictures on the page: the ECG on ECG paper, its reconstruction, and its tokens over time."""

import threading
from itertools import pairwise

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cardiolect.data_provider.record import LEADS, ECGRecord
from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.cli.show import reconstruct
from cardiolect.utils.plots import draw_ecg_paper

DPI = 150
RHYTHM_LEAD = "II"
_INK = "#111111"
_lock = threading.Lock()  # matplotlib's font caches are not thread-safe


def draw_paper(record: ECGRecord, shading: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None) -> Image.Image:
    """Draw the 12 leads; ``shading`` as for `draw_ecg_paper`."""
    with _lock:
        return _render(draw_ecg_paper(record.visible, record.fs, LEADS, shading=shading))


def draw_reconstruction(record: ECGRecord, representation: ECGRepresentation, item: np.ndarray) -> Image.Image | None:
    """Draw the signal decoded from an item over the ECG; None if the representation cannot be decoded."""
    if not representation.decodes:
        return None
    present, reconstruction = record.lead_present[:, None], reconstruct(representation, record, item)
    with _lock:
        return _render(
            draw_ecg_paper(
                record.visible,
                record.fs,
                LEADS,
                overlay=np.where(present, reconstruction, np.nan),
                labels=("ECG", "reconstruction"),
            )
        )


class TokenStrip:
    """Draws the tokens of an ECG below its rhythm lead, each over the time that it stands for.

    Codes have a row per codebook, and one for coarse codes; other tokens share a row. Tokens with similar meanings have
    similar colours: the first three principal components of `ECGRepresentation.geometry`, each spread evenly over the
    tokens.
    """

    def __init__(self, representation: ECGRepresentation):
        self.representation = representation
        geometry = None if representation.embeds else representation.geometry()
        self.colours = None
        if geometry is None:  # embedded ECGs, or tokens whose meaning is not known
            return
        geometry = geometry.float().cpu().numpy()
        self.colours = np.empty((len(geometry), 3))
        codes = isinstance(representation, ECGTokenizer)
        ends = np.cumsum([0, *(representation.layout.sizes if codes else [len(geometry)])])
        for start, end in pairwise(ends):  # each codebook has its own colour map
            centred = geometry[start:end] - geometry[start:end].mean(0)
            components = centred @ np.linalg.svd(centred, full_matrices=False)[2][:3].T
            ranks = components.argsort(axis=0).argsort(axis=0) / max(len(components) - 1, 1)
            self.colours[start:end] = 0.15 + 0.8 * np.pad(ranks, ((0, 0), (0, 3 - ranks.shape[1])))

    def draw(self, record: ECGRecord, item: np.ndarray) -> Image.Image | None:
        """Draw a picture as wide as the ECG; None if the tokens have no colours."""
        if self.colours is None:
            return None
        with _lock:
            return _render(self._figure(record, item))

    def _rows(self, tokens: int) -> list[tuple[str, np.ndarray]]:
        """Name and positions of each row."""
        if not isinstance(self.representation, ECGTokenizer):
            return [("tokens", np.arange(tokens))]
        layout = self.representation.layout
        coarse = layout.is_coarse(tokens)
        fine = np.flatnonzero(~coarse)
        names = [f"codebook {q + 1}" for q in range(layout.num_codebooks)] if layout.num_codebooks > 1 else ["codes"]
        rows = [(name, fine[q :: layout.num_codebooks]) for q, name in enumerate(names)]
        return [*rows, ("coarse", np.flatnonzero(coarse))] if coarse.any() else rows

    def _figure(self, record: ECGRecord, item: np.ndarray) -> Figure:
        times, numbers = self.representation.times(item), np.array(self.representation.token_ids(item))
        rows = self._rows(len(numbers))
        figure = Figure(figsize=(10.6, 1.6 + 0.42 * len(rows)), facecolor="white", layout="constrained")
        trace, *strips = figure.subplots(1 + len(rows), sharex=True, height_ratios=[2.4, *[1] * len(rows)])
        signal = record.visible[LEADS.index(RHYTHM_LEAD)]
        trace.plot(np.arange(len(signal)) / record.fs, signal, color=_INK, lw=0.7)
        trace.set_ylabel(RHYTHM_LEAD, rotation=0, ha="right", va="center")
        trace.spines[:].set_visible(False)
        trace.tick_params(left=False, labelleft=False, bottom=False)
        for axes, (name, positions) in zip(strips, rows, strict=True):
            durations = times[positions, 1] - times[positions, 0]
            order = positions[np.argsort(-durations, kind="stable")]  # short tokens lie on those that span them
            spans = [(start, end - start) for start, end in times[order]]
            axes.broken_barh(spans, (0, 1), facecolors=self.colours[numbers[order]], linewidth=0)
            axes.set_ylim(0, 1)
            axes.set_ylabel(name, rotation=0, ha="right", va="center")
            axes.spines[:].set_visible(False)
            axes.tick_params(left=False, labelleft=False, bottom=axes is strips[-1])
        strips[-1].set_xlabel("time (s); tokens with similar meanings have similar colours")
        trace.set_xlim(0, times[:, 1].max())
        return figure


def _render(figure: Figure) -> Image.Image:
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
