"""The probability that the answer to a yes-or-no question is yes: calibration.json in a checkpoint's folder.

A language model's own probabilities need not match how often it is right, above all if its training asked about every
finding as often with yes as with no. A calibration maps the log-odds of yes against no of ranked answers to
probabilities, by a straight line for each question: its order of patients, and so the AUROC, stays as it was.
"""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError

from cardiolect.model.llm.checkpoint_folder import CALIBRATION, fingerprint
from cardiolect.utils.answers import NO, YES
from cardiolect.utils.errors import UserError

Point = Literal["prevalence", "balanced"]
PREVALENCE, BALANCED = get_args(Point)
CERTAIN = 0.95  # from here on an answer is sure, even if it rests on how rare the finding is


@dataclass(frozen=True)
class QuestionMap:
    """``log-odds of yes = a * margin + b`` for one question.

    n, positives, prevalence: validation answers, those with yes, and their share. prior_log_odds: of the mean
    probability of yes over them, which shrinkage may have moved away from the prevalence.
    """

    a: float
    b: float
    n: int
    positives: int
    prevalence: float
    prior_log_odds: float


@dataclass(frozen=True)
class Calibration:
    """What calibration.json holds.

    weights: `fingerprint` of the checkpoint. questions: question -> its map. shared: the line that questions are shrunk
    towards. unsure_below: the least probability of a sure answer, see `is_sure`. validation: what it was
    fitted on. figures: log loss and calibration of validation answers, by maps fitted without their patients.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    weights: str
    questions: dict[str, QuestionMap]
    shared: dict[str, float]
    unsure_below: float
    validation: dict[str, Any]
    figures: dict[str, Any]

    @classmethod
    def of(cls, folder: Path) -> "Calibration | None":
        """The calibration of a checkpoint; None if it has none.

        Raises `UserError` if the file is damaged, or was fitted with other weights.
        """
        path = folder / CALIBRATION
        if not path.is_file():
            return None
        try:
            found = TypeAdapter(cls).validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise UserError(f"{path}: {where}: {first['msg']}; run cardiolect calibrate again") from None
        if found.weights != (own := fingerprint(folder)):
            raise UserError(
                f"{path}: was fitted with other weights ({found.weights}, not {own}); run cardiolect calibrate again, "
                "or delete it"
            )
        return found

    def write(self, folder: Path) -> None:
        data = TypeAdapter(type(self)).dump_python(self, mode="json")
        (folder / CALIBRATION).write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def probability_of_yes(self, question: str, margin: float, point: Point = PREVALENCE) -> float | None:
        """The probability of yes, 0 to 1; None for a question that the calibration does not have.

        margin: the log-probability of yes minus that of no, of ranked answers. point: prevalence, if patients come as
        in validation; balanced, if half of them have the finding, which removes the prior log-odds.
        """
        if (line := self.questions.get(question)) is None:
            return None
        log_odds = line.a * margin + line.b - (line.prior_log_odds if point == BALANCED else 0.0)
        return sigmoid(log_odds)

    def is_sure(self, question: str, margin: float) -> bool:
        """Whether an answer to a question of the calibration is probable, and not only because a finding is rare.

        Its probability is at least ``unsure_below``, and the answer is the same for patients half of whom have the
        finding, or its probability is at least `CERTAIN`. Never if all validation answers are the same: nothing then
        shows that the other would have been recognised.
        """
        line = self.questions[question]
        if line.positives in (0, line.n):
            return False
        (answer, probability), (balanced, _) = (
            decide(self.probability_of_yes(question, margin, point)) for point in (PREVALENCE, BALANCED)
        )
        return probability >= (self.unsure_below if answer == balanced else CERTAIN)


def decide(probability: float) -> tuple[str, float]:
    """The answer and its probability, 0.5 to 1; yes if they are equal. probability: of yes."""
    return (YES, probability) if probability >= 0.5 else (NO, 1 - probability)


def sigmoid(log_odds: float) -> float:
    """The probability of log-odds, without overflow."""
    return 1 / (1 + math.exp(-log_odds)) if log_odds >= 0 else 1 - 1 / (1 + math.exp(log_odds))


def copy_calibration(checkpoint: Path, out: Path) -> None:
    """Give ``out``, the same model in another form such as merged, the calibration of a checkpoint, if it has one.

    Raises `UserError` as `Calibration.of`.
    """
    if found := Calibration.of(checkpoint):
        replace(found, weights=fingerprint(out)).write(out)
