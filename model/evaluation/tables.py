"""Tables of scores for a terminal, in percent."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from cardiolect.data_provider.corpora.simulated_folder import only_simulated
from cardiolect.model.evaluation.breakdown import KEYS
from cardiolect.model.evaluation.conditions import CONDITIONS, WITH_ECG
from cardiolect.model.evaluation.lengths import lengths_line
from cardiolect.model.evaluation.notes import (
    chance_of_groups,
    chance_of_questions,
    mix_of_answers,
    retrieval_lines,
    rule_of_means,
)
from cardiolect.model.evaluation.number_tables import number_rows
from cardiolect.model.evaluation.operating_point import operating_point_line
from cardiolect.model.evaluation.prevalence import ranges
from cardiolect.model.evaluation.selective_table import selective_rows
from cardiolect.model.evaluation.table_rows import interval, points, row
from cardiolect.model.evaluation.verdict import gaps, score_name, seen_alarm, warnings
from cardiolect.model.prompt.tasks import TASKS

QUESTION_MEANS = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC"}
IN_SCORES = ("question_type", "attribute_type")  # groups.txt has the others


def scores_table(result: Mapping[str, Any]) -> str:
    """Scores under every condition with their intervals, notes, and the signal-use gap."""
    names, conditions = list(result["conditions"]), result["conditions"]
    lines = [
        f"{result['task']}: {result['samples']} samples of {result['records']} recordings, "
        f"{result['patients']} patients; METRICS={result['metrics']['name']}; percent"
    ]
    if asked_about := corpora_line(result.get("data", {}).get("corpora", ())):
        lines.append(f"asked about {asked_about}")
    if result["derived"]:
        lines.append(
            f"{result['derived']} samples are derived from labels and cannot be compared with published scores"
        )
    if "ecgs" in result.get("data", {}):  # missing in results of older versions
        lines.append(ecg_line(result["data"]["ecgs"]))
    if marked := marked_line(result.get("data", {}).get("marked", {})):
        lines.append(marked)
    if lengths := lengths_line(result.get("data", {}).get("lengths", {})):
        lines.append(lengths)
    lines += [f"WARNING: {alarm}"] if (alarm := seen_alarm(result)) else []
    if left_out := seen_line(result.get("seen", {})):
        lines.append(left_out)
    lines.append(row("", [CONDITIONS[name].heading for name in names]))
    if TASKS[result["task"]].exact_match:
        counted = result.get("in_exact_match", result["samples"])
        lines.append(row(f"{score_name('em')} ({counted})", [conditions[n]["em"] for n in names]))
        lines += _intervals(result, result["score"], names) + _above(result, result["score"], names)
    for key in conditions[WITH_ECG]:
        if key != "em":
            lines.append(row(key, [conditions[n].get(key) for n in names]))
            if not TASKS[result["task"]].exact_match:
                lines += _intervals(result, key, names) + _above(result, key, names)
    for key in IN_SCORES:
        for group, cell in result.get("groups", {}).get(key, {}).items():
            lines.append(row(f"{group} ({cell['n']})", [cell["em"].get(n) for n in names]))
    lines += number_rows(result, names)
    lines += [f"{key}: {note}" for key, note in result["notes"].items()]
    lines += [warning[0].lower() + warning[1:] for warning in warnings(result) if warning != alarm]
    lines += _means_of_questions(result, names)
    lines += [note for note in (rule_of_means(result), mix_of_answers(result)) if note]
    if "calibration_at_prevalence" in result and WITH_ECG in result["calibration_at_prevalence"]:
        found = [result[key][WITH_ECG] for key in ("calibration_of_same", "calibration_at_prevalence")]
        cells = [f"ECE {100 * each['ece']:.1f}, Brier {each['brier']:.3f}" for each in found]
        lines.append(
            f"calibration with ECG of {found[0]['n']} yes-or-no answers: {cells[0]}; at prevalence: {cells[1]}"
        )
    lines += selective_rows(result)
    if "choices" in result:
        listed = result["choices"]
        lines.append(
            f"answers ranked among {listed['mean_candidates']:.1f} candidates; for {listed['outside']} samples the "
            f"right one is not among them, so at most {100 * listed['ceiling']:.1f} % can be right"
        )
    if decided := operating_point_line(result):
        lines.append(decided[0].lower() + decided[1:])
    for gap in gaps(result):
        lines.append(
            f"signal-use gap of {score_name(gap['of'])}: {points(gap['value'])} points{interval(gap['ci95'])} "
            f"against the best floor, {CONDITIONS[gap['best_floor']].heading}"
        )
    if added := codes_line(result):
        lines.append(added)
    return "\n".join([*lines, *retrieval_lines(result)])


def codes_line(result: Mapping[str, Any]) -> str:
    """What the codes add to measured values; "" if the ECGs have none, or it was not evaluated."""
    if not (added := result.get("codes_add")):
        return ""
    return (
        f"codes add {points(added['value'])} points{interval(added['ci95'])} of {score_name(added['of'])} to measured "
        "values alone"
    )


def corpora_line(corpora: Sequence[Mapping[str, str]]) -> str:
    """What was asked about, for the headline: names and versions, and whether patients are simulated; "" if unknown."""
    text = ", ".join(dict.fromkeys(map(corpus_name, corpora)))
    return f"simulated patients ({text})" if only_simulated(corpora) else text


def corpus_name(corpus: Mapping[str, str]) -> str:
    return " ".join(part for part in (corpus["name"], corpus["version"]) if part)


def training_line(corpora: Sequence[Mapping[str, str]]) -> str:
    """The corpora of a checkpoint's training; those that not all of its stages had, with their stages."""
    stages: dict[str, dict[str, None]] = {}
    for corpus in corpora:
        stages.setdefault(corpus_name(corpus), {})[corpus["stage"]] = None
    every = {corpus["stage"] for corpus in corpora}
    return ", ".join(name if set(of) == every else f"{name} ({', '.join(of)})" for name, of in stages.items())


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


