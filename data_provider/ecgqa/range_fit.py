"""Fits the normal ranges of intervals to ECG-QA's published comparisons of two ECGs (templates 68 to 70).

python -m cardiolect.data_provider.ecgqa.range_fit --questions ECGQA [ECGQA ...] --recordings PTBXL [PTBXL ...]

A comparison names the features that became normal, became abnormal or stayed abnormal, and by its silence denies this
of the others. What follows for single recordings is compared with their intervals as `ecgqa.intervals` measures them.
Ranges are fitted on folds 1-8; folds 9-10 show how they hold on other patients.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from scipy.stats import norm

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.ecgqa.intervals import Intervals, measure_intervals
from cardiolect.data_provider.ecgqa.ranges import FEATURES, NORMAL_RANGES_MS, TEXTBOOK_RANGES_MS
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.errors import UserError
from cardiolect.utils.progress import progress

# Template -> whether (first, second) ECG is abnormal in the features that its answer names.
NAMED = {68: (True, False), 69: (False, True), 70: (True, True)}
TRAIN_FOLDS = frozenset(range(1, 9))
LOWS_MS = {  # candidates: lowest, highest, step
    "rr interval": (500, 760, 20),
    "p duration": (30, 110, 5),
    "pr interval": (90, 180, 5),
    "qrs duration": (40, 100, 5),
    "qt interval": (240, 400, 10),
    "qt corrected": (280, 420, 10),
}
HIGHS_MS = {
    "rr interval": (900, 1120, 20),
    "p duration": (85, 200, 5),
    "pr interval": (150, 260, 5),
    "qrs duration": (70, 150, 5),
    "qt interval": (340, 520, 10),
    "qt corrected": (360, 500, 10),
}
SPREADS_MS = (5, 10, 15, 20, 30)  # between ECG-QA's measurement and ours
ERRORS = (0.02, 0.1, 0.2, 0.3, 0.4)  # share of states that follow from neither
SUPPORTED = 2.0  # log-likelihood below the maximum up to which an end of a range is supported (about 95 %)
# A P wave that varies from beat to beat, as in atrial fibrillation, or is this long is not one.
RATE, AXIS = "heart rate", "axis"
P_SIZE, LONGEST_P_MS, REGULAR = 2.5, 150.0, 0.12

GAIN = 0.1  # in agreement over the commoner state, below which intervals do not explain the answers

Pair = tuple[float, float]


def states(rows: Iterable[dict]) -> dict[str, dict[int, bool]]:
    """Feature -> ecg_id -> whether it is abnormal, for all that follows from comparisons in ECG-QA's JSON form.

    Raises `UserError` if comparisons contradict each other.
    """
    rows = [row for row in rows if row["template_id"] in NAMED]
    known: dict[str, dict[int, bool]] = {feature: {} for feature in FEATURES}

    def state(feature: str, ecg: int, abnormal: bool) -> None:
        if known[feature].setdefault(ecg, abnormal) != abnormal:
            raise UserError(f"ecg_id {ecg}: comparisons call its {feature} both normal and abnormal")

    for row in rows:
        for feature in set(row["answer"]) & set(FEATURES):
            for ecg, abnormal in zip(row["ecg_id"], NAMED[row["template_id"]], strict=True):
                state(feature, ecg, abnormal)
    count = -1
    while count != (count := sum(map(len, known.values()))):
        for row, feature in product(rows, FEATURES):
            if feature in row["answer"]:
                continue
            # Not both as the template says: if one is, the other is not.
            (one, other), (if_one, if_other) = row["ecg_id"], NAMED[row["template_id"]]
            if known[feature].get(one) == if_one:
                state(feature, other, not if_other)
            if known[feature].get(other) == if_other:
                state(feature, one, not if_one)
    return known


def values_of(found: Intervals) -> dict[str, float]:
    """`value_of` every feature, `RATE` in bpm and `AXIS` in degrees."""
    values = {feature: value_of(found, feature) for feature in FEATURES}
    return {**values, RATE: 60_000 / found.mean_rr, AXIS: found.axis}


def value_of(found: Intervals, feature: str) -> float:
    """The measured value in ms; NaN if it was not measured or is not to be trusted."""
    if feature in ("p duration", "pr interval") and not (
        found.p_size >= P_SIZE and found.p <= LONGEST_P_MS and found.rr_spread <= REGULAR
    ):
        return np.nan
    return {
        "rr interval": found.mean_rr,
        "p duration": found.p,
        "pr interval": found.pr,
        "qrs duration": found.qrs,
        "qt interval": found.qt,
        "qt corrected": found.qtc,
    }[feature]


@dataclass(frozen=True)
class Fit:
    """The lowest and highest supported value of each end of a range, in ms."""

    low: Pair
    high: Pair

    def nearest(self, range_ms: Pair) -> Pair:
        """The range with each end that is not supported replaced by the nearest supported value."""
        (low, high), ends = range_ms, (self.low, self.high)
        low, high = (min(max(end, least), most) for end, (least, most) in zip((low, high), ends, strict=True))
        return low, high


def fit(feature: str, values: np.ndarray, abnormal: np.ndarray) -> Fit:
    """Maximum likelihood over candidate ranges. values: ms ``(n,)``; abnormal: bool ``(n,)``.

    The other measurement is normally distributed around ours, and a share of states is arbitrary; both fit best.
    """
    likelihood: dict[Pair, float] = {}
    for low, high in product(range(*LOWS_MS[feature]), range(*HIGHS_MS[feature])):
        if low >= high:
            continue
        best = -np.inf
        for spread in SPREADS_MS:
            inside = norm.cdf((high - values) / spread) - norm.cdf((low - values) / spread)
            for error in ERRORS:
                normal = error + (1 - 2 * error) * inside
                best = max(best, float(np.log(np.where(abnormal, 1 - normal, normal)).sum()))
        likelihood[low, high] = best
    most = max(likelihood.values())
    supported = [pair for pair, value in likelihood.items() if value >= most - SUPPORTED]
    lows, highs = zip(*supported, strict=True)
    return Fit((min(lows), max(lows)), (min(highs), max(highs)))


def range_used(feature: str, values: np.ndarray, abnormal: np.ndarray) -> Pair:
    """The supported range nearest to the textbook's, or that itself if the answers do not follow from the intervals.

    They do if the supported range agrees with them more often than the commoner state of all does, by `GAIN`.
    """
    textbook = TEXTBOOK_RANGES_MS[feature]
    supported = fit(feature, values, abnormal).nearest(textbook)
    follows = agreement(values, abnormal, supported) >= commoner_share(abnormal) + GAIN
    return supported if follows else textbook


def commoner_share(abnormal: np.ndarray) -> float:
    """How often the commoner state, said of all recordings, agrees."""
    return float(max(abnormal.mean(), 1 - abnormal.mean())) if len(abnormal) else np.nan


def agreement(values: np.ndarray, abnormal: np.ndarray, range_ms: Pair) -> float:
    """Share of recordings that are outside the range if and only if they are called abnormal."""
    return float(np.mean(((values < range_ms[0]) | (values > range_ms[1])) == abnormal)) if len(values) else np.nan


def read_comparisons(folders: Iterable[Path]) -> list[dict]:
    """The comparisons in the ``template`` folders under these, each once."""
    found: dict[tuple, dict] = {}
    for folder in folders:
        files = sorted(path for path in folder.rglob("*.json") if "template" in path.parts)
        if not files:
            raise UserError(f"--questions {folder}: no JSON files in a folder named template")
        for path in files:
            try:
                for row in json.loads(path.read_text()):
                    if row["template_id"] in NAMED:
                        found[row["template_id"], *row["ecg_id"]] = row
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{path}: not ECG-QA's questions ({error!r})") from None
    return list(found.values())


def measure_all(refs: dict[int, RecordRef]) -> dict[int, Intervals]:
    found = {}
    for ecg, ref in progress(refs.items(), desc="intervals", unit="ecg", mininterval=1):
        try:
            record = read_record(ref)
        except RecordError:
            continue
        if (intervals := measure_intervals(record.signal, record.fs)) is not None:
            found[ecg] = intervals
    return found


def states_and_values(
    known: dict[str, dict[int, bool]], found: dict[int, Intervals], feature: str
) -> tuple[list[int], np.ndarray, np.ndarray]:
    """The recordings with a state and a measured value of one interval: ecg_ids, ms and whether abnormal ``(n,)``."""
    ids = [ecg for ecg in known[feature] if ecg in found and not np.isnan(value_of(found[ecg], feature))]
    values = np.array([value_of(found[ecg], feature) for ecg in ids])
    return ids, values, np.array([known[feature][ecg] for ecg in ids], dtype=bool)


def table(known: dict[str, dict[int, bool]], found: dict[int, Intervals], folds: dict[int, int | None]) -> str:
    """Markdown: what is supported, and how often ranges agree with ECG-QA on folds 1-8 / 9-10."""
    lines = [
        "| interval (ms) | recordings | supported low end | high end | range by the rule | range used | agrees | "
        "textbook | the textbook's agrees | commoner state of all agrees |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for feature in FEATURES:
        ids, values, abnormal = states_and_values(known, found, feature)
        train = np.array([folds[ecg] in TRAIN_FOLDS for ecg in ids], dtype=bool)
        fitted = fit(feature, values[train], abnormal[train])
        parts = (train, ~train)

        def shares(range_ms: Pair, parts=parts, values=values, abnormal=abnormal) -> str:
            return " / ".join(f"{100 * agreement(values[part], abnormal[part], range_ms):.0f} %" for part in parts)

        used, textbook = NORMAL_RANGES_MS[feature], TEXTBOOK_RANGES_MS[feature]
        by_rule = range_used(feature, values[train], abnormal[train])
        common = " / ".join(f"{100 * commoner_share(abnormal[part]):.0f} %" for part in parts)
        cells = (feature, f"{train.sum()} / {(~train).sum()}", *map(_text, (fitted.low, fitted.high, by_rule, used)))
        lines.append(f"| {' | '.join((*cells, shares(used), _text(textbook), shares(textbook), common))} |")
    return "\n".join(lines)


def _text(pair: Pair) -> str:
    return "-".join(f"{end:.0f}" for end in dict.fromkeys(pair))


def main(arguments: Sequence[str] | None = None) -> None:
    shape = argparse.RawDescriptionHelpFormatter
    parser = Parser("python -m cardiolect.data_provider.ecgqa.range_fit", description=__doc__, formatter_class=shape)
    parser.add_argument("--questions", type=Path, nargs="+", required=True, help="folders of ECG-QA's PTB-XL questions")
    parser.add_argument(
        "--recordings", type=Path, nargs="+", required=True, help="folders of PTB-XL; the first has precedence"
    )
    args = parser.parse_args(arguments)
    known = states(read_comparisons(args.questions))
    wanted = sorted({ecg for ecgs in known.values() for ecg in ecgs})
    database: dict[str, RecordRef] = {}
    for root in reversed(args.recordings):
        database |= load_database(root, "--recordings")
    refs = {ecg: database[str(ecg)] for ecg in wanted if str(ecg) in database}
    found = measure_all(refs)
    print(
        f"{len(wanted)} recordings in comparisons, {len(refs)} at hand, {len(found)} measured (folds 1-8 / 9-10 below)"
    )
    if not found:
        raise UserError("none of the recordings can be measured: give the folders of PTB-XL that ECG-QA compares")
    print(table(known, found, {ecg: ref.fold for ecg, ref in refs.items()}))


if __name__ == "__main__":
    run_command(main)
