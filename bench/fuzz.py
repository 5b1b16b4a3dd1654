"""Damage valid ECG files of every format and read them: each must be refused in one line, or give the ECG it holds.

    python -m bench.fuzz --files 1000 --formats edf,dicom

Every file has bytes, bits, digits or a field of its header changed, has a block cut out, blanked, repeated or exchanged
with another, or is cut off. A process with a limit of time and memory reads it. What it reads is compared with the
undamaged ECG: it may differ in as many samples as the damaged bytes can belong to, and by more only if its remarks or
notes say something that they do not say of the undamaged file. Everything else is a failure, except where a damaged
header still is a valid one that nothing else in the file contradicts; these are counted by field.
"""

import shutil
import sys
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.fuzz_files import SAMPLES, SCP_UNCHECKED, Region, Specimen, specimens
from bench.fuzz_reader import Answer, Reader
from bench.harness import benchmark_parser, report
from cardiolect.data_provider.readers.layout import LAYOUT_NAME
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError

KEPT = 5  # failing files of a format that are kept
OUTCOMES = ("refused", "unchanged", "within", "said", "unchecked field", "failures")

# Fields of formats without checksums over their header: another valid value is as good as the right one.
_EDF = {"physical minimum", "physical maximum", "digital minimum", "digital maximum", "duration"}
LENGTH = "length"  # of a file that is cut off
NOTHING_CHECKS: dict[str, set[str]] = {
    "csv": {LENGTH},  # between two lines, if no layout states it
    "wfdb": {"rate", "gain"},
    "edf": _EDF,
    "edf+": _EDF,
    "bdf": _EDF,
    "dicom": {
        "SamplingFrequency",
        "ChannelSensitivity",
        "ChannelSensitivityCorrectionFactor",
        "ChannelBaseline",
    },
    "ishne": {"rate", "resolution"},
    "aecg": {"increment value", "scale value", "origin value"},
    "muse": {"SampleBase", "LeadAmplitudeUnitsPerBit"},
    SCP_UNCHECKED: {"record"},
    "philips": {"resolution", "signalresolution", "parsedwaveforms resolution"},
    "cardiosoft": {"SampleRate", "Resolution"},
}


class Damage(NamedTuple):
    """A damaged copy. samples: how many the damage can have changed in all; fields: those that it touched."""

    kind: str
    data: bytes
    samples: int
    fields: frozenset[str]


class Result(NamedTuple):
    """outcome: one of `OUTCOMES`; fields: of an "unchecked field"; text: of a failure."""

    outcome: str
    fields: frozenset[str]
    text: str


