"""Reads and writes chains as JSON lines, in the form that ECG-Reasoning-Benchmark releases."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cardiolect.data_provider.texts.reasoning.form import (
    CRITERION,
    DECISION,
    FINDING,
    GROUNDING,
    INITIAL,
    NO,
    YES,
    Chain,
    Loop,
    Step,
)
from cardiolect.utils.errors import UserError

# The names in released files, and those that the benchmark's scorer reads.
_NAMES = {
    INITIAL: ("initial_diagnostic_question", "initial"),
    CRITERION: ("criterion_selection", "criterion"),
    FINDING: ("finding_identification", "finding"),
    "grounding": ("ecg_grounding", "grounding"),
    DECISION: ("diagnostic_decision", "decision"),
}
_METADATA = ("data_source", "ecg_id", "target_dx", "dx_label", "path_idx", "id")
_UNUSED = ("subject_id",)  # a patient of MIMIC-IV, who is known from the recording's path
_STEP = ("question", "options", "answer", "answer_idx", "question_type")


@dataclass
class Chains:
    """The chains of some files. unknown: fields that are not of the form, and in how many places; they are ignored."""

    chains: list[Chain] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """What was read, in one line."""
        text = f"{len(self.chains)} chains of {len({chain.ecg_id for chain in self.chains})} recordings"
        ignored = ", ".join(f"{name} ({times})" for name, times in self.unknown.items())
        return f"{text}; unknown fields are ignored: {ignored}" if ignored else text


def load_chains(paths: Sequence[Path]) -> Chains:
    """Read JSON lines. Raises `UserError`, with file and line, if one is not a chain, or if an id occurs twice."""
    loaded, ids = Chains(), set()
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read ({error}); give a JSONL file of chains") from None
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                chain = chain_of(json.loads(line), loaded.unknown)
                if chain.chain_id in ids:
                    raise UserError(f"chain {chain.chain_id} occurs twice")
            except (UserError, ValueError) as error:
                raise UserError(f"{path}: line {number}: not a chain of questions ({error})") from None
            ids.add(chain.chain_id)
            loaded.chains.append(chain)
    if not loaded.chains:
        raise UserError(f"{', '.join(map(str, paths))}: no chains of questions")
    return loaded


def write_chains(path: Path, chains: Iterable[Chain]) -> None:
    """Write chains with the names of released files."""
    lines = [json.dumps(json_of(chain), ensure_ascii=False) + "\n" for chain in chains]
    path.write_text("".join(lines), encoding="utf-8")


def is_chain(row: Any) -> bool:
    """Whether a row of a file of texts has the form of a chain, rather than of another text."""
    return isinstance(row, dict) and {"metadata", "data"} <= row.keys()


def chain_of(row: Any, unknown: Counter[str]) -> Chain:
    """The chain in one row; counts the row's unknown fields. Raises `UserError` if it is not one."""
    about, data = _part(row, "metadata", ""), _part(row, "data", "")
    _count(row, ("metadata", "data"), "", unknown)
    _count(about, (*_METADATA, *_UNUSED), "metadata.", unknown)
    _count(data, (*_NAMES[INITIAL], "reasoning"), "data.", unknown)
    for name, kinds in (("ecg_id", (str, int)), ("target_dx", str), ("dx_label", bool), ("path_idx", int)):
        if not isinstance(about.get(name), kinds):
            raise UserError(f"metadata.{name} is missing or of the wrong type")
    initial = _step(_named(data, INITIAL, ""), INITIAL, "", unknown)
    loops = data.get("reasoning")
    if not isinstance(loops, list) or not loops:
        raise UserError("data.reasoning is not a list of loops")
    if initial.answers != (YES if about["dx_label"] else NO,):
        raise UserError("the answer to the initial question contradicts metadata.dx_label")
    chain_id = about.get("id", f"{about['target_dx']}:{about['ecg_id']}:{about['path_idx']}")
    return Chain(
        chain_id=str(chain_id),
        source=str(about.get("data_source", "")),
        ecg_id=str(about["ecg_id"]),
        diagnosis=about["target_dx"],
        label=about["dx_label"],
        path=about["path_idx"],
        initial=initial,
        loops=tuple(_loop(loop, f"loop {number}: ", unknown) for number, loop in enumerate(loops, start=1)),
    )


