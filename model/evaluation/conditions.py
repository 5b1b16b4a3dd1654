"""The conditions under which a model answers: their names, headings and colours."""

from collections.abc import Iterable
from typing import NamedTuple

from cardiolect.model.prompt.tasks import MAJORITY, MAJORITY_CONTENT, MAJORITY_PER_QUESTION

WITH_ECG = "with_ecg"
NO_ECG, OTHER_ECG, SILENCED, REVERSED = "no_ecg", "other_ecg", "silenced_leads", "reversed_leads"
NOISE, NOISE_MV = "noise", 0.25
CODES_ONLY, MEASURED_ONLY = "codes_only", "measured_only"
RANGES_ONLY, NO_RANGES = "ranges_only", "no_ranges"
NO_NEIGHBOURS, RANDOM_NEIGHBOURS, NEIGHBOURS_ONLY = "no_neighbours", "random_neighbours", "neighbours_only"
GENERATED = "generated"
MAJORITY_IN_VALIDATION = "majority_in_validation"


class Condition(NamedTuple):
    """heading: of a column. meaning: in words. floor: whether the signal-use gap is measured against it.

    colour: from the palettes of Okabe & Ito and of Tol, which are safe for colour-blind readers.
    """

    heading: str
    meaning: str
    floor: bool
    colour: str


CONDITIONS: dict[str, Condition] = {  # in the order of their columns
    WITH_ECG: Condition("with ECG", "the model with the ECG", False, "#0072B2"),
    NO_ECG: Condition("no ECG", "the same prompt without the codes", True, "#E69F00"),
    OTHER_ECG: Condition("other ECG", "the codes of another patient's recording", True, "#CC79A7"),
    SILENCED: Condition("silenced", "the codes of a flat line, all twelve leads at 0 mV", True, "#56B4E9"),
    # Of the same strength whatever the recording: its own would tell low from high voltages.
    NOISE: Condition("noise", f"white noise of {NOISE_MV:g} mV in all twelve leads", True, "#DDCC77"),
    # Not a floor, because the rhythm can still be read. It shows how much the model uses the order of the leads.
    REVERSED: Condition(
        "reversed", "the codes of the same recording with its twelve leads in reverse order", False, "#009E73"
    ),
    # These two are not floors, because both parts are read off the ECG.
    CODES_ONLY: Condition("codes only", "the codes of the recording without its measured values", False, "#117733"),
    MEASURED_ONLY: Condition(
        "measured only", "the measured values of the recording without its codes", False, "#999933"
    ),
    # Of questions that offer ranges of times, whose codes are part of the question.
    RANGES_ONLY: Condition("ranges only", "no ECG but its codes in the time ranges of questions", False, "#44AA99"),
    NO_RANGES: Condition("no ranges", "the ECG, but no codes of it in the time ranges of questions", False, "#AA4499"),
    # Of prompts with similar recordings. None of these is a floor of the ECG: the first two contain it, and in the last
    # it has chosen the texts.
    NO_NEIGHBOURS: Condition("no neighbours", "the ECG without texts of similar recordings", False, "#6699CC"),
    RANDOM_NEIGHBOURS: Condition(
        "random neigh.", "the ECG with texts of training recordings drawn at random", False, "#661100"
    ),
    NEIGHBOURS_ONLY: Condition("neigh. only", "the texts of similar recordings without the ECG", False, "#888888"),
    GENERATED: Condition(
        "generated", "free generation with the ECG, for comparison with ranked answers", False, "#D55E00"
    ),
    MAJORITY: Condition(
        "majority",
        "the most common training answer to the question's template; for reports, the training report that shares most "
        "words with the others",
        True,
        "#999999",
    ),
    MAJORITY_PER_QUESTION: Condition(
        "maj./question", "the most common training answer to the same question", True, "#555555"
    ),
    MAJORITY_IN_VALIDATION: Condition(
        "maj./valid.",
        "the most common answer to the same yes-or-no question among the recordings of the calibration, which tell the "
        "model the prevalence; other questions as maj./question",
        True,
        "#882255",
    ),
    MAJORITY_CONTENT: Condition(
        "maj./content", "the training report whose statements agree best with those of the others", True, "#332288"
    ),
}
NEIGHBOUR_CONDITIONS = (NO_NEIGHBOURS, RANDOM_NEIGHBOURS, NEIGHBOURS_ONLY)
CHOICES = (  # of FLOORS
    *(NO_ECG, OTHER_ECG, SILENCED, NOISE, REVERSED, CODES_ONLY, MEASURED_ONLY, RANGES_ONLY, NO_RANGES),
    *NEIGHBOUR_CONDITIONS,
)


def colours(names: Iterable[str]) -> dict[str, str]:
    """Heading -> colour of the conditions ``names``, in the order of `CONDITIONS`."""
    return {each.heading: each.colour for name, each in CONDITIONS.items() if name in names}
