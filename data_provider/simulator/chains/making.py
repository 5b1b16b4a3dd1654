"""Makes a chain of questions about a simulated ECG, with the answers that its beats give."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator.chains.facts import QRS, ST_T, BeatTimes, Facts, P, T, option_of
from cardiolect.data_provider.simulator.chains.findings import Found, axis_of, find
from cardiolect.data_provider.simulator.varied.heart import FLUTTER, PACED
from cardiolect.data_provider.texts.reasoning.form import (
    CRITERION,
    DECISION,
    DECISIONS,
    FINDING,
    FURTHER,
    INITIAL,
    LEAD,
    MEASUREMENT,
    NO,
    WAVE,
    YES,
    Chain,
    Loop,
    Step,
)
from cardiolect.data_provider.texts.reasoning.wordings import wordings

SOURCE = "simulated"
OPEN, UNWORDED, NO_WAVE, NEAR_LIMIT, CONTRADICTION = (
    "a finding on which readers would disagree",
    "a path whose wording is not known",
    "no wave to point at, or too few others",
    "a value near the end of a range",
    "an end that contradicts the recording's label",
)
# PTB-XL's codes of a diagnosis. Ischaemia of one wall has none of its own.
CODES = {
    "anterior_myocardial_infarction": ("AMI", "ASMI"),
    "inferior_myocardial_infarction": ("IMI",),
    "lateral_myocardial_infarction": ("LMI",),
    "complete_left_bundle_branch_block": ("CLBBB",),
    "complete_right_bundle_branch_block": ("CRBBB",),
    "first_degree_av_block": ("1AVB",),
    "left_anterior_fascicular_block": ("LAFB",),
    "left_posterior_fascicular_block": ("LPFB",),
    "left_ventricular_hypertrophy": ("LVH",),
    "premature_atrial_complex": ("PAC",),
    "premature_ventricular_complex": ("PVC",),
}
CRITERIA, LEAD_OPTIONS, WAVE_OPTIONS = 5, 5, 4  # options of such a question
_TARGETS = ((re.compile(r"ST segment and T wave"), ST_T), (re.compile(r"\bP wave"), P), (re.compile(r"\bT wave"), T))
_OTHERS = {QRS: (P, T), P: (QRS, T), T: (P, QRS), ST_T: (P, QRS)}  # waves that distract from one
_AMPLITUDE = re.compile(r"measure the (?P<wave>[RS]) amplitude in (?:lead (?P<lead>\w+)|the selected lead)")
_MILLI = 1000


class UnwrittenError(Exception):
    """No chain can be written about this ECG and diagnosis, for one of the reasons above."""


def make_chain(diagnosis: str, facts: Facts, chain_id: str, ecg_id: str, rng: np.random.Generator) -> Chain:
    """The chain of a diagnosis in the table of wordings. Raises `UnwrittenError` if none has certain answers."""
    writer, loops = _Writer(facts, rng), []
    for node, part, found in _path(diagnosis, facts):
        loops.append(writer.loop(node, part, found))
    label = part["decision"] == YES
    codes = CODES.get(diagnosis, ())
    stated = any(code in facts.truth.codes for code in codes)
    possible = stated or any(code in facts.truth.open for code in codes)
    if codes and (stated > label or label > possible):
        raise UnwrittenError(CONTRADICTION)
    initial = Step(INITIAL, wordings()[diagnosis]["question"], (YES, NO), (YES if label else NO,))
    return Chain(chain_id, SOURCE, ecg_id, diagnosis, label, part["path"], initial, tuple(loops))


def grounding_questions(facts: Facts, most: int, rng: np.random.Generator) -> list[list[Step]]:
    """Time ranges, each with the measurements of it that are asked next, out of any chain that could be about this ECG.

    They are apart, as the right answers to some would give others away: waves of a kind are equally long.
    """
    parts = []
    for diagnosis in wordings():
        with suppress(UnwrittenError):
            for _, part, _ in _path(diagnosis, facts):
                kinds = [question["kind"] for question in part["grounding"]]
                if kinds[:1] == [WAVE] and LEAD not in kinds:
                    parts.append(part["grounding"])
    found: list[list[Step]] = []
    for k in rng.permutation(len(parts)):
        with suppress(UnwrittenError):
            for step in _Writer(facts, rng).grounding(parts[k], None):
                found += [[]] if step.kind == WAVE else []
                found[-1].append(step)
        if len(found) >= most:
            break
    return found[:most]


def _path(diagnosis: str, facts: Facts) -> Iterator[tuple[dict[str, Any], dict[str, Any], Found]]:
    """The criteria of a chain in order: the node in the table of wordings, its part for the finding, and the finding.

    Raises `UnwrittenError` where the finding or its wording is not certain.
    """
    if facts.condition.rhythm in (PACED, FLUTTER):  # paced beats are of no such kind; flutter waves hide ST and T
        raise UnwrittenError(OPEN)
    findings, decision = "", FURTHER
    while decision == FURTHER:
        node = wordings()[diagnosis]["nodes"].get(findings)
        if node is None:
            raise UnwrittenError(UNWORDED)
        found = find(node["criterion"], facts)
        if found.met is None:
            raise UnwrittenError(OPEN)
        findings += "Y" if found.met else "N"
        part = node.get(findings[-1])
        if part is None:
            raise UnwrittenError(UNWORDED)
        decision = part["decision"]
        yield node, part, found


class _Writer:
    """Writes the loops of one chain; it remembers the beat and the lead that were last pointed at."""

    def __init__(self, facts: Facts, rng: np.random.Generator):
        self.facts, self.rng = facts, rng
        self.beat: BeatTimes | None = None
        self.wave, self.lead = "R", ""

    def loop(self, node: dict[str, Any], part: dict[str, Any], found: Found) -> Loop:
        distractors = self._some(node["distractors"], CRITERIA - 1)
        options = self._some([node["criterion"], *distractors], CRITERIA)
        return Loop(
            Step(CRITERION, node["question"], tuple(options), (node["criterion"],)),
            Step(FINDING, node["finding"], (YES, NO), (YES if found.met else NO,)),
            tuple(self.grounding(part["grounding"], found)),
            Step(DECISION, part["ask"], DECISIONS, (part["decision"],)),
        )

    def grounding(self, questions: Sequence[dict[str, Any]], found: Found | None) -> list[Step]:
        """The evidence of a loop. found: of its criterion; only questions for leads need it."""
        steps = []
        for number, question in enumerate(questions):
            following = questions[number + 1] if number + 1 < len(questions) else None
            if question["kind"] == LEAD:
                steps.append(self._leads(question, found))
            elif question["kind"] == WAVE:
                steps.append(self._point_at(question, following))
            else:
                steps.append(self._measure(question))
        return steps

    def _some(self, values: Sequence[Any], most: int) -> list[Any]:
        """``most`` of the values in random order; all if they are fewer."""
        return [values[i] for i in self.rng.permutation(len(values))[:most]]

    def _leads(self, question: dict[str, Any], found: Found) -> Step:
        if "options" in question:  # which of two leads has the larger R
            names = [option.removeprefix("Lead ") for option in question["options"]]
            first, second = (self.facts.leads[name].r for name in names)
            if abs(first - second) < 0.1 * max(first, second):
                raise UnwrittenError(OPEN)
            self.lead = names[0] if first > second else names[1]
            return Step(LEAD, question["question"], tuple(question["options"]), (f"Lead {self.lead}",))
        if None in (found.leads[lead] for lead in found.own):
            raise UnwrittenError(OPEN)
        without = [lead for lead in LEADS if lead not in found.own and found.leads[lead] is False]
        others = self._some(without, LEAD_OPTIONS - len(found.own))
        if len(found.own) + len(others) < LEAD_OPTIONS:
            raise UnwrittenError(NO_WAVE)
        shown = [lead for lead in LEADS if lead in found.own or lead in others]
        right = [lead for lead in found.own if found.leads[lead]]
        return Step(
            LEAD,
            question["question"],
            tuple(f"Lead {lead}" for lead in shown),
            tuple(f"Lead {lead}" for lead in LEADS if lead in right),
        )

    def _point_at(self, question: dict[str, Any], following: dict[str, Any] | None) -> Step:
        """A question for a time range. The beat is one whose measurement, if that is asked next, is in a range."""
        text = question["question"]
        early = "premature beat" in text
        target = next((wave for pattern, wave in _TARGETS if pattern.search(text)), QRS)
        if amplitude := _AMPLITUDE.search(text):
            self.wave, self.lead = amplitude["wave"], amplitude["lead"] or self.lead
        beats = self.facts.beats[1:] if early else self.facts.beats
        beats = [beat for beat in beats if (beat.kind != "normal") == early and target in beat.waves]
        if not beats:
            raise UnwrittenError(NO_WAVE)
        for beat in self._some(beats, len(beats)):
            self.beat = beat
            if not following or following["kind"] != MEASUREMENT or self._measured(following):
                break
        else:
            raise UnwrittenError(NEAR_LIMIT)
        distracting = [(each, name) for each in self.facts.beats for name in _OTHERS[target]]
        if early:  # another premature beat would be right as well
            distracting += [(each, QRS) for each in self.facts.beats if each.kind == "normal"]
        others = [each.waves[name] for each, name in distracting if name in each.waves]
        answer = self.beat.waves[target]
        others = [each for each in others if each[1] <= answer[0] or each[0] >= answer[1]]
        options = dict.fromkeys(_range(each) for each in sorted([answer, *self._some(others, WAVE_OPTIONS - 1)]))
        if len(options) < WAVE_OPTIONS:
            raise UnwrittenError(NO_WAVE)
        return Step(WAVE, text, tuple(options), (_range(answer),))

    def _measure(self, question: dict[str, Any]) -> Step:
        option = self._measured(question)
        if option is None:
            raise UnwrittenError(NEAR_LIMIT)
        return Step(MEASUREMENT, question["question"], tuple(question["options"]), (option,))

    def _measured(self, question: dict[str, Any]) -> str | None:
        """The range of what is asked for, in the beat that was pointed at."""
        text, facts = question["question"], self.facts
        if "QRS duration" in text:
            value = _MILLI * facts.qrs_seconds(self.beat.kind)
        elif "PR interval" in text:
            value = _MILLI * facts.condition.pr
        elif "QRS axis" in text:
            value = axis_of(facts)
        else:
            waves = facts.leads[self.lead]
            value = self.beat.size * (waves.r if self.wave == "R" else waves.s)
        return option_of(value, question["options"])


def _range(seconds: tuple[float, float]) -> str:
    return f"[{seconds[0]:.2f}s - {seconds[1]:.2f}s]"
