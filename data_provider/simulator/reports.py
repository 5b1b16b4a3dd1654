"""Reports on simulated ECGs, from the fixed statements of `texts.lexicon`."""

from cardiolect.data_provider.ecgqa.findings import ABNORMAL, NORMAL
from cardiolect.data_provider.ecgqa.ranges import NORMAL_RANGES_MS, RANGES
from cardiolect.data_provider.simulator.truth import Truth
from cardiolect.data_provider.simulator.varied.truth import VariedTruth
from cardiolect.data_provider.texts.lexicon import LEXICON, VARIED_LEXICON


def report(truth: Truth) -> str:
    """The report of one ECG: its statements in the order of FINDINGS, separated by spaces.

    That is rhythm, ectopy, AV block, conduction, axis, voltage, infarction, T wave, QT, conclusion, technical quality.
    Intervals out of range come before the conclusion.
    """
    lexicon = VARIED_LEXICON if isinstance(truth, VariedTruth) else LEXICON
    intervals = []
    for feature in NORMAL_RANGES_MS:
        if (place := truth.range_of(feature)) in (RANGES[0], RANGES[2]):
            wave, what = feature.split()
            intervals.append(f"{wave.upper()} {what} {place}.")
    statements = []
    for finding in truth.findings:
        if finding in (NORMAL, ABNORMAL):
            statements += intervals
        statements.append(lexicon[finding])
    return " ".join(statements)
