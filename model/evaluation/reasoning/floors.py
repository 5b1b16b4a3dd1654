"""Floors of chains: answers that need no ECG, learned from other chains.

A chain is easily completed without an ECG if nothing in it has to be located: "no premature beats, so no". And the
options themselves say something: a range of 0.09 s is a QRS complex, one of 0.22 s a T wave.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

from cardiolect.data_provider.texts.reasoning.form import FINDING, WAVE, Chain, Step
from cardiolect.model.evaluation.conditions import NO_ECG, NOISE, OTHER_ECG, SILENCED

FIXED, FIXED_ORACLE, TEXT_ONLY, FIXED_PATH = "fixed_chain", "fixed_chain_oracle", "text_only", "fixed_path"
NO_ECG_BY_TEXT = "no_ecg_by_text"
FLOORS = (NO_ECG, OTHER_ECG, SILENCED, NOISE, FIXED, TEXT_ONLY, FIXED_PATH, NO_ECG_BY_TEXT)
ORACLES = (FIXED_ORACLE,)  # chosen on the chains that are scored
MEANINGS = {
    FIXED: "one chain per diagnosis, the commonest of the training chains",
    FIXED_ORACLE: "one chain per diagnosis, the commonest of the scored chains themselves; an oracle, "
    "which is the higher the fewer chains a diagnosis has",
    TEXT_ONLY: "the commonest training answer to the same question after the same findings; of time ranges the one "
    "that was right before in the same chain, or whose length is nearest to that of right answers",
    FIXED_PATH: "per diagnosis, the one path that completes most training chains if time ranges are chosen by text",
    NO_ECG_BY_TEXT: "the model without the ECG, but with the time ranges of text only",
}
Answerer = Callable[[Chain], list[str]]

_NUMBER = re.compile(r"\d+\.\d+")
_WAVES = ("premature", "ST segment and T wave", "P wave", "T wave")  # what a question is about; all others ask for QRS
_RANGE = re.compile(r"\[(\d+\.\d+)s - (\d+\.\d+)s\]")


def commonest_chains(chains: Sequence[Chain]) -> Answerer:
    """Answers every chain with the commonest one of its diagnosis in ``chains``: all answers, grounding included.

    If several are equally common, the first wins. A step that the fixed chain lacks is answered with "".
    """
    fixed = _commonest(chains, lambda chain: tuple(step.answer for step in chain.steps[1:]))
    return lambda chain: _aligned(chain, fixed.get(chain.diagnosis))


def fixed_paths(chains: Sequence[Chain]) -> Answerer:
    """Answers every chain with one path per diagnosis, but time ranges as `text_only` does.

    The path is the one with which most of ``chains`` are completed, and so the floor that is hardest for Completion.
    """
    by_text, timed = text_only(chains), times_by_text(chains)

    def path(chain: Chain) -> tuple | None:
        given = by_text(chain)
        if any(_is_timed(step) and text != step.answer for text, step in zip(given, chain.steps, strict=True)):
            return None
        return tuple("" if _is_timed(step) else step.answer for step in chain.steps[1:])

    fixed = _commonest(chains, path)
    return lambda chain: timed(chain, _aligned(chain, fixed.get(chain.diagnosis)))


def times_by_text(chains: Sequence[Chain]) -> Callable[[Chain, Sequence[str]], list[str]]:
    """Replaces answers to a chain by those of `text_only` where time ranges are asked for."""
    by_text = text_only(chains)

    def answer(chain: Chain, given: Sequence[str]) -> list[str]:
        texts = zip(given, by_text(chain), chain.steps, strict=True)
        return [by_length if _is_timed(step) else text for text, by_length, step in texts]

    return answer


def text_only(chains: Sequence[Chain]) -> Answerer:
    """Answers every step with what its text alone suggests, by the answers in ``chains``.

    That is the commonest answer among the options, by the counts of the same question after the same findings; if it
    was never asked so, of the same question about the diagnosis, then about any diagnosis, else the first option. A
    time range is chosen by its length and by the right answers before it, which a model is shown as well: waves of a
    kind are equally long in one ECG, and the same ones are offered again.
    """
    counts: dict[tuple, Counter[str]] = defaultdict(Counter)
    lengths: dict[tuple, list[float]] = defaultdict(list)
    for chain in chains:
        for step, keys in _keyed(chain):
            for key in keys:
                counts[key][step.answer] += 1
            if _is_timed(step):
                for key in (keys[-1], (WAVE,)):
                    lengths[key].append(_length(step.answer))

    def answer(chain: Chain) -> list[str]:
        given, before = [], {}
        for step, keys in _keyed(chain):
            given.append(_range(step, keys, lengths, before) or _commonest_answer(step, keys, counts))
            if _is_timed(step):
                before[step.answer] = _wave_in(step.question)
        return given

    return answer


def _commonest(chains: Sequence[Chain], path: Callable[[Chain], tuple | None]) -> dict[str, Chain]:
    """Diagnosis -> the first chain of the commonest path; chains whose path is None do not count."""
    counted: dict[str, Counter[tuple]] = defaultdict(Counter)
    first: dict[tuple, Chain] = {}
    for chain in chains:
        if (found := path(chain)) is not None:
            counted[chain.diagnosis][found] += 1
            first.setdefault((chain.diagnosis, found), chain)
    return {name: first[name, counts.most_common(1)[0][0]] for name, counts in counted.items()}


def _aligned(chain: Chain, fixed: Chain | None) -> list[str]:
    """The answers of ``fixed`` to the steps of ``chain`` at the same places; "" to steps that it lacks."""
    if fixed is None:
        return [""] * len(chain.steps)
    texts = [fixed.initial.answer]
    for number, loop in enumerate(chain.loops):
        if number >= len(fixed.loops):
            texts += [""] * len(loop.steps)
            continue
        other = fixed.loops[number]
        found = [step.answer for step in other.grounding[: len(loop.grounding)]]
        found += [""] * (len(loop.grounding) - len(found))
        texts += [other.criterion.answer, other.finding.answer, *found, other.decision.answer]
    return texts


def _range(step: Step, keys: Sequence[tuple], lengths: dict, before: dict[str, str]) -> str | None:
    """The time range to choose; None for other questions. before: right ranges earlier in the chain -> their waves."""
    # The diagnosis adds nothing to the length of a wave, so the widest group of the question is used.
    known = next((lengths[key] for key in (keys[-1], (WAVE,)) if key in lengths), None)
    if not _is_timed(step) or not known:
        return None
    wave = _wave_in(step.question)
    same = [option for option, other in before.items() if other == wave]
    if again := [option for option in step.options if option in same]:
        return again[-1]
    usual = _length(same[-1]) if same else median(known)
    others = [option for option in step.options if option not in before] or step.options
    return min(others, key=lambda option: abs(_length(option) - usual))


def _wave_in(question: str) -> str:
    return next((name for name in _WAVES if name in question), "QRS")


def _commonest_answer(step: Step, keys: Sequence[tuple], counts: dict) -> str:
    for key in keys:
        if key in counts and (seen := {text: counts[key][text] for text in step.candidates if counts[key][text]}):
            return max(seen, key=seen.__getitem__)
    return step.candidates[0]


def _keyed(chain: Chain) -> Iterator[tuple[Step, tuple[tuple, tuple, tuple]]]:
    """Each step, and the groups of questions that it belongs to, the narrowest first."""
    before: tuple = ()
    for step in chain.steps:
        question = _NUMBER.sub("#", step.question.strip())
        yield step, ((chain.diagnosis, before, question), (chain.diagnosis, question), (question,))
        if step.kind == FINDING:
            before = (*before, step.question, step.answer)


def _is_timed(step: Step) -> bool:
    """Whether the options are time ranges; of waves, some are numbers of beats instead."""
    return step.kind == WAVE and all(_length(option) is not None for option in step.options)


def _length(option: str) -> float | None:
    """The seconds of a time range "[0.27s - 0.46s]"; None for other options."""
    found = _RANGE.fullmatch(option)
    return float(found[2]) - float(found[1]) if found else None


class Blind(NamedTuple):
    """The answers of one floor. condition: its name in results."""

    condition: str
    answer: Answerer


def blind_floors(training: Sequence[Chain], scored: Sequence[Chain]) -> list[Blind]:
    """The floors that need no model. Without training chains, only the oracle is left."""
    makers = {FIXED: commonest_chains, TEXT_ONLY: text_only, FIXED_PATH: fixed_paths} if training else {}
    learned = [Blind(name, make(training)) for name, make in makers.items()]
    return [*learned, Blind(FIXED_ORACLE, commonest_chains(scored))]
