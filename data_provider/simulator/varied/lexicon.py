"""Statements of reports about varied recordings: the simulator's own, and those of what only they show."""

from cardiolect.data_provider.simulator.truth import TERRITORIES
from cardiolect.data_provider.simulator.varied.truth import VARIED_FINDINGS


def _statement(finding: str) -> str:
    text = finding[0].upper() + finding[1:]
    return text.replace("(qrs)", "(QRS)").replace(" st ", " ST ").replace(" t ", " T ") + "."


# Infarcts are of any age, so "acute" is not said of them.
_INFARCTIONS = {f"myocardial infarction in {t} leads" for t in TERRITORIES}


def varied_lexicon(own: dict[str, str]) -> dict[str, str]:
    """Finding -> statement, in the order of reports. own: that of the simulator's default mode."""
    return {f: own[f] if f in own and f not in _INFARCTIONS else _statement(f) for f in VARIED_FINDINGS}