def seen_line(seen: Mapping[str, Any]) -> str:
    """How many samples were left out because training has seen their patients; "" if an older result had none."""
    share = seen.get("left_out_share")  # missing in results of older versions
    if not seen.get("left_out_samples") and share is None:
        return ""
    text = (
        f"left out: {seen['left_out_samples']} samples of {seen['left_out_patients']} patients that training has seen"
    )
    return text if share is None else f"{text} ({share:.1%} of the samples)"


def means_of_questions(result: Mapping[str, Any], score: str) -> dict[str, float]:
    """Condition -> mean of ``balanced_accuracy`` or ``auroc`` over yes-or-no questions; empty if none counts."""
    return {name: means[score] for name, means in result.get("verify_means", {}).items() if score in means}


def balanced_accuracy(result: Mapping[str, Any]) -> dict[str, float]:
    """Condition -> mean balanced accuracy. Guessing gives 0.5, however rare yes is."""
    return means_of_questions(result, "balanced_accuracy")


def _means_of_questions(result: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Rows of mean balanced accuracy and AUROC with their intervals."""
    lines = []
    for score, label in QUESTION_MEANS.items():
        if means := means_of_questions(result, score):
            counted = result["verify_means"][WITH_ECG]["counted"]
            ends = {name: result["verify_means"][name][f"{score}_ci95"] for name in means}
            lines.append(row(f"{label} ({counted} questions)", [means.get(name) for name in names]))
            lines.append(row("  95 %, over patients", [interval(ends.get(name)).strip() or "-" for name in names]))
    return lines


def _intervals(result: Mapping[str, Any], score: str, names: Sequence[str]) -> list[str]:
    """A row with the intervals of a score, if it has any."""
    ends = result.get("ci95", {}).get(score, {})
    cells = ["-" if ends.get(n, [None])[0] is None else interval(ends[n]).strip() for n in names]
    return [row("  95 %, over patients", cells)] if ends else []


def _above(result: Mapping[str, Any], score: str, names: Sequence[str]) -> list[str]:
    """Rows with what the ECG adds to the score under each condition, and its interval, if the result has them."""
    found = result.get("above", {}).get(score, {})
    values = [points(found[n]["value"]) if n in found else "" for n in names]
    ends = [interval(found[n]["ci95"]).strip() if n in found else "" for n in names]
    return [row("  with ECG minus this", values), row("  95 %, paired by patient", ends)] if found else []


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
            lines += [note] if (note := chance_of_groups(groups)) else []
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
    heads = ["sensitivity", "specificity", "balanced", "AUROC", "PPV at 50 %", "NPV at 50 %"]
    possible = ranges(result.get("prevalence"))
    if known := any(question in possible for question in with_ecg[1]):
        heads += ["prevalence", "PPV there", "NPV there"]
    lines = [
        "yes-or-no questions with 95 % intervals over patients; balanced accuracy (guessing: 50) with ECG and others; "
        "percent",
        rule_of_means(result) + " Those left out are marked with *.",
        mix_of_answers(result),
        chance_of_questions(result),
        f"{'yes':>5}{'no':>6} "
        + "".join(f"{head:>18}" for head in heads)
        + "".join(f"{CONDITIONS[name].heading:>15}" for name, _ in others)
        + "  question",
    ]
    for question, found in with_ecg[1].items():
        keys = ["sensitivity", "specificity", "balanced_accuracy", "auroc", "ppv", "npv"]
        keys += ["prevalence", "ppv_at_prevalence", "npv_at_prevalence"] if known else []
        lines.append(
            f"{found['yes']:5}{found['no']:6}{' ' if found['in_mean'] else '*'}"
            + "".join(f"{_cell(found, key, possible.get(question)):>18}" for key in keys)
            + "".join(f"{100 * other[question]['balanced_accuracy']:15.0f}" for _, other in others)
            + f"  {question}"
        )
    return "\n".join(lines)


def _cell(found: Mapping[str, Any], key: str, possible: tuple[float, float] | None = None) -> str:
    """possible: the least and the largest prevalence, in brackets."""
    if key == "prevalence":
        known = f"{100 * found[key]:.1f} " if key in found else ""
        return f"{known}({100 * possible[0]:.1f}-{100 * possible[1]:.1f})" if possible else known or "-"
    if found.get(key) is None:
        return "-"
    low, high = found[f"{key}_ci95"]
    return f"{100 * found[key]:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def verify_csv(result: Mapping[str, Any]) -> str:
    """Every figure of every yes-or-no question under every condition, fractions of 1; empty without questions."""
    rows = [
        {"question": question, "condition": name, **_flat(found)}
        for name, questions in result["verify"].items()
        for question, found in questions.items()
    ]
    if not rows:
        return ""
    columns = list(dict.fromkeys(column for each in rows for column in each))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def _flat(found: Mapping[str, Any]) -> dict[str, Any]:
    """One row with two columns, low and high, for every interval."""
    cells: dict[str, Any] = {}
    for key, value in found.items():
        if key.endswith("_ci95"):
            name = key.removesuffix("_ci95")
            cells |= {f"{name}_low": value[0], f"{name}_high": value[1]}
        else:
            cells[key] = value
    return cells
