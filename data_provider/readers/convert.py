"""Convert ECG files to WFDB, CSV, EDF or DICOM: ``cardiolect convert IN OUT``.

OUT is a file ending in .hea, .csv, .edf or .dcm; or a folder, with --to. IN may be a folder: every ECG below it is
converted. Leads are found as everywhere in this project and written in millivolts or microvolts; no patient, date or
device is. Every file is read back and compared before it gets its name. Names of files are kept, but in a folder all
but letters A to Z, digits, - and _ become _, and two sources of one name get their suffix in it; where so, it is said.
"""

import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cardiolect.data_provider.readers import NoECGError, RecordError, read_record
from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.formats import (
    FORMATS,
    HEADER,
    WFDB,
    file_role,
    files_of,
    read_channels,
    record_name,
)
from cardiolect.data_provider.readers.hdf5_reader import recordings
from cardiolect.data_provider.readers.layout import layout_names
from cardiolect.data_provider.readers.scale import step_in_mv
from cardiolect.data_provider.readers.writers import csv_writer, dicom_writer, edf_writer, wfdb_writer
from cardiolect.data_provider.readers.writers.digital import (
    DEFAULT_UV,
    LARGEST_16_BIT,
    LARGEST_24_BIT,
    DigitalECG,
    digitise,
)
from cardiolect.data_provider.record import LEADS, LIMB_LEADS, ECGRecord
from cardiolect.utils.command_line import Parser, file_path, not_empty, run_command
from cardiolect.utils.errors import UserError, make_folder

_FLOAT_UV = 0.01  # what float32 adds to half a step


@dataclass(frozen=True)
class Target:
    """A format to write. suffixes: of its files, first the one that is opened; largest: its largest digital value."""

    write: Callable[[Path, str, DigitalECG], list[str]]
    suffixes: tuple[str, ...]
    largest: int = LARGEST_16_BIT


TARGETS = {
    "wfdb": Target(wfdb_writer.write, (HEADER, ".dat"), LARGEST_24_BIT),
    "csv": Target(csv_writer.write, (".csv",), LARGEST_24_BIT),
    "edf": Target(edf_writer.write, (".edf",)),
    "dicom": Target(dicom_writer.write, (".dcm",)),
}


def convert(source: Path, out: Path, to: str, force: bool = False) -> str:
    """Convert one recording to ``out``, which ends in the first suffix of the format ``to``; returns one line about it.

    Raises `UserError` if it cannot be read or written, if a file is in the way, or if what was written does not read
    back as the same ECG; no file is left then.
    """
    target, name = TARGETS[to], out.name.removesuffix(TARGETS[to].suffixes[0])
    files = [out.with_name(name + suffix) for suffix in target.suffixes]
    originals = [Path(file.path) for file in files_of(_without_suffix(source))]
    for file in files:
        if os.path.exists(file) and any(original.samefile(file) for original in originals):
            raise UserError(f"{file} is a file of the recording to convert; give another name")
    in_the_way = [file for file in files if os.path.exists(file)]
    if in_the_way and not force:
        raise UserError(f"{in_the_way[0]} exists; give another name, or --force to overwrite it")
    record = read_record(source)
    channels = read_channels(source)
    ecg = _digital(record, channels, target.largest)
    with _partial_folder(out) as partial:
        try:
            lost = target.write(partial, name, ecg)
            for layout in filter(os.path.isfile, map(out.with_name, layout_names(out))):  # will be read with it
                shutil.copyfile(layout, partial / layout.name)
            back = read_record(partial / out.name)
        except FileError as error:
            raise UserError(f"record {source}: {error}") from None
        except RecordError as error:
            reason = str(error).partition(": ")[2]
            raise UserError(f"record {source}: what was written as {to} cannot be read back: {reason}") from None
        difference = _compare(record, back, ecg, f"record {source}: what was written as {to}")
        for file in files:
            os.replace(partial / file.name, file)
    return _summary(record, back, channels, ecg, difference, lost)


@contextmanager
def _partial_folder(out: Path) -> Iterator[Path]:
    """A folder next to ``out`` for files that are not complete. Folders that were made for it go again on failure.

    Raises `UserError` on whatever the operating system refuses meanwhile.
    """
    new = [folder for folder in (out.parent, *out.parent.parents) if not os.path.exists(folder)]
    try:
        make_folder("OUT", out.parent)
        with tempfile.TemporaryDirectory(prefix=".convert-", dir=out.parent) as partial:
            yield Path(partial)
    except BaseException as error:
        for folder in new:
            with suppress(OSError):  # never made, or in use by others
                folder.rmdir()
        if isinstance(error, OSError):
            reason = error.strerror or type(error).__name__
            raise UserError(f"OUT {out} cannot be written to ({reason})") from None
        raise


