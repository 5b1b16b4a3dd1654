"""Answers yes or no by their calibrated probability, at an operating point."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from cardiolect.data_provider.examples import Example
from cardiolect.model.evaluation.answers import Answer
from cardiolect.model.evaluation.settings import EvalSettings
from cardiolect.model.inference.calibration import BALANCED, Calibration, decide
from cardiolect.model.llm.checkpoint_folder import CALIBRATION
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import NO, YES

MEANING = {
    "prevalence": "yes if its probability is at least 50 % in patients as they come in validation",
    "balanced": "yes if its probability is at least 50 % among patients half of whom have the finding",
}


class OperatingPoint:
    """How ranked yes-or-no answers are decided: by calibration.json of the checkpoint, or as they are ranked.

    Raises `UserError` if calibration.json cannot be used, or if OPERATING_POINT=balanced has none to work with.
    """

    def __init__(self, settings: EvalSettings):
        ranked = settings.answer_mode == "choices"
        self.point = settings.operating_point
        self.calibration = Calibration.of(settings.checkpoint) if ranked and settings.calibrated == "auto" else None
        if ranked and settings.calibrated == "auto" and self.point == BALANCED and self.calibration is None:
            raise UserError(
                f"OPERATING_POINT={BALANCED}: {settings.checkpoint} has no {CALIBRATION}; make one with cardiolect "
                "calibrate, or leave the setting out"
            )

    def answer(self, example: Example, ranked: Answer) -> Answer:
        """The answer at the operating point; as it was ranked if the calibration does not know the question.

        The margin is not changed, and thus not the AUROC. An answer that is neither yes nor no stays, too.
        """
        if self.calibration is None or ranked.yes_margin is None or ranked.text not in (YES, NO):
            return ranked
        probability = self.calibration.probability_of_yes(example.question, ranked.yes_margin, self.point)
        if probability is None:
            return ranked
        text, sure = decide(probability)
        return ranked._replace(text=text, probability=round(sure, 6))

    def majority(self, example: Example) -> str | None:
        """The most common validation answer to a question, a floor of answers that know the prevalence.

        None if they do not, or if validation did not ask the question.
        """
        if self.calibration is None or self.point == BALANCED:
            return None
        found = self.calibration.questions.get(example.question)
        return None if found is None else YES if found.prevalence >= 0.5 else NO

    def describe(self, examples: list[Example]) -> dict[str, Any]:
        """For result.json; empty without a calibration.

        ``questions`` and ``samples`` are calibrated; ``other_samples`` are of yes-or-no questions that the calibration
        does not know.
        """
        if self.calibration is None:
            return {}
        asked = Counter(e.question for e in examples if e.question_type.endswith("verify"))
        known = asked.keys() & self.calibration.questions.keys()
        samples = sum(asked[question] for question in known)
        return {
            "point": self.point,
            "questions": len(known),
            "samples": samples,
            "other_samples": asked.total() - samples,
            "validation": self.calibration.validation,
        }


def operating_point_line(result: Mapping[str, Any]) -> str:
    """How yes-or-no answers were decided, in a sentence; "" if they were generated, or by an earlier release."""
    if "operating_point" not in result:
        return ""
    found = result["operating_point"]
    if not found:
        return "Yes-or-no answers are as ranked, not calibrated"
    text = (
        f"Operating point {found['point']}: {found['samples']} yes-or-no answers to {found['questions']} questions are "
        f"{MEANING[found['point']]}, calibrated on {found['validation']['recordings']} validation recordings"
    )
    if found["other_samples"]:
        text += f"; {found['other_samples']} answers to questions without a calibration are as ranked"
    return text
