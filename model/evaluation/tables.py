"""Tables of scores for a terminal, in percent."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cardiolect.model.evaluation.breakdown import KEYS
from cardiolect.model.evaluation.conditions import CONDITIONS, WITH_ECG
from cardiolect.model.evaluation.verdict import gaps, score_name
from cardiolect.model.prompt.tasks import TASKS

IN_SCORES = ("question_type", "attribute_type")  # groups.txt has the others


def scores_table(result: Mapping[str, Any]) -> str:
    """Scores under every condition with their intervals, notes, and the signal-use gap."""
    names, conditions = list(result["conditions"]), result["conditions"]
    lines = [
        f"{result['task']}: {result['samples']} samples of {result['records']} recordings, "
        f"{result['patients']} patients; METRICS={result['metrics']['name']}; percent"
    ]
    if result["derived"]:
        lines.append(
            f"{result['derived']} samples are derived from labels and cannot be compared with published scores"
        )
    if "ecgs" in result.get("data", {}):  # missing in results of older versions
        lines.append(ecg_line(result["data"]["ecgs"]))
    if marked := marked_line(result.get("data", {}).get("marked", {})):
        lines.append(marked)
    lines.append(row("", [CONDITIONS[name].heading for name in names]))
    if TASKS[result["task"]].exact_match:
        lines.append(row(f"{score_name('em')} ({result['samples']})", [conditions[n]["em"] for n in names]))
        lines += _intervals(result, result["score"], names)
    for key in conditions[WITH_ECG]:
        if key != "em":
            lines.append(row(key, [conditions[n].get(key) for n in names]))
            if not TASKS[result["task"]].exact_match:
                lines += _intervals(result, key, names)
    for key in IN_SCORES:
        for group, cell in result.get("groups", {}).get(key, {}).items():
            lines.append(row(f"{group} ({cell['n']})", [cell["em"].get(n) for n in names]))
    lines += [f"{key}: {note}" for key, note in result["notes"].items()]
    if result.get("cut_off"):
        cut = ", ".join(f"{CONDITIONS[name].heading} {n}" for name, n in result["cut_off"].items())
        lines.append(f"texts cut off by MAX_NEW_TOKENS: {cut}")
    if result.get("verify", {}).get(WITH_ECG):
        means = balanced_accuracy(result)
        questions = len(result["verify"][WITH_ECG])
        lines.append(row(f"balanced accuracy ({questions} questions)", [means.get(name) for name in names]))
    if "choices" in result:
        listed = result["choices"]
        lines.append(
            f"answers ranked among {listed['mean_candidates']:.1f} candidates; for {listed['outside']} samples the "
            f"right one is not among them, so at most {100 * listed['ceiling']:.1f} % can be right"
        )
    for gap in gaps(result):
        lines.append(
            f"signal-use gap of {score_name(gap['of'])}: {points(gap['value'])} points{interval(gap['ci95'])} "
            f"against the best floor, {CONDITIONS[gap['best_floor']].heading}"
        )
    return "\n".join(lines)


def ecg_line(sizes: Mapping[str, Mapping[str, float]]) -> str:
    """The tokens of an ECG in a prompt, and the leads and seconds that they cover."""
    tokens, leads, seconds = (sizes[name] for name in ("tokens", "leads", "seconds"))
    several = f" (median; {tokens['min']:g} to {tokens['max']:g})" if tokens["min"] < tokens["max"] else ""
    least = f" (at least {leads['min']:g})" if leads["min"] < leads["median"] else ""
    shortest = f" (at least {seconds['min']:.1f} s)" if seconds["min"] < seconds["median"] - 0.05 else ""
    return (
        f"an ECG takes {tokens['median']:g} tokens{several}, which show {leads['median']:g} leads{least} and "
        f"{seconds['median']:.1f} s{shortest}"
    )


def marked_line(marked: Mapping[str, int]) -> str:
    """How many recordings have leads that are not as recorded; "" if none has."""
    words = {
        "absent": "lack leads",
        "computed": "have limb leads computed from others",
        "masked": "have stretches without a voltage, which are masked",
        "contradicts": "have limb leads that contradict one another",
    }
    told = [f"{marked[name]} {what}" for name, what in words.items() if marked.get(name)]
    return f"of {marked['recordings']} recordings {', '.join(told)}" if told else ""


def balanced_accuracy(result: Mapping[str, Any]) -> dict[str, float]:
    """Condition -> mean over yes-or-no questions; empty without any. Guessing gives 0.5, however rare yes is."""
    return {
        name: float(np.mean([each["balanced_accuracy"] for each in rows.values()]))
        for name, rows in result.get("verify", {}).items()
        if rows
    }


def _intervals(result: Mapping[str, Any], score: str, names: Sequence[str]) -> list[str]:
    """A row with the intervals of a score, if it has any."""
    ends = result.get("ci95", {}).get(score, {})
    cells = ["-" if ends.get(n, [None])[0] is None else interval(ends[n]).strip() for n in names]
    return [row("  95 %, over patients", cells)] if ends else []


def groups_table(result: Mapping[str, Any]) -> str:
    """Exact match by group; empty without groups."""
    names = list(result["conditions"])
    lines = []
    for key in KEYS:
        if groups := result.get("groups", {}).get(key):
            heads = [CONDITIONS[n].heading for n in names]
            lines += [
                "",
                row(f"{score_name('em')} by {key.replace('_', ' ')}", heads) + ("" if key == "answer" else "     gap"),
            ]
            for group, cell in groups.items():
                gap = f"{points(cell['gap']):>8}{interval(cell.get('gap_ci95'))}" if "gap" in cell else ""
                lines.append(row(f"{group} ({cell['n']})", [cell["em"].get(n) for n in names]) + gap)
                if "example" in cell:
                    lines.append(f"    {cell['example']}")
    return "\n".join(lines[1:])


def verify_table(result: Mapping[str, Any]) -> str:
    """Yes-or-no questions one by one; empty without any."""
    with_ecg, *others = result["verify"].items()
    if not with_ecg[1]:
        return ""
    lines = [
        "yes-or-no questions: sensitivity, specificity with 95 % intervals, balanced accuracy (guessing: 50); percent",
        f"{'yes':>5}{'no':>6}{'sensitivity':>18}{'specificity':>18}{'balanced':>10}{'AUROC':>8}"
        + "".join(f"{CONDITIONS[name].heading:>15}" for name, _ in others)
        + "  question",
    ]
    for question, found in with_ecg[1].items():
        cells = [
            f"{100 * found[key]:.0f} [{100 * found[key + '_ci95'][0]:.0f}, {100 * found[key + '_ci95'][1]:.0f}]"
            for key in ("sensitivity", "specificity")
        ]
        ranked = f"{100 * found['auroc']:.0f}" if "auroc" in found else "-"
        lines.append(
            f"{found['yes']:5}{found['no']:6}{cells[0]:>18}{cells[1]:>18}{100 * found['balanced_accuracy']:10.0f}"
            f"{ranked:>8}"
            + "".join(f"{100 * other[question]['balanced_accuracy']:15.0f}" for _, other in others)
            + f"  {question}"
        )
    return "\n".join(lines)


def points(value: float) -> str:
    """A difference of fractions in percentage points."""
    return f"{100 * value:+.1f}"


def interval(ends: Sequence[float | None] | None) -> str:
    """A 95 % interval over patients in percentage points; empty if there is none."""
    return "" if ends is None or ends[0] is None else f" [{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"


def row(label: str, cells: Sequence[str | float | None]) -> str:
    texts = [c if isinstance(c, str) else "-" if c is None else f"{100 * c:.1f}" for c in cells]
    return f"{label:44}" + "".join(f"{text:>15}" for text in texts)