def _digital(record: ECGRecord, channels: Channels, largest: int) -> DigitalECG:
    """The leads to write: all that have samples, and flat limb leads, which a reader would compute otherwise."""
    steps = sorted({step for text in channels.scales.values() if (step := _microvolts(text))})
    # Rather 16 bits than 24: more software reads them.
    sizes = [size for size in (LARGEST_16_BIT, largest) if size <= largest]
    leads = {}
    for lead, values, good in zip(LEADS, record.signal, record.good, strict=True):
        if not good.any() and (lead not in channels.leads or lead not in LIMB_LEADS):
            continue
        tried = [digitise(values, good, steps, size) for size in dict.fromkeys(sizes)]
        leads[lead] = next((each for each in tried if each.step_uv <= DEFAULT_UV or each.step_uv in steps), tried[-1])
    return DigitalECG(leads, record.fs)


def _microvolts(scale: str) -> float | None:
    """An entry of `Channels.scales` in uV; None if it is not a voltage, or too fine or coarse to write an ECG with."""
    step = 1000 * (step_in_mv(scale) or 0)
    return step if 1e-3 <= step <= 100 else None


def _compare(record: ECGRecord, back: ECGRecord, ecg: DigitalECG, what: str) -> float:
    """The largest difference in uV where both have a value. Raises `UserError` if the two are not the same ECG."""
    if back.signal.shape != record.signal.shape or abs(back.fs / record.fs - 1) > 2e-6:
        raise UserError(
            f"{what} has {back.signal.shape[1]} samples at {back.fs:g} Hz instead of {record.signal.shape[1]} at "
            f"{record.fs:g} Hz"
        )
    if missing := [LEADS[row] for row in np.flatnonzero((record.good & ~back.good).any(axis=1))]:
        raise UserError(f"{what} lacks samples of {', '.join(missing)}")
    difference = 0.0
    for row, lead in enumerate(LEADS):
        good = record.good[row]
        if not good.any():
            continue
        wide = record.signal[row][good].astype(float)
        largest = 1000 * float(np.abs(wide - back.signal[row][good]).max())
        if largest > 0.5 * ecg.leads[lead].step_uv + _FLOAT_UV + 1e-4 * np.abs(wide).max():
            raise UserError(f"{what} differs by {largest:.3g} uV in lead {lead}")
        difference = max(difference, largest)
    return difference


def _summary(
    record: ECGRecord, back: ECGRecord, channels: Channels, ecg: DigitalECG, difference: float, lost: list[str]
) -> str:
    """One line: what was written, how exactly, and what was lost, assumed or added."""
    parts = [
        f"{len(ecg.leads)} leads, {record.seconds:g} s at {record.fs:g} Hz"
        + (f" from {channels.kind}" if channels.kind else ""),
        f"largest difference {difference:.2g} uV",
    ]
    if ecg.coarsest_uv > DEFAULT_UV and difference > 0.5 * DEFAULT_UV + _FLOAT_UV:
        parts.append(f"its range needs steps of {ecg.coarsest_uv:g} uV")
    if absent := [lead for lead in LEADS if not record.good[LEADS.index(lead)].any()]:
        parts.append(f"not recorded: {', '.join(absent)}")
    if computed := [lead for lead in ecg.leads if lead not in channels.leads]:
        parts.append(f"computed from other limb leads: {', '.join(computed)}")
    masked = int((~record.good[record.good.any(axis=1)]).sum())
    unmarked = int((back.good & ~record.good).sum())
    if masked:
        parts.append(f"{masked} samples without a value, of which {unmarked} now look like signal")
    if channels.ignored:
        parts.append(f"{len(channels.ignored)} other signals left out")
    return "; ".join([*parts, *lost, *record.notes])


