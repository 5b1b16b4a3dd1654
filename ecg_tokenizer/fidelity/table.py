"""The panel as text."""

from cardiolect.ecg_tokenizer.fidelity.rhythm import UNITS

NAMES = {"heart_rate": "heart rate", "qrs": "QRS", "pr": "PR", "qt": "QT"}


def table(figures: dict) -> str:
    """Fixed-width lines from what `panel` returns."""
    d, r = figures["distortion"], figures["rate"]
    lines = [
        f"{figures['records']} recordings at {figures['sampling_rate']} Hz, {figures['tokenizer']['quantizer']}",
        "",
        f"rate         {r['tokens_per_second']:.1f} tokens/s, {r['bits_per_second']:.0f} bit/s; "
        f"10 s: {r['tokens_per_10_s']} tokens, {r['kbit_per_10_s']:.2f} kbit",
        f"codes        {r['codes_used']} of {r['codebook_size']} used ({r['codes_used'] / r['codebook_size']:.0%}), "
        f"entropy {r['entropy_bits']:.2f} bit, normalised {r['normalised_entropy']:.2f}",
        *_by_codebook(r["by_codebook"]),
        f"distortion   PRDN {d['prdn']:.1f} % (median {d['prdn_median']:.1f}, worst {d['prdn_worst']:.1f}), "
        f"SNR {d['snr_db']:.1f} dB, RMSE {d['rmse_mv']:.3f} mV",
    ]
    if "einthoven_mv_signal" in d:
        before, after = d["einthoven_mv_signal"], d["einthoven_mv_decoded"]
        lines.append(f"Einthoven    |I + III - II| {after:.4f} mV rms, original {before:.4f}")
    lines += ["", f"{'lead':<6}{'PRDN %':>8}{'SNR dB':>8}{'RMSE mV':>9}"]
    lines += [f"{lead:<6}{f['prdn']:>8.1f}{f['snr']:>8.1f}{f['rmse']:>9.3f}" for lead, f in d["leads"].items()]
    readings = figures["readings"]
    found, again = readings["reconstruction"], readings["original_with_noise"]
    lines += [
        "",
        f"{'what a reader measures':<24}{'reconstruction':>16}{'original + 10 uV':>18}{'recordings':>12}{'lost':>6}",
    ]
    lines.append(f"{'R peaks, F1 at 50 ms':<24}{found['r_peak_f1']:>16.3f}{again['r_peak_f1']:>18.3f}")
    for key, unit in UNITS.items():
        cells = [
            "-" if side[f"{key}_error_{unit}"] is None else f"{side[f'{key}_error_{unit}']:.2f}"
            for side in (found, again)
        ]
        label, counts = f"{NAMES[key]} error, {unit}", (readings["recordings"][key], readings["lost"][key])
        lines.append(f"{label:<24}{cells[0]:>16}{cells[1]:>18}{counts[0]:>12}{counts[1]:>6}")
    if probed := figures.get("probe"):
        classes, (fitted, judged) = " ".join(probed["classes"]), probed["records"]
        lines += ["", f"linear probe, macro-AUROC of {classes}; fitted on {fitted}, judged on {judged} recordings"]
        for kind in ("raw", "codes", "reconstruction"):
            cell = probed[kind]
            text = f"{kind:<16}{cell['auroc']:.3f} [{cell['ci95'][0]:.3f}, {cell['ci95'][1]:.3f}]"
            if kind != "raw":
                low, high = cell["minus_raw_ci95"]
                text += f"   minus raw {cell['minus_raw']:+.3f} [{low:+.3f}, {high:+.3f}]"
            lines.append(text)
    return "\n".join(lines) + "\n"


def _by_codebook(books: list[dict]) -> list[str]:
    """A line per codebook, where there are several; coarse codes have the last one."""
    return [
        f"  codebook {number}: {book['codes_used']} of {book['codebook_size']}, "
        f"entropy {book['entropy_bits']:.2f} bit, normalised {book['normalised_entropy']:.2f}"
        for number, book in enumerate(books, start=1)
        if len(books) > 1
    ]
