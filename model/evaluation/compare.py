"""Compares two results on the same samples, with intervals and significance tests over patients."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cardiolect.model.evaluation.alignment import Evaluated, on_common_samples
from cardiolect.model.evaluation.conditions import WITH_ECG
from cardiolect.model.evaluation.floors import floors, gap_over
from cardiolect.model.evaluation.scoring import main_score
from cardiolect.model.evaluation.verdict import seen_alarm
from cardiolect.utils.metrics import PairedTest, Scores, cross_table, paired_test, paired_test_of
from cardiolect.utils.metrics.paired import FEW_BLOCKS

_IGNORED = ("settings.output_dir",)
_COMPARED = ("checkpoint", "data", "settings", "versions")  # and every fingerprint
_LONGEST = 48  # characters of a printed setting
_LARGE = 0.2  # share of the samples in one block above which a note is printed


def compare(a: Path, b: Path, resamples: int = 1000, seed: int = 0, metrics: str | None = None) -> dict[str, Any]:
    """Compare two results (result.json or its folder) on their common samples; JSON-ready, fractions of 1.

    ``scores``: every score of the results' definition with the ECG. ``by_type``: the main score by question type.
    ``gap``: the signal-use gap over the floors that both have. Each has the values of ``a`` and ``b``, the
    ``difference`` b - a with ``ci95`` over patients, and ``p`` (`utils.metrics.paired_test`). ``right``: the number of
    samples on which both, one or neither is right. ``warnings``: of ``a`` and ``b``, if training has seen their
    patients. ``differs``: settings and fingerprints, ``[of a, of b]``.
    Raises `UserError` if the two cannot be compared.
    """
    read = Evaluated.read(a, metrics), Evaluated.read(b, metrics)
    first, second = on_common_samples(*read)
    samples, patients = first.samples, [sample.patients for sample in first.samples]
    score = main_score(first.task, first.metrics)
    shared = [name for name in floors(first.conditions) if name in second.conditions]
    scored = [each.scores([WITH_ECG, *shared]) for each in (first, second)]
    with_ecg = [each[WITH_ECG] for each in scored]

    def tested(name: str, kept: Sequence[int] | None = None) -> dict[str, Any]:
        pair = with_ecg if kept is None else [_rows(each, kept) for each in with_ecg]
        blocks = patients if kept is None else [patients[i] for i in kept]
        return _as_json(paired_test(name, *pair, blocks, resamples, seed))

    result: dict[str, Any] = {
        "a": str(a),
        "b": str(b),
        "task": first.task,
        "metrics": first.metrics,
        "samples": len(samples),
        "patients": len({number for numbers in patients for number in numbers}),
        "only_a": len(read[0].samples) - len(samples),
        "only_b": len(read[1].samples) - len(samples),
        "warnings": {name: alarm for name, each in zip("ab", read, strict=True) if (alarm := seen_alarm(each.result))},
        "differs": dict(_differences(read[0].result, read[1].result)),
        "score": score,
        "scores": {name: tested(name) for name in (score, *(n for n in with_ecg[0].formulas if n != score))},
    }
    columns = [each.of_samples(score) for each in with_ecg]
    if columns[0] is not None and (table := cross_table(*columns)):
        result["right"] = table
    if shared:
        gap = paired_test_of(gap_over(shared), score, *scored, patients, resamples, seed)
        best = [max(shared, key=lambda name: each[name].values[score]) for each in scored]
        result["gap"] = {**_as_json(gap), "floors": shared, "best_floor": best}
    types = sorted({sample.question_type for sample in samples} - {""})
    result["by_type"] = {
        kind: {"n": len(kept), **tested(score, kept)}
        for kind in types
        if (kept := [i for i, sample in enumerate(samples) if sample.question_type == kind])
    }
    return {**result, "resamples": resamples, "seed": seed}


def comparison_table(compared: Mapping[str, Any]) -> str:
    """The comparison for a terminal, percent."""
    lines = [
        f"{compared['task']}: {compared['samples']} samples of {compared['patients']} patients, which both have; "
        f"METRICS={compared['metrics']}; percent",
        f"A: {compared['a']}",
        f"B: {compared['b']}",
    ]
    lines += [f"WARNING: {name.upper()}: {alarm}" for name, alarm in compared["warnings"].items()]
    for system, count in (("A", compared["only_a"]), ("B", compared["only_b"])):
        if count:
            lines.append(f"left out: {count} samples that only {system} has")
    for key, pair in compared["differs"].items():
        lines.append(f"{key}: A {_short(pair[0])}, B {_short(pair[1])}")
    lines.append(f"{'':38}{'A':>8}{'B':>8}{'B - A':>8}{'95 % interval':>18}{'p':>8}")
    rows = dict(compared["scores"])
    if "gap" in compared:
        rows["signal-use gap"] = compared["gap"]
    rows |= {f"{kind} ({row['n']})": row for kind, row in compared["by_type"].items()}
    lines += [_line(label, row) for label, row in rows.items()]
    if "gap" in compared:
        best = compared["gap"]["best_floor"]
        lines.append(
            f"signal-use gap: {compared['score']} minus the best of {', '.join(compared['gap']['floors'])}, "
            f"the floors that both have (A: {best[0]}, B: {best[1]})"
        )
    if "right" in compared:
        right = compared["right"]
        lines.append(
            f"right: both {right['both']}, only A {right['only_a']}, only B {right['only_b']}, "
            f"neither {right['neither']}"
        )
    lines.append(_note_on_p(compared))
    return "\n".join(lines)


def _note_on_p(compared: Mapping[str, Any]) -> str:
    rows = [*compared["scores"].values(), *compared["by_type"].values()]
    rows += [compared["gap"]] if "gap" in compared else []
    main, patients = compared["scores"][compared["score"]], compared["patients"]
    tied = main["blocks"] < patients
    text = "intervals: patients resampled; "
    if main["p"] is None:
        reason = "questions that compare patients link all samples" if tied else "all samples are of one patient"
        return f"{text}no p: {reason}"
    text += f"p: A and B swapped for whole patients, {compared['resamples']} times at random"
    if any(row["exact"] for row in rows):
        text += f", or in all possible ways if they differ on at most {FEW_BLOCKS} patients"
    if tied and main["largest_block"] > _LARGE:
        share = f"{100 * main['largest_block']:.0f} %"
        text += f"; questions that compare patients link {share} of the samples, which makes p conservative"
    if len(compared["by_type"]) > 1:
        text += "; p by question type is not corrected for multiple tests"
    return text


def _as_json(test: PairedTest) -> dict[str, Any]:
    return {
        "a": test.a,
        "b": test.b,
        "difference": test.difference.value,
        "ci95": [test.difference.low, test.difference.high],
        "p": test.p,
        "exact": test.exact,
        "blocks": test.n_blocks,
        "largest_block": test.largest_block,
    }


def _rows(scores: Scores, kept: Sequence[int]) -> Scores:
    index = list(kept)
    return Scores({name: column[index] for name, column in scores.columns.items()}, scores.formulas, scores.notes)


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    first, second = (
        dict(_flat({key: value for key, value in each.items() if key in _COMPARED or key.endswith("fingerprint")}))
        for each in (a, b)
    )
    for key in dict.fromkeys([*first, *second]):
        if first.get(key) != second.get(key) and key not in _IGNORED:
            yield key, [first.get(key), second.get(key)]


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _line(label: str, row: Mapping[str, Any]) -> str:
    low, high = row["ci95"]
    interval = "-" if low is None else f"[{100 * low:+.1f}, {100 * high:+.1f}]"
    p = "-" if row["p"] is None else "<0.001" if row["p"] < 0.001 else f"{row['p']:.3f}"
    return f"{label:38}{100 * row['a']:8.1f}{100 * row['b']:8.1f}{100 * row['difference']:+8.1f}{interval:>18}{p:>8}"
