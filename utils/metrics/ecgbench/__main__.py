"""Score answers to one of ECGBench's tasks: ``cardiolect ecgbench TASK ANSWERS [--gold FILE]``.

Files are JSON or JSON lines as written by PULSE and LLaVA, or {id, gold, prediction, question}. Prints the strict score
and that of PULSE's scorer. ptb-test-report and arena are sent to the judge in JUDGE_URL, JUDGE_MODEL and JUDGE_KEY.
"""

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.ecgbench import ARENA, REPORT, TASKS, Judge, JudgeEndpoint, score_task
from cardiolect.utils.metrics.ecgbench.files import read_samples

RUBRICS = {"ptb-test-report": REPORT, "arena": ARENA}
COUNTS = ("n", "unparsed", "guessed")


def main(arguments: Sequence[str] | None = None) -> None:
    shape = argparse.RawDescriptionHelpFormatter
    parser = Parser("cardiolect ecgbench", description=__doc__, formatter_class=shape)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--gold", type=Path, help="gold answers if ANSWERS lacks them; joined by id")
    parser.add_argument("--form", choices=("strict", "legacy"), help="use only this scorer (default: both)")
    parser.add_argument(
        "--expected",
        type=int,
        metavar="N",
        help="number of samples, if only part of the task is scored (default: all of the task)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the letters that legacy guesses")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the scores as JSON")
    parser.add_argument("--verdicts", type=Path, metavar="FILE", help="the judge's verdicts (default: next to ANSWERS)")
    parser.add_argument("--threads", type=int, default=4, help="parallel requests to the judge")
    args = parser.parse_args(arguments)

    samples = read_samples(args.answers, args.gold, part=args.expected is not None)
    expected = args.expected if args.expected is not None else TASKS[args.task].size
    files = [path for path in (args.answers, args.gold) if path]
    result: dict[str, Any] = {
        "task": args.task,
        "samples": len(samples),
        "expected": expected,
        "seed": args.seed,
        "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
    }
    if args.task in RUBRICS:
        try:
            result |= _judge(args, samples, expected)
        except KeyboardInterrupt:
            print("stopped; run the same command to resume", file=sys.stderr)
            sys.exit(130)
        lines = [f"{'score':16}{_cell('score', result.get('score'), 1):>12}"]
        lines += [f"{axis:22}{value:6.1f}" for axis, value in result.get("axes", {}).items()]
        if result["failed"]:
            lines.append(
                f"{len(result['failed'])} not judged and not in the means; run the same command to try them again"
            )
        lines.append(
            f"judge {result['judge']['model']}, prompt {result['judge']['prompt_sha256'][:12]}: our own wording"
        )
    else:
        result |= _score(args, samples, expected)
        lines = _table(result, [form for form in ("strict", "legacy") if form in result])
    part = "" if expected == TASKS[args.task].size else "; part of the task, so not comparable with published scores"
    scale = "0 to 100, axes 0 to 10" if args.task in RUBRICS else "percent"
    print("\n".join([f"{args.task}: {len(samples):,} samples; {scale}{part}", *lines]))
    if args.out:
        try:
            args.out.write_text(json.dumps(_finite(result), indent=2) + "\n")
        except OSError as error:
            raise UserError(f"--out {args.out} cannot be written: {error.strerror}") from None
        print(f"scores are in {args.out}")


def _score(args: argparse.Namespace, samples: list[dict], expected: int) -> dict[str, Any]:
    if several := [sample["id"] for sample in samples if len(sample["turns"]) != 1]:
        raise UserError(f"{args.answers}: {several[0]} is a conversation; {args.task} has one question per sample")
    single = [{"id": sample["id"], **sample["turns"][0]} for sample in samples]
    forms = [args.form] if args.form else ["strict", "legacy"]
    return {form: score_task(args.task, single, form, expected, args.seed) for form in forms}


def _judge(args: argparse.Namespace, samples: list[dict], expected: int) -> dict[str, Any]:
    if args.form:
        raise UserError(f"--form {args.form}: {args.task} is judged, and has only one form")
    if len(samples) != expected:
        raise UserError(f"{args.task} has {expected} samples, not {len(samples)}; to score a part, give --expected")
    items = []
    for sample in samples:
        turns = [{"reference": t["gold"], "answer": t["prediction"], **_asked(t)} for t in sample["turns"]]
        if args.task != "arena" and len(turns) != 1:
            raise UserError(f"{args.answers}: {sample['id']} is a conversation; {args.task} has one text per sample")
        items.append({"id": sample["id"], **({"turns": turns} if args.task == "arena" else turns[0])})
    verdicts = args.verdicts or args.answers.with_name(f"{args.answers.stem}.verdicts.jsonl")
    return Judge(RUBRICS[args.task], JudgeEndpoint.from_environment(), verdicts, args.threads).score(items)


def _asked(turn: dict) -> dict[str, str]:
    return {"question": turn["question"]} if "question" in turn else {}


def _table(result: dict[str, Any], forms: Sequence[str]) -> list[str]:
    names = dict.fromkeys(name for form in forms for name in result[form] if name not in ("n", "not_judged"))
    lines = [f"{'':16}" + "".join(f"{form:>12}" for form in forms)]
    for name in names:
        lines.append(f"{name:16}" + "".join(f"{_cell(name, result[form].get(name)):>12}" for form in forms))
    if without := result.get("strict", {}).get("not_judged"):
        lines.append(f"without an AUC: {', '.join(without)}")
    if "legacy" in result and not result["legacy"]:
        lines.append(f"legacy: PULSE's scorer skips files without exactly {result['expected']} samples")
    return lines


def _cell(name: str, value: float | None, scale: float = 100) -> str:
    return "-" if value is None else str(value) if name in COUNTS else f"{scale * value:.1f}"


def _finite(value: Any) -> Any:
    """The value with NaN, which JSON lacks, as null."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


if __name__ == "__main__":
    run_command(main)
