"""Reports on simulated ECGs, from the fixed statements of `texts.lexicon`."""

from cardiolect.data_provider.ecgqa.findings import ABNORMAL, NOISES, NORMAL
from cardiolect.data_provider.simulator.truth import Truth
from cardiolect.data_provider.simulator.varied.truth import VariedTruth
from cardiolect.data_provider.texts.lexicon import LEXICON, VARIED_LEXICON

LAST = (NORMAL, ABNORMAL, *NOISES)


def report(truth: Truth) -> str:
    """The report of one ECG: its statements in the order of FINDINGS, separated by spaces.

    That is rhythm, ectopy, AV block, conduction, axis, voltage, infarction, T wave, QT, conclusion, technical quality.
    Intervals out of range come before the conclusion.
    """
    lexicon = VARIED_LEXICON if isinstance(truth, VariedTruth) else LEXICON
    statements = [lexicon[finding] for finding in truth.findings if finding not in LAST]
    for feature, place in truth.reported_ranges().items():
        wave, what = feature.split()
        statements.append(f"{wave.upper()} {what} {place}.")
    return " ".join([*statements, *(lexicon[finding] for finding in truth.findings if finding in LAST)])
