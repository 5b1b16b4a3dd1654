"""Chains of questions about one ECG and one diagnosis, in the form of ECG-Reasoning-Benchmark (arXiv 2603.14326).

A chain begins with the diagnosis ("Does this ECG suggest the presence of anterior ischemia?"). Loops follow, and each
asks for a criterion, for the finding, for its evidence (leads, time ranges, measured ranges; perhaps none of these) and
for a decision. Every question has options. The gold answers of all questions but the first lead to the last decision.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

INITIAL, CRITERION, FINDING, DECISION = "initial", "criterion", "finding", "decision"
LEAD, WAVE, MEASUREMENT = "lead", "wave", "measurement"
GROUNDING = (LEAD, WAVE, MEASUREMENT)
KINDS = (CRITERION, FINDING, *GROUNDING, DECISION)  # those of loops
YES, NO = "Yes", "No"
FURTHER = "Further findings are required to confirm the diagnosis"
DECISIONS = (YES, NO, FURTHER)
_SELECT_ALL = "Select all"  # of a question whose answer may be several leads
_SEPARATOR = ", "


@dataclass(frozen=True)
class Step:
    """One question. kind: `INITIAL` or one of `KINDS`. answers: several only for leads; all are among the options."""

    kind: str
    question: str
    options: tuple[str, ...]
    answers: tuple[str, ...]

    @property
    def answer(self) -> str:
        """The gold answer as a text: leads in the order of the options, separated by commas."""
        return answer_of(option for option in self.options if option in self.answers)

    @property
    def asked(self) -> str:
        """The question with its options, as it is put to a model."""
        return f"{self.question.strip()}\nOptions: {' | '.join(self.options)}"

    @property
    def candidates(self) -> list[str]:
        """Every answer that the question can have: each option, or each non-empty set of leads."""
        most = len(self.options) if self.kind == LEAD and _SELECT_ALL in self.question else 1
        return [answer_of(chosen) for n in range(1, most + 1) for chosen in combinations(self.options, n)]


@dataclass(frozen=True)
class Loop:
    """One criterion: which, whether it is met, its evidence, and what follows from all findings so far."""

    criterion: Step
    finding: Step
    grounding: tuple[Step, ...]
    decision: Step

    @property
    def steps(self) -> tuple[Step, ...]:
        return (self.criterion, self.finding, *self.grounding, self.decision)


@dataclass(frozen=True)
class Chain:
    """All questions about one ECG and one diagnosis.

    chain_id: unique within a file. source: "ptbxl", "mimic_iv_ecg" or "simulated". diagnosis: such as
    "anterior_ischemia". label: whether the ECG has it. path: number of the way to the last decision, among those of
    the diagnosis and label.
    """

    chain_id: str
    source: str
    ecg_id: str
    diagnosis: str
    label: bool
    path: int
    initial: Step
    loops: tuple[Loop, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All questions in the order in which they are asked."""
        return (self.initial, *(step for loop in self.loops for step in loop.steps))

    @property
    def n_grounding(self) -> int:
        return sum(len(loop.grounding) for loop in self.loops)

    def exchanges(self, condensed: bool = False) -> Iterator[tuple[str, str]]:
        """Each question with its gold answer; ``condensed`` leaves out the options, as in a history that has no room"""
        for step in self.steps:
            yield step.question.strip() if condensed else step.asked, step.answer


def answer_of(chosen) -> str:
    return _SEPARATOR.join(chosen)
