"""One column per representation: what it scores, what it costs, how much of the ECG it keeps."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open

from cardiolect.data_provider.splits import load_splits
from cardiolect.ecg_tokenizer.fidelity.reconstruction import rate_and_distortion
from cardiolect.ecg_tokenizer.representations import load_representation
from cardiolect.model.comparison.plan import EVAL, Plan
from cardiolect.model.comparison.run import Record
from cardiolect.model.evaluation.conditions import CONDITIONS, WITH_ECG
from cardiolect.model.evaluation.result import RESULT
from cardiolect.model.evaluation.table_rows import interval, points
from cardiolect.model.evaluation.verdict import gaps
from cardiolect.model.llm.checkpoint_folder import INFO

STAGES = {"tokenizer": "representation", "pretrain": "pretraining", "finetune": "fine-tuning", "eval": "evaluations"}
TASKS = {"qa": "questions", "report": "reports", "instruct": "conversations"}
SCORES = {"em": "exact match", "content_f1": "content F1"}
MISSING = "-"


def column(plan: Plan, records: Mapping[str, Record], kept: Mapping[str, Any] | None) -> dict[str, Any]:
    """All that is known of a representation whose stages are done; fractions of 1, seconds, bytes.

    kept: as of `distortion`.
    """
    checkpoint = plan.tests[0].settings.checkpoint
    info = json.loads((checkpoint / INFO).read_text())
    results = {test.name: json.loads((test.output_dir / RESULT).read_text()) for test in plan.tests}
    by_command: dict[str, list[Record]] = {}
    for stage in plan.stages:
        by_command.setdefault(stage.command, []).append(records[stage.name])
    return {
        "representation": plan.stages[0].settings.representation,
        "scores": {name: _scores(result) for name, result in results.items()},
        "ecgs": next(iter(results.values()))["data"]["ecgs"],
        "distortion": kept,
        "stock_model": "projector" not in info and not (checkpoint / "adapter_config.json").is_file(),
        "parameters": parameters(checkpoint),
        "seconds": {command: sum(r.seconds for r in found) for command, found in by_command.items()},
        "cpu_seconds": {command: sum(r.cpu_seconds for r in found) for command, found in by_command.items()},
        "peak_bytes": {command: max(r.peak_bytes for r in found) for command, found in by_command.items()},
    }


def _scores(result: Mapping[str, Any]) -> dict[str, Any]:
    """The score that stands in the table, its best floor and gap, of one evaluation."""
    found = gaps(result)
    gap = found[-1] if found else None  # of reports what they say, not their words
    score = gap["of"] if gap else result["score"]
    return {
        "task": result["task"],
        "samples": result["samples"],
        "score": score,
        "value": result["conditions"][WITH_ECG][score],
        **({"gap": gap["value"], "gap_ci95": gap["ci95"]} if gap else {}),
        **({"best_floor": gap["best_floor"], "floor": result["conditions"][gap["best_floor"]][score]} if gap else {}),
        "answer_seconds": result["answer_seconds"].get(WITH_ECG),
        "samples_fingerprint": result["data"]["texts_fingerprint"],
        "context_fingerprint": result["data"]["context_fingerprint"],
    }


def parameters(checkpoint: Path) -> int:
    """Weights of the language model in a checkpoint, and of its projector."""
    count = 0
    for path in checkpoint.glob("*.safetensors"):
        with safe_open(path, "np") as weights:
            count += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return count


def distortion(plan: Plan, folder: Path) -> dict[str, float] | None:
    """How much of the recordings of the first evaluation the representation keeps; computed once for each of its kind.

    None if it cannot be decoded.
    """
    representation = load_representation(plan.stages[0].output_dir)
    if not representation.decodes:
        return None
    path, key = folder / "distortion.json", representation.fingerprint()
    if path.is_file() and (found := json.loads(path.read_text())).get("fingerprint") == key:
        return found["distortion"]
    settings = plan.tests[0].settings
    examples = load_splits(settings, ("test",), task=settings.tasktype)["test"].examples
    refs = list({ref.record_id: ref for example in examples for ref in example.records}.values())
    found = rate_and_distortion(representation, refs, settings.workers, int(settings.max_bad_records * len(refs)))
    path.write_text(json.dumps({"fingerprint": key, "distortion": found}, indent=2) + "\n")
    return found


def rows_of(columns: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """The table as texts: a heading, then a label and a cell for each representation in every row.

    columns: by name; of a representation that failed ``{"failed": stage, "why": line}``.
    """
    good = [each for each in columns.values() if "failed" not in each]
    rows = [["", *columns]]

    def add(label: str, cell: Callable[[Mapping[str, Any]], str | None]) -> None:
        cells = [MISSING if "failed" in each else cell(each) or MISSING for each in columns.values()]
        if any(text != MISSING for text in cells):
            rows.append([label, *cells])

    for name, one in (good[0]["scores"] if good else {}).items():
        what = TASKS[one["task"]] + ("" if name == f"test_{one['task']}" else f" of {name}")
        score = SCORES.get(one["score"], one["score"])
        add(f"{what} ({one['samples']}), {score}, %", lambda c, name=name: f"{100 * c['scores'][name]['value']:.1f}")
        add("  best floor, %", lambda c, name=name: _floor(c["scores"][name]))
        add("  gap, points", lambda c, name=name: _gap(c["scores"][name]))
    add("tokens per ECG, median", lambda c: f"{c['ecgs']['tokens']['median']:g}")
    add("  least to most", lambda c: f"{c['ecgs']['tokens']['min']:g}-{c['ecgs']['tokens']['max']:g}")
    add("a prompt shows", lambda c: f"{c['ecgs']['leads']['median']:g} leads, {c['ecgs']['seconds']['median']:.1f} s")
    add("PRDN, %, mean", lambda c: c["distortion"] and f"{c['distortion']['prdn']:.1f}")
    add("kbit per ECG, median", lambda c: c["distortion"] and f"{c['distortion']['kbit']:.2f}")
    add("stock causal LM", lambda c: "yes" if c["stock_model"] else "no")
    add("parameters, million", lambda c: f"{c['parameters'] / 1e6:.2f}")
    for command, label in STAGES.items():
        add(f"seconds, {label}", lambda c, command=command: _whole(c["seconds"].get(command)))
    add("seconds, in all", lambda c: _whole(sum(c["seconds"].values())))
    add("CPU seconds, in all", lambda c: _whole(sum(c["cpu_seconds"].values())))
    for name, one in (good[0]["scores"] if good else {}).items():
        label = f"ms per answer, {TASKS[one['task']]}" + ("" if name == f"test_{one['task']}" else f" of {name}")
        add(label, lambda c, name=name: _milliseconds(c["scores"][name]["answer_seconds"]))
    add("peak memory, training, GB", lambda c: _gigabytes(c, training=True))
    add("peak memory, evaluation, GB", lambda c: _gigabytes(c, training=False))
    if len(good) < len(columns):
        rows.append(["failed", *(each.get("failed", MISSING) for each in columns.values())])
    return rows


def _floor(scores: Mapping[str, Any]) -> str | None:
    if "floor" not in scores:
        return None
    return f"{100 * scores['floor']:.1f} ({CONDITIONS[scores['best_floor']].heading})"


def _gap(scores: Mapping[str, Any]) -> str | None:
    return f"{points(scores['gap'])}{interval(scores['gap_ci95'])}" if "gap" in scores else None


def _whole(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.0f}"


def _milliseconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{1000 * seconds:.1f}"


def _gigabytes(found: Mapping[str, Any], training: bool) -> str:
    return f"{max(n for command, n in found['peak_bytes'].items() if (command != EVAL) == training) / 1e9:.2f}"


def notes(columns: Mapping[str, Mapping[str, Any]], differ: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What belongs below the table: settings of training that differ, and why representations failed."""
    found = [f"{name} failed: {each['failed']}: {each['why']}" for name, each in columns.items() if "failed" in each]
    good = {name: each["scores"] for name, each in columns.items() if "failed" not in each}
    for test in next(iter(good.values()), {}):
        samples = {name: scores[test] for name, scores in good.items()}
        if len({(one["samples_fingerprint"], one["context_fingerprint"]) for one in samples.values()}) > 1:
            counts = ", ".join(f"{name} {one['samples']}" for name, one in samples.items())
            found.append(f"{test}: not scored on the same samples ({counts}): these scores cannot be compared")
    for key, values in differ.items():
        found.append(f"{key} differs: {', '.join(f'{name} {value}' for name, value in values.items())}")
    return found


def fixed_width(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = [
        row[0].ljust(widths[0]) + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def markdown(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    head, *others = [f"| {' | '.join(cell.strip() for cell in row)} |" for row in rows]
    rule = "|" + " --- |" * len(rows[0])
    return "\n".join([head, rule, *others, *(["", *(f"- {note}" for note in notes)] if notes else [])]) + "\n"
