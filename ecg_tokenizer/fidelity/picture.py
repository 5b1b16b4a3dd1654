"""The panel as a picture: three recordings beside their reconstruction, distortion per lead, use of the codes."""

import numpy as np
from matplotlib.figure import Figure

from cardiolect.data_provider.record import LEADS
from cardiolect.ecg_tokenizer.fidelity.distortion import prdn

ORIGINAL, RECONSTRUCTION = "#111111", "#1f7aff"
SECONDS = 5.0


def draw_fidelity(measured: list, figures: dict, fs: float) -> Figure:
    """Best, median and worst recording by PRDN, each in lead II and in the lead that came out worst.

    measured: a list of `Measured`; figures: what `panel.panel` returns.
    """
    whole = [prdn(m.signal[m.present], m.decoded[m.present]) for m in measured]
    order = np.argsort(whole)
    chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    figure = Figure(figsize=(12, 11), dpi=110, layout="constrained")
    grid = figure.add_gridspec(4, 2, height_ratios=(1, 1, 1, 1.1))
    for row, (name, index) in enumerate(chosen.items()):
        m = measured[index]
        errors = [prdn(m.signal[[k]], m.decoded[[k]]) if m.present[k] else -1.0 for k in range(len(LEADS))]
        for column, lead in enumerate((LEADS.index("II"), int(np.argmax(errors)))):
            axes = figure.add_subplot(grid[row, column])
            shown = slice(0, round(SECONDS * fs))
            signal, decoded = (x[lead, shown] for x in (m.signal, m.decoded))
            time = np.arange(len(signal)) / fs
            axes.plot(time, signal, color=ORIGINAL, lw=1.2, label="original")
            axes.plot(time, decoded, color=RECONSTRUCTION, lw=0.8, label="reconstruction")
            which = f"{name} recording, {whole[index]:.0f} %" if column == 0 else "its worst lead"
            said = f"{errors[lead]:.0f} %" if m.present[lead] else "not recorded"
            axes.set_title(f"{which}: lead {LEADS[lead]}, {said}", fontsize=9)
            axes.set(ylabel="mV", xlim=(0, SECONDS))
            axes.grid(color="#eeeeee")
            if row == 2:
                axes.set_xlabel("s")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False)
    axes = figure.add_subplot(grid[3, 0])
    leads = figures["distortion"]["leads"]
    axes.bar(list(leads), [f["prdn"] for f in leads.values()], color=RECONSTRUCTION)
    axes.set(ylabel="PRDN (%)")
    axes.set_title("distortion per lead, mean over recordings", fontsize=9)
    axes = figure.add_subplot(grid[3, 1])
    rate = figures["rate"]
    counts = np.bincount(np.concatenate([m.codes for m in measured]), minlength=rate["codebook_size"])
    sizes = [book["codebook_size"] for book in rate["by_codebook"]]
    for book in np.split(counts, np.cumsum(sizes)[:-1]):
        axes.plot(np.sort(book)[::-1] / max(1, book.sum()) * len(book), color=RECONSTRUCTION)
    axes.set(yscale="log", xlabel="codes of each codebook, by frequency", ylabel="use, relative to the mean")
    axes.set_title(
        f"{rate['codes_used']} of {rate['codebook_size']} codes, entropy {rate['entropy_bits']:.2f} bit", fontsize=9
    )
    return figure
