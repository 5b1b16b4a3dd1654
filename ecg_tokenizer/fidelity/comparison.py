"""Several tokenizers, measured on the same recordings, in one table."""

from collections.abc import Sequence
from pathlib import Path

from cardiolect.data_provider.record import LEADS
from cardiolect.ecg_tokenizer.fidelity.table import spread
from cardiolect.utils.errors import UserError


def names_of(folders: Sequence[Path]) -> list[str]:
    """A name for each folder: its own, with those of the folders above it as far as they are needed to differ."""
    parts = [folder.resolve().parts[1:] for folder in folders]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["-".join(path[-depth:]) for path in parts]
        if len(set(names)) == len(names):
            return names
    raise UserError(f"--tokenizer {' '.join(map(str, folders))}: a folder is named twice")


def compare(panels: dict[str, dict]) -> dict:
    """What `panel.panel` returned for each tokenizer -> records, reference_rate, prompt_tokens, and ``rows``.

    A tokenizer whose tokens do not tell millivolts has a second row, for its reconstruction with the range of each ECG.
    Its bits do not include that range.
    """
    first = next(iter(panels.values()))
    rows = []
    for name, figures in panels.items():
        rows.append(_row(name, figures, figures))
        if given := figures.get("range_given"):
            rows.append({**_row(f"{name}, range given", figures, given), "auroc_reconstruction": None})
    return {
        "records": first["records"],
        "reference_rate": first["reference_rate"],
        "prompt_tokens": first["rate"]["prompt"]["tokens"],
        "auroc_raw": first["probe"]["raw"]["auroc"] if first.get("probe") else None,
        "rows": rows,
    }


def _row(name: str, figures: dict, judged: dict) -> dict:
    """judged: the figures of the reconstruction, of ``figures`` itself or with the range given."""
    d, r, readings = judged["distortion"], figures["rate"], judged["readings"]["reconstruction"]
    probed = figures.get("probe") or {}
    return {
        "tokenizer": name,
        "tokens_per_10_s": r["tokens_per_10_s"],
        "tokens_per_10_s_p5_p95": r["tokens_per_10_s_p5_p95"],
        "kbit_per_10_s": r["kbit_per_10_s"],
        "prdn": d["prdn"],
        "prdn_median": d["prdn_median"],
        "worst_lead": d["worst_lead"],
        "worst_lead_prdn": d["leads"][d["worst_lead"]]["prdn"],
        "leads": {lead: f["prdn"] for lead, f in d["leads"].items()},
        "r_peak_f1": readings["r_peak_f1"],
        "heart_rate_error_bpm": readings["heart_rate_error_bpm"],
        **{f"auroc_{kind}": probed[kind]["auroc"] if kind in probed else None for kind in ("codes", "reconstruction")},
        "prompt_leads": r["prompt"]["leads"],
        "prompt_seconds": r["prompt"]["seconds"],
    }


def comparison_table(comparison: dict) -> str:
    """Fixed-width lines from what `compare` returns."""
    probed = comparison["auroc_raw"] is not None
    leads = [lead for lead in LEADS if any(lead in row["leads"] for row in comparison["rows"])]
    titles = ["tokenizer", "tokens", "kbit", "PRDN", "median", "worst lead", *leads, "R F1", "bpm"]
    titles += [*(["AUROC codes", "AUROC rec."] if probed else []), "leads", "s"]
    lines = [titles]
    for row in comparison["rows"]:
        cells = [
            row["tokenizer"],
            f"{row['tokens_per_10_s']:.0f}{spread(row['tokens_per_10_s_p5_p95'], 0)}",
            f"{row['kbit_per_10_s']:.2f}",
            f"{row['prdn']:.1f}",
            f"{row['prdn_median']:.1f}",
            f"{row['worst_lead']} {row['worst_lead_prdn']:.1f}",
            *(_cell(row["leads"].get(lead), 0) for lead in leads),
            f"{row['r_peak_f1']:.3f}",
            _cell(row["heart_rate_error_bpm"], 2),
        ]
        if probed:
            cells += [_cell(row[f"auroc_{kind}"], 3) for kind in ("codes", "reconstruction")]
        lines.append([*cells, f"{row['prompt_leads']:g}", f"{row['prompt_seconds']:.1f}"])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = []
    for name, *cells in lines:
        text.append("  ".join([name.ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells, widths[1:], strict=True))]))
    notes = [
        f"{comparison['records']} recordings, the same for all, judged at {comparison['reference_rate']} Hz.",
        "tokens, kbit: per 10 s of ECG, median over recordings (5th to 95th percentile of the tokens if they vary).",
        "PRDN: percent, all leads together, mean and median over recordings; of each lead the mean over recordings.",
        "R F1: R peaks found within 50 ms; bpm: mean error of the heart rate.",
        f"leads, s: what the first {comparison['prompt_tokens']} tokens of an ECG show of it, medians.",
    ]
    if any("range given" in row["tokenizer"] for row in comparison["rows"]):
        notes.append(
            "range given: the tokens do not tell millivolts. They are read with the range of a typical ECG,\n"
            "and in this row with the range of each ECG, whose bits are not counted."
        )
    if probed:
        notes.append(
            "AUROC: macro-AUROC of the superclasses, a linear probe of the codes and of the reconstruction; "
            f"raw signals {comparison['auroc_raw']:.3f}."
        )
    return "\n".join([*text, "", *notes]) + "\n"


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