def json_of(chain: Chain) -> dict[str, Any]:
    """The inverse of `chain_of`."""
    about = (chain.source, chain.ecg_id, chain.diagnosis, chain.label, chain.path, chain.chain_id)
    return {
        "metadata": dict(zip(_METADATA, about, strict=True)),
        "data": {
            _NAMES[INITIAL][0]: _json_step(chain.initial),
            "reasoning": [
                {
                    _NAMES[CRITERION][0]: _json_step(loop.criterion),
                    _NAMES[FINDING][0]: _json_step(loop.finding),
                    _NAMES["grounding"][0]: [_json_step(step) for step in loop.grounding],
                    _NAMES[DECISION][0]: _json_step(loop.decision),
                }
                for loop in chain.loops
            ],
        },
    }


def _json_step(step: Step) -> dict[str, Any]:
    several = step.kind == "lead"
    kind = f"{step.kind}_grounding" if step.kind in GROUNDING else _NAMES[step.kind][0]
    places = [step.options.index(answer) for answer in step.answers]
    return {
        "question": step.question,
        "options": list(step.options),
        "answer": list(step.answers) if several else step.answers[0],
        "answer_idx": places if several else places[0],
        "question_type": kind,
    }


def _loop(loop: Any, where: str, unknown: Counter[str]) -> Loop:
    if not isinstance(loop, dict):
        raise UserError(f"{where}not an object")
    _count(loop, [name for key, names in _NAMES.items() if key != INITIAL for name in names], "loop.", unknown)
    grounding = _named(loop, "grounding", where, list)
    return Loop(
        _step(_named(loop, CRITERION, where), CRITERION, where, unknown),
        _step(_named(loop, FINDING, where), FINDING, where, unknown),
        tuple(_step(each, None, where, unknown) for each in grounding),
        _step(_named(loop, DECISION, where), DECISION, where, unknown),
    )


def _step(row: Any, kind: str | None, where: str, unknown: Counter[str]) -> Step:
    """kind: None for grounding, whose kind is in the row."""
    if not isinstance(row, dict):
        raise UserError(f"{where}{kind or 'a grounding question'} is not an object")
    _count(row, _STEP, "question.", unknown)
    if kind is None:
        kind = str(row.get("question_type")).removesuffix("_grounding")
        if kind not in GROUNDING:
            raise UserError(f"{where}question_type {row.get('question_type')} is not one of {', '.join(GROUNDING)}")
    question, options, answers = row.get("question"), row.get("options"), row.get("answer")
    answers = answers if isinstance(answers, list) else [answers]
    if not isinstance(question, str) or not question.strip():
        raise UserError(f"{where}{kind} has no question")
    if not isinstance(options, list) or not options or not all(isinstance(o, str) and o.strip() for o in options):
        raise UserError(f"{where}{kind}: options is not a list of texts")
    if not answers or len(set(map(str, answers))) < len(answers) or any(answer not in options for answer in answers):
        raise UserError(f"{where}{kind}: the answer is not among the options")
    if len(answers) > 1 and kind != "lead":
        raise UserError(f"{where}{kind}: {len(answers)} answers; only questions for leads may have several")
    return Step(kind, question, tuple(options), tuple(answers))


def _part(row: Any, name: str, where: str) -> dict:
    if not isinstance(row, dict) or not isinstance(row.get(name), dict):
        raise UserError(f"{where}has no object {name}")
    return row[name]


def _named(row: dict, key: str, where: str, kind: type = dict) -> Any:
    found = [row[name] for name in _NAMES[key] if name in row]
    if len(found) != 1 or not isinstance(found[0], kind):
        raise UserError(f"{where}has no {' or '.join(_NAMES[key])}")
    return found[0]


def _count(row: dict, known: Iterable[str], where: str, unknown: Counter[str]) -> None:
    unknown.update(f"{where}{name}" for name in row if name not in set(known))