def damage(data: bytes, regions: Sequence[Region], per_byte: int, rng: np.random.Generator) -> Damage:
    """A damaged copy of a file. per_byte: as in `Specimen`."""
    kinds = ["bytes", "bits", "digits", "cut", "truncated", "exchanged", "blank", "repeated"]
    fields = [region for region in regions if region.field != SAMPLES and region.stop > region.start]
    kind = str(rng.choice([*kinds, *["field"] * (4 if fields else 0)]))
    changed, lost = bytearray(data), 0
    size = int(min(2.0 ** rng.uniform(0, 11), len(data) // 3))
    start = int(rng.integers(0, len(data) - size))
    if kind in ("bytes", "bits"):
        reach = len(data) if rng.random() < 0.5 else min(len(data), 3000)  # half of them near the beginning
        for place in rng.integers(0, reach, rng.integers(1, 9)):
            changed[place] = rng.integers(256) if kind == "bytes" else changed[place] ^ 1 << int(rng.integers(8))
    elif kind == "digits":
        raw = np.frombuffer(data, np.uint8)
        digits = np.flatnonzero((raw >= ord("0")) & (raw <= ord("9")))
        for place in rng.choice(digits, rng.integers(1, 9)) if len(digits) else ():
            changed[place] = ord("0") + rng.integers(10)
    elif kind == "field":
        region = fields[rng.integers(len(fields))]
        for place in rng.integers(region.start, region.stop, rng.integers(1, 4)):
            is_digit = chr(changed[place]).isdecimal() and rng.random() < 0.7
            changed[place] = rng.choice(list(b"0123456789.-")) if is_digit else rng.integers(256)
    elif kind == "cut":
        del changed[start : start + size]
        lost = size
    elif kind == "truncated":
        end = int(rng.integers(0, len(data)))
        del changed[end:]  # nothing may be lost without a word
    elif kind == "repeated":
        changed[start:start] = data[start : start + size]
        lost = size
    elif kind == "blank":
        changed[start : start + size] = bytes([int(rng.choice([0, 32, 255]))]) * size
    else:
        other = int(rng.integers(0, len(data) - size))
        changed[start : start + size] = data[other : other + size]
        changed[other : other + size] = data[start : start + size]
    places = np.zeros(0, int)
    if len(changed) == len(data):
        places = np.flatnonzero(np.frombuffer(changed, np.uint8) != np.frombuffer(data, np.uint8))
    hit = _hit(places, regions)
    if per_byte:
        samples = per_byte * (lost + sum(len(found) for region, found in hit.items() if region.field == SAMPLES))
    else:
        between = (data[found[0] : found[-1] + 1] for region, found in hit.items() if region.field == SAMPLES)
        samples = lost + sum(len(text.split(b",")) + len(text.split()) for text in between)
    fields = {region.field for region in hit} - {SAMPLES} | ({LENGTH} if kind == "truncated" else set())
    return Damage(kind, bytes(changed), samples, frozenset(fields))


def _hit(places: np.ndarray, regions: Sequence[Region]) -> dict[Region, list[int]]:
    """The damaged bytes in each region, in order."""
    regions = sorted(regions)
    starts = [region.start for region in regions]
    found: dict[Region, list[int]] = {}
    for place in places.tolist():
        number = bisect_right(starts, place) - 1
        if number >= 0 and place < regions[number].stop:
            found.setdefault(regions[number], []).append(place)
    return found


def judge(damaged: Damage, answer: Answer, unchecked: set[str]) -> Result:
    """What an answer is worth. unchecked: fields that nothing else in such a file can contradict."""
    if answer.outcome != "read":
        outcome = "refused" if answer.outcome == "refused" else "failures"
        return Result(outcome, frozenset(), f"{answer.outcome}: {answer.text}")
    if not answer.differing:
        return Result("unchanged", frozenset(), "")
    if answer.differing <= damaged.samples:
        return Result("within", frozenset(), "")
    if answer.text:
        return Result("said", frozenset(), answer.text)
    if hit := damaged.fields & unchecked:
        return Result("unchecked field", hit, "")
    touched = ", ".join(sorted(damaged.fields)) or "no field"
    text = f"{answer.differing} samples differ, {damaged.samples} may; {damaged.kind}, {touched}"
    return Result("failures", frozenset(), text)


def fuzz(
    found: Sequence[Specimen], files: int, seed: int, reader: Reader, folder: Path
) -> Iterator[tuple[Specimen, Path, Damage, Result]]:
    """Damage the files of one format in turn, ``files`` in all; each stays in ``folder`` until the next one."""
    held = {path: path.read_bytes() for each in found for path in each.files}
    regions = {path: find(held[path]) for each in found for path, find in each.files.items()}
    for number in range(files):
        rng = np.random.default_rng([seed, number])
        specimen = found[number % len(found)]
        trial = folder / f"{number}"
        trial.mkdir()
        name = specimen.path.name.partition(".")[0]
        target = list(specimen.files)[rng.integers(len(specimen.files))]
        for path in {*specimen.files, *specimen.path.parent.glob(f"{name}.{LAYOUT_NAME}")} - {target}:
            shutil.copyfile(path, trial / path.name)
        damaged = damage(held[target], regions[target], specimen.per_byte, rng)
        (trial / target.name).write_bytes(damaged.data)
        answer = reader.ask(specimen.path, trial / specimen.path.name)
        yield specimen, trial / target.name, damaged, judge(damaged, answer, NOTHING_CHECKS.get(specimen.format, set()))
        shutil.rmtree(trial)


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--files", type=int, default=1000, help="damaged files of each format")
    parser.add_argument("--formats", help="separated by commas; default: all")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows, notes, failed = [], [], 0
    with tempfile.TemporaryDirectory() as made, Reader() as reader:
        by_format: dict[str, list[Specimen]] = {}
        (Path(made) / "clean").mkdir()
        for specimen in specimens(Path(made) / "clean"):
            by_format.setdefault(specimen.format, []).append(specimen)
        wanted = arguments.formats.split(",") if arguments.formats else list(by_format)
        if unknown := set(wanted) - by_format.keys():
            raise UserError(f"--formats: {', '.join(sorted(unknown))} unknown; there are {', '.join(by_format)}")
        for kind in wanted:
            counts, fields, kept = Counter(), Counter(), 0
            work = Path(made) / kind
            work.mkdir()
            for specimen, path, damaged, result in fuzz(by_format[kind], arguments.files, arguments.seed, reader, work):
                counts[result.outcome] += 1
                fields.update(result.fields)
                if result.outcome == "failures" and kept < KEPT:
                    kept += 1
                    place = arguments.out / "fuzz-failures" / kind / path.parent.name
                    shutil.copytree(path.parent, place, dirs_exist_ok=True)
                    print(f"{kind}: {place} ({specimen.path.name}, {damaged.kind}): {result.text}", file=sys.stderr)
            failed += counts["failures"]
            rows.append({"format": kind, "files": arguments.files} | {each: counts[each] for each in OUTCOMES})
            if fields:
                notes.append(f"{kind}: {', '.join(f'{name} {count}' for name, count in fields.most_common())}")
    report("fuzz", rows, arguments.out, "\n".join(["Fields that nothing checks, by format:", *notes]) if notes else "")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