def _without_suffix(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() in (HEADER, ".dat") else path


def _target_of(out: Path) -> str:
    for to, target in TARGETS.items():
        if out.name.endswith(target.suffixes[0]) and out.name != target.suffixes[0]:
            return to
    suffixes = ", ".join(f"{target.suffixes[0]} ({to})" for to, target in TARGETS.items())
    raise UserError(f"OUT {out}: must end in one of {suffixes}, or be a folder with --to")


def _recordings(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Every recording below a folder, and its path relative to it without suffix."""
    for file in sorted(folder.rglob("*")):
        suffix, inside = file.suffix.lower(), file.relative_to(folder).with_suffix("")
        if file_role(file) != "recording" or not file.is_file() or any(p.startswith(".") for p in inside.parts):
            continue
        if suffix in WFDB.signals and file.with_suffix(HEADER).is_file():
            continue
        if suffix not in FORMATS:  # known by its content: dots belong to the name, as in UIDs
            yield file, file.relative_to(folder)
            continue
        if not FORMATS[suffix].container:
            yield file, inside
            continue
        try:
            ids = recordings(file)
        except Exception:  # no ids: a single recording, or a file that reading will name
            yield file, inside
            continue
        for each in ids:
            path = file.with_name(f"{file.name}#{each}")
            yield path, inside / record_name(path)


def _named(found: list[tuple[Path, Path]], out: Path, suffix: str) -> Iterator[tuple[Path, Path, str]]:
    """Every recording, the file to write, and a clause if its name had to be changed.

    It is named alike, with the source's suffix if two would share a name.
    """
    stems = [inside.with_name(re.sub(r"[^A-Za-z0-9_-]", "_", inside.name)) for _, inside in found]
    times = Counter(str(stem).lower() for stem in stems)
    for (path, inside), stem in zip(found, stems, strict=True):
        if times[str(stem).lower()] > 1:
            stem = stem.with_name(f"{stem.name}_{path.suffix[1:].split('#')[0]}")
        changed = f"; its name was {inside.name}" if stem.name != inside.name else ""
        yield path, out / stem.parent / f"{stem.name}{suffix}", changed


def convert_folder(source: Path, out: Path, to: str, force: bool = False) -> None:
    """Convert every recording below ``source`` to ``out``, in the same folders; one line for each on stdout.

    Failures are lines on stderr. Raises `UserError` at the end if there were any; files that hold no ECG, such as notes
    and lists of patients, are said and counted, and are none.
    """
    if out.resolve().is_relative_to(source.resolve()):
        raise UserError(f"OUT {out} is inside IN; give a folder outside of it")
    found, failed, without = list(_recordings(source)), 0, 0
    if not found:
        raise UserError(f"IN {source}: contains no ECG file of a known format; docs/DATA.md lists them")
    for number, (path, file, changed) in enumerate(_named(found, out, TARGETS[to].suffixes[0]), start=1):
        try:
            line = convert(path, file, to, force)
            print(f"[{number}/{len(found)}] {path} -> {file}: {line}{changed}", flush=True)
        except NoECGError as error:
            without += 1
            print(f"[{number}/{len(found)}] left out: {error}", file=sys.stderr, flush=True)
        except UserError as error:
            failed += 1
            print(f"[{number}/{len(found)}] error: {error}", file=sys.stderr, flush=True)
    ecgs = len(found) - without
    said = f"; {without} files without an ECG left out" if without else ""
    print(f"{ecgs - failed} of {ecgs} recordings converted to {out}{said}")
    if failed or not ecgs:
        raise UserError(f"{failed} of {ecgs} recordings could not be converted; the lines above say why")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect convert", description=__doc__)
    parser.add_argument("source", type=not_empty, metavar="IN", help="ECG file, or a folder of them")
    parser.add_argument("out", type=file_path, metavar="OUT", help="file to write, or a folder with --to")
    parser.add_argument("--to", choices=sorted(TARGETS), help="format of the files in the folder OUT")
    parser.add_argument("--force", action="store_true", help="overwrite files")
    given = parser.parse_args(arguments)
    source, out = Path(given.source), given.out
    if source.is_dir():
        if given.to is None or out.is_file():
            raise UserError("IN is a folder: OUT must be a folder too, with --to")
        convert_folder(source, out, given.to, given.force)
        return
    if given.to is not None:
        if out.is_file():
            raise UserError(f"OUT {out} is a file; with --to, give a folder")
        out = out / f"{record_name(source)}{TARGETS[given.to].suffixes[0]}"
    elif out.is_dir():
        raise UserError(f"OUT {out} is a folder; give --to, or a file name")
    print(f"{out}: {convert(source, out, given.to or _target_of(out), given.force)}")


if __name__ == "__main__":
    run_command(main)
