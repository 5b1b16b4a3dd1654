"""What a question in ECG-QA's words asks about: its template and the names in it."""

import re
from functools import cache
from typing import NamedTuple

from cardiolect.data_provider.ecgqa.labels import AXES, EXTRASYSTOLES, NO_STAGE, NOISES, STAGES
from cardiolect.data_provider.ecgqa.templates import ANY_EXTRASYSTOLE, ANY_NOISE, TEMPLATES
from cardiolect.data_provider.texts.numbers import NUMBER, QUANTITIES

# "Does this ECG show {}?" is the wording of several templates; the name tells which.
_TEMPLATE_OF_NAME = {
    **dict.fromkeys(AXES.values(), 20),
    **dict.fromkeys((*STAGES.values(), NO_STAGE), 23),
    **dict.fromkeys(NOISES.values(), 27),
    ANY_NOISE: 29,
    ANY_EXTRASYSTOLE: 35,
    **dict.fromkeys(EXTRASYSTOLES.values(), 36),
}
_BY_NAME = "Does this ECG show {}?"


class Asked(NamedTuple):
    """template_id, attribute_type: as `Template`. names: such as ("atrial fibrillation",); empty for open questions."""

    template_id: int
    attribute_type: str
    names: tuple[str, ...]


def asked(question: str) -> Asked | None:
    """What a question asks about; None if it has none of the wordings of `TEMPLATES` and `QUANTITIES`."""
    for quantity in QUANTITIES:
        if question == quantity.question:
            return Asked(quantity.template_id, NUMBER, (quantity.name,))
    for number, pattern in _patterns():
        if (found := pattern.fullmatch(question)) is None:
            continue
        if TEMPLATES[number].wording == _BY_NAME:
            if (named := _TEMPLATE_OF_NAME.get(found[1])) is None:
                return None
            number = named
        return Asked(number, TEMPLATES[number].attribute_type, found.groups())
    return None


@cache
def _patterns() -> list[tuple[int, re.Pattern[str]]]:
    """Template numbers and patterns of their wordings, the longest and thus most specific one first."""
    ordered = sorted(TEMPLATES, key=lambda number: -len(TEMPLATES[number].wording))
    return [(n, re.compile(re.escape(TEMPLATES[n].wording).replace(r"\{\}", "(.+)"))) for n in ordered]
