"""The audit as one self-contained page."""

import base64
import html
import io

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

NO_LEAKAGE = "no leakage found: no known patient, no recognised ECG and no long rare report is in two splits"
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111;"
    "background:#fff}table{border-collapse:collapse;margin:.5rem 0}"
    "td,th{padding:.15rem .6rem;border-bottom:1px solid #ddd;text-align:left}"
    "img{max-width:100%}.leak{color:#b00020;font-weight:600}"
)


def page(figures: dict) -> str:
    """HTML of what `audit` returns."""
    parts = [f"<!doctype html><meta charset=utf-8><title>Audit</title><style>{STYLE}</style><h1>Audit</h1>"]
    if figures["leaks"]:
        parts += [f"<p class=leak>{html.escape(line)}</p>" for line in figures["leaks"]]
    else:
        parts.append(f"<p>{NO_LEAKAGE[0].upper()}{NO_LEAKAGE[1:]}.</p>")
    parts.append(f"<p>{len(figures['duplicates'])} groups of recordings hold the same ECG.</p>")
    parts += ["<p>Not recognised:</p><ul>", *(f"<li>{html.escape(what)}</li>" for what in figures["not_recognised"])]
    parts.append("</ul>")
    for name, corpus in figures["corpora"].items():
        parts.append(f"<h2>{html.escape(name)}</h2>")
        splits = ", ".join(f"{n} {split or 'without split'}" for split, n in corpus["splits"].items())
        rows = {
            "recordings": f"{corpus['records']} ({splits})",
            "patients": f"{corpus['patients']} of {corpus['database']}, {corpus['patient_unknown']} recordings without",
            "licence": corpus["licence"],
            "unreadable": _counts(corpus["unreadable"]) or "none",
            "limb leads contradict Einthoven's law": str(corpus["limb_leads_contradict"]),
            "masked in part": str(corpus["masked_in_part"]),
            "leads computed from others": str(corpus["leads_computed"]),
            "a lead more than 1 mV off": str(corpus["offset_above_1_mv"]),
            "left out when prepared": _counts(corpus["left_out"]) or "none",
            "sampling rates, Hz": _counts(corpus["sampling_rates"]),
            "seconds": _counts(corpus["seconds"]),
            "reports": "{reports}, {reports_different} different, {reports_empty} empty, {reports_administrative} "
            "administrative".format(**corpus["texts"]),
            "questions": str(corpus["texts"]["questions"]),
        }
        parts.append(_table([["", ""], *([key, value] for key, value in rows.items())]))
        parts.append(f'<img alt="amplitudes per lead" src="data:image/png;base64,{_amplitudes(corpus["leads"])}">')
        commonest = corpus["texts"]["reports_commonest"]
        if commonest:
            parts.append("<h3>Commonest reports</h3>")
            parts.append(_table([["count", "text"], *([str(c["count"]), c["text"][:200]] for c in commonest)]))
        for kind, answers in corpus["texts"]["answers"].items():
            parts.append(f"<h3>Answers of {html.escape(kind or 'questions')}</h3>")
            rows_ = [[str(c["count"]), c["answer"]] for c in answers["commonest"]]
            parts.append(_table([["count", f"answer; the first is correct in {answers['majority']:.0%}"], *rows_]))
    return "\n".join(parts) + "\n"


def _counts(counts: dict) -> str:
    return ", ".join(f"{name}: {n}" for name, n in counts.items())


def _table(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = ["<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + "</tr>"] if any(head) else []
    lines += ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body]
    return f"<table>{''.join(lines)}</table>"


def _amplitudes(leads: dict[str, dict[str, float]]) -> str:
    figure, axes = plt.subplots(figsize=(8, 2.6), layout="constrained")
    median = [lead["median_mv"] for lead in leads.values()]
    errors = [
        [lead["median_mv"] - lead["q25_mv"] for lead in leads.values()],
        [lead["q75_mv"] - lead["median_mv"] for lead in leads.values()],
    ]
    axes.bar(list(leads), median, yerr=errors, color="#1f77ff", ecolor="#333333", capsize=3)
    axes.set(ylabel="mV", title="1st to 99th percentile of a recording's samples: median and quartiles")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()
