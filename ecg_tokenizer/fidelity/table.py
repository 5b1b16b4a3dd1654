"""The panel as text."""

from cardiolect.ecg_tokenizer.fidelity.rhythm import UNITS

NAMES = {"heart_rate": "heart rate", "qrs": "QRS", "pr": "PR", "qt": "QT"}


def table(figures: dict) -> str:
    """Fixed-width lines from what `panel` returns."""
    d, r = figures["distortion"], figures["rate"]
    kind = figures["tokenizer"]["quantizer"] or figures["tokenizer"]["representation"]
    unit = "codes" if figures["tokenizer"]["quantizer"] else "tokens"
    lines = [
        f"{figures['records']} recordings judged at {figures['reference_rate']} Hz; "
        f"{kind} at {figures['sampling_rate']:g} Hz",
        "",
        *_rate(r),
        f"{unit:<13}{r['codes_used']} of {r['codebook_size']} used ({r['codes_used'] / r['codebook_size']:.0%}), "
        f"entropy {r['entropy_bits']:.2f} bit ({r['entropy_kbit_per_10_s']:.2f} kbit per 10 s), "
        f"normalised {r['normalised_entropy']:.2f}",
        *_by_codebook(r["by_codebook"]),
        _distortion("distortion", d),
    ]
    if given := figures.get("range_given"):
        lines.append(_distortion("range given", given["distortion"]))
        lines.append("             the tokens do not tell millivolts: read with a typical range, or with the ECG's own")
    if "einthoven_mv_signal" in d:
        before, after = d["einthoven_mv_signal"], d["einthoven_mv_decoded"]
        lines.append(f"Einthoven    |I + III - II| {after:.4f} mV rms, original {before:.4f}")
    head = f"{'lead':<6}{'PRDN %':>8}{'SNR dB':>8}{'RMSE mV':>9}"
    rows = [f"{lead:<6}{f['prdn']:>8.1f}{f['snr']:>8.1f}{f['rmse']:>9.3f}" for lead, f in d["leads"].items()]
    if given:
        head += f"{'PRDN %, range given':>21}"
        ranged = given["distortion"]["leads"].values()
        rows = [f"{row}{f['prdn']:>21.1f}" for row, f in zip(rows, ranged, strict=True)]
    lines += ["", head, *rows]
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
            if kind not in probed:
                lines.append(f"{kind:<16}not probed: the tokens are not a series with a fixed rate")
                continue
            cell = probed[kind]
            text = f"{kind:<16}{cell['auroc']:.3f} [{cell['ci95'][0]:.3f}, {cell['ci95'][1]:.3f}]"
            if kind != "raw":
                low, high = cell["minus_raw_ci95"]
                text += f"   minus raw {cell['minus_raw']:+.3f} [{low:+.3f}, {high:+.3f}]"
            lines.append(text)
    return "\n".join(lines) + "\n"


def _rate(r: dict) -> list[str]:
    """Tokens and bits, and what a prompt of few tokens shows."""
    per_second = ""
    if "tokens_per_second" in r:
        per_second = f"{r['tokens_per_second']:.1f} tokens/s, {r['bits_per_second']:.0f} bit/s; "
    prompt = r["prompt"]
    lines = [
        f"rate         {per_second}10 s: {r['tokens_per_10_s']:.0f} tokens{spread(r['tokens_per_10_s_p5_p95'], 0)}, "
        f"{r['kbit_per_10_s']:.2f} kbit{spread(r['kbit_per_10_s_p5_p95'], 2)}"
    ]
    if spread(r["tokens_per_10_s_p5_p95"], 0):
        lines.append("             medians over recordings, in brackets the 5th to the 95th percentile")
    return [
        *lines,
        f"prompt       first {prompt['tokens']} tokens show {prompt['leads']:g} leads for {prompt['seconds']:.1f} s "
        f"(medians), {prompt['whole_ecgs']:.0%} of the recordings as a whole",
    ]


def spread(percentiles: list[float], digits: int) -> str:
    """The 5th and 95th percentile as `` (a-b)``; nothing if they do not differ."""
    low, high = (f"{value:.{digits}f}" for value in percentiles)
    return f" ({low}-{high})" if low != high else ""


def _distortion(name: str, d: dict) -> str:
    """One line of the distortion over all leads, with the worst lead named."""
    worst = d["worst_lead"]
    return (
        f"{name:<13}PRDN {d['prdn']:.1f} % (median {d['prdn_median']:.1f}, worst {d['prdn_worst']:.1f}), "
        f"worst lead {worst} {d['leads'][worst]['prdn']:.1f} %; SNR {d['snr_db']:.1f} dB, RMSE {d['rmse_mv']:.3f} mV"
    )


def _by_codebook(books: list[dict]) -> list[str]:
    """A line per codebook, where there are several; coarse codes have the last one."""
    return [
        f"  codebook {number}: {book['codes_used']} of {book['codebook_size']}, "
        f"entropy {book['entropy_bits']:.2f} bit, normalised {book['normalised_entropy']:.2f}"
        for number, book in enumerate(books, start=1)
        if len(books) > 1
    ]
