"""Undamaged files of every format that the readers know, and what each byte of them is: a sample, or which field."""

import io
import json
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import edfio
import h5py
import numpy as np
import pydicom
import scipy.io
import wfdb

from cardiolect.data_provider.readers.writers import csv_writer, dicom_writer, edf_writer, wfdb_writer
from cardiolect.data_provider.readers.writers.digital import LARGEST_16_BIT, DigitalECG, digitise
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator import simulate
from cardiolect.data_provider.simulator.patients import draw_patient
from tests.helpers import xml_files
from tests.helpers.ishne import write_ishne
from tests.helpers.scp import Beats, write_scp

REAL = Path(__file__).resolve().parents[2] / "shared/data/files"
FS, SECONDS, STEP_UV = 500, 4, 5
LAYOUT = {"sampling_rate": FS, "unit": "mV", "leads": list(LEADS)}
SAMPLES = "samples"
SCP_UNCHECKED = "scp without checksums"  # a byte of its codes may change all that follow, and nothing can tell


class Region(NamedTuple):
    """Bytes ``start`` to ``stop`` (exclusive) of a file are its samples, or the field of this name."""

    start: int
    stop: int
    field: str


Regions = Callable[[bytes], list[Region]]


class Specimen(NamedTuple):
    """An undamaged recording.

    path: what is read. files: those of its files that are damaged, and what their bytes are. per_byte: how many
    samples of a lead a byte can hold a part of; 0 for lists of numbers in text, where a separator that is lost and one
    that is new move all numbers between them.
    """

    format: str
    path: Path
    files: dict[Path, Regions]
    per_byte: int = 1


def simulated() -> np.ndarray:
    """``(12, T)`` mV in steps of 5 uV."""
    signal = simulate(5, 0, draw_patient(5, 0, 1))[1].astype(float)[:, : FS * SECONDS]
    return np.round(signal * 1000 / STEP_UV) * STEP_UV / 1000


def specimens(folder: Path) -> Iterator[Specimen]:
    """Every format, one or more files each, written to ``folder``; and real ones, read where they are."""
    ecg = simulated()
    known = np.ones(ecg.shape[1], bool)
    digital = DigitalECG(
        {lead: digitise(values, known, [STEP_UV], LARGEST_16_BIT) for lead, values in zip(LEADS, ecg, strict=True)},
        FS,
    )
    yield from _tables(folder, ecg, digital)
    yield from _binaries(folder, ecg, digital)
    yield from _xml(folder, ecg)
    for name in sorted(REAL.glob("*")):
        kind = {".dcm": "dicom", ".scp": "scp"}.get(name.suffix) or ("philips" if "sierra" in name.name else "aecg")
        regions = {"dicom": _dicom, "scp": _nothing}.get(kind, _elements)
        yield Specimen(kind, name, {name: regions}, {"philips": 2, "aecg": 0}.get(kind, 1))


def _tables(folder: Path, ecg: np.ndarray, digital: DigitalECG) -> Iterator[Specimen]:
    csv_writer.write(folder, "layout", digital)
    yield Specimen("csv", folder / "layout.csv", {folder / "layout.csv": _text_table})
    rows = [f"{row / FS:.3f}," + ",".join(f"{value:.3f}" for value in sample) for row, sample in enumerate(ecg.T)]
    table = "\n".join(["time [s]," + ",".join(f"{lead} [mV]" for lead in LEADS), *rows]) + "\n"
    yield Specimen("csv", _written(folder / "timed.csv", table), {folder / "timed.csv": _text_table})
    for name in ("array.npy", "many.hdf5", "packed.hdf5"):
        (folder / f"{name.split('.')[0]}.layout.json").write_text(json.dumps(LAYOUT))
    np.save(folder / "array.npy", ecg.T)
    yield Specimen("npy", folder / "array.npy", {folder / "array.npy": _numpy})
    said = {"fs": FS, "leads": np.array(LEADS), "unit": "mV"}
    np.savez(folder / "plain.npz", signal=ecg, **said)
    np.savez_compressed(folder / "packed.npz", signal=ecg, **said)
    for name in ("plain.npz", "packed.npz"):
        yield Specimen("npz", folder / name, {folder / name: _nothing})
    steps = np.round(np.stack([ecg.T, ecg.T[::-1]]) * 1000) / 1000
    for name, options in (("many", {}), ("packed", {"chunks": (1, *ecg.T.shape), "compression": "gzip"})):
        with h5py.File(folder / f"{name}.hdf5", "w") as file:
            file.create_dataset("tracings", data=steps.astype(np.float32), **options)
            file["exam_id"] = [11, 12]
        path = folder / f"{name}.hdf5"
        held = steps.astype(np.float32).tobytes() if not options else b""
        yield Specimen("hdf5", path.with_name(f"{name}.hdf5#11"), {path: _around(held)})


def _binaries(folder: Path, ecg: np.ndarray, digital: DigitalECG) -> Iterator[Specimen]:
    steps = np.round(ecg * 1000 / STEP_UV).astype(int)
    wfdb_writer.write(folder, "record", digital)
    said = {"fs": FS, "units": ["mV"] * 12, "sig_name": list(LEADS), "write_dir": str(folder)}
    gains = {"adc_gain": [200.0] * 12, "baseline": [0] * 12}
    for name, fmt in (("dense", "212"), ("flac", "516")):
        wfdb.wrsamp(name, fmt=[fmt] * 12, d_signal=steps.T, **said, **gains)
    for name, signals in (("record", ["record"]), ("dense", ["dense"]), ("flac", ["flac_1", "flac_2"])):
        files = {folder / f"{name}.hea": _wfdb_header}
        # A byte of FLAC may change all that follow: checksums must find it.
        files |= {folder / f"{each}.dat": _nothing if name == "flac" else _all_samples for each in signals}
        yield Specimen("wfdb", folder / name, files, 2)
    edf_writer.write(folder, "plain", digital)
    yield Specimen("edf", folder / "plain.edf", {folder / "plain.edf": _edf})
    for kind, signal, document, dtype in (
        ("edf+", edfio.EdfSignal, edfio.Edf, np.int16),
        ("bdf", edfio.BdfSignal, edfio.Bdf, np.int32),
    ):
        limit = 32767 if dtype is np.int16 else 8388607
        about = {"physical_dimension": "uV", "physical_range": (-limit, limit), "digital_range": (-limit, limit)}
        signals = [
            signal.from_digital((values * STEP_UV).astype(dtype), FS, label=lead, **about)
            for lead, values in zip(LEADS, steps, strict=True)
        ]
        path = folder / f"{kind[:3]}-notes.{kind[:3]}"
        notes = [edfio.EdfAnnotation(1, None, "beat")] if kind == "edf+" else None
        document(signals, annotations=notes, data_record_duration=1).write(path)
        yield Specimen(kind, path, {path: _edf})
    dicom_writer.write(folder, "ecg", digital)
    yield Specimen("dicom", folder / "ecg.dcm", {folder / "ecg.dcm": _dicom})
    path = write_ishne(folder / "holter.ecg", steps, nanovolts=1000 * STEP_UV, comment=b"a comment")
    yield Specimen("ishne", path, {path: _ishne})
    beats = Beats(np.full((12, 100), 50), before=50, fiducials=[300, 700], zones=[(200, 400), (600, 800)])
    for name, how in (("huffman", {}), ("plain", {"huffman": False}), ("thinned", {"beats": beats, "thin": 4})):
        path = write_scp(folder / f"{name}.scp", steps, nanovolts=1000 * STEP_UV, **how)
        yield Specimen("scp", path, {path: _nothing})
    for name in ("huffman", "thinned"):
        path = folder / f"{name}-unchecked.scp"
        path.write_bytes(_without_checksums((folder / f"{name}.scp").read_bytes()))
        yield Specimen(SCP_UNCHECKED, path, {path: _whole_record})
    for name, packed in (("plain", False), ("packed", True)):
        path = folder / f"{name}.mat"
        scipy.io.savemat(path, {"ECG": {"sex": "Female", "age": 60, "data": ecg}}, do_compression=packed)
        yield Specimen("mat", path, {path: _around(b"" if packed else ecg.tobytes(order="F"))})


def _xml(folder: Path, ecg: np.ndarray) -> Iterator[Specimen]:
    pulse = np.zeros((12, 3 * FS // 2))
    pulse[:, FS // 2 : FS // 2 + FS // 5] = 1
    muse = xml_files.muse(xml_files.muse_wave(xml_files.of(ecg, xml_files.EIGHT)))
    texts = {
        "aecg": (xml_files.aecg(xml_files.aecg_series(xml_files.aecg_set(ecg))), 0),
        "muse": (muse, 2),
        "muse, unchecked": (_without_crc(muse), 2),
        "cardiosoft": (xml_files.cardiosoft(xml_files.cardiosoft_strip(ecg)), 0),
        "philips": (xml_files.philips(np.hstack([ecg, pulse])), 2),
        "philips, plain": (xml_files.philips(ecg, packed=False), 2),
    }
    for name, (text, per_byte) in texts.items():
        path = _written(folder / f"{name.replace(', ', '-')}.xml", text)
        yield Specimen(name.partition(",")[0], path, {path: _elements}, per_byte)


def _without_checksums(data: bytes) -> bytes:
    """An SCP-ECG record whose sections have the checksum 0, as writers leave it that compute none."""
    out = bytearray(data)
    at = 6
    while at < len(out):
        out[at : at + 2] = bytes(2)
        at += struct.unpack_from("<I", out, at + 4)[0]
    return bytes(out)


def _without_crc(text: str) -> str:
    return re.sub(r"<LeadDataCRC32>\d+</LeadDataCRC32>", "", text)


def _whole_record(data: bytes) -> list[Region]:
    return [Region(0, len(data), "record")]


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _nothing(data: bytes) -> list[Region]:
    """No byte of a format whose samples and fields have checksums may change a sample."""
    return []


def _all_samples(data: bytes) -> list[Region]:
    return [Region(0, len(data), SAMPLES)]


def _around(held: bytes) -> Regions:
    """The samples wherever these bytes are in a file, and what is around them."""

    def regions(data: bytes) -> list[Region]:
        start = data.find(held) if held else -1
        if start < 0:
            return [Region(0, len(data), "structure")]
        stop = start + len(held)
        return [Region(0, start, "structure"), Region(start, stop, SAMPLES), Region(stop, len(data), "structure")]

    return regions


def _text_table(data: bytes) -> list[Region]:
    end = data.index(b"\n") + 1
    return [Region(0, end, "names and units"), Region(end, len(data), SAMPLES)]


def _numpy(data: bytes) -> list[Region]:
    end = 10 + struct.unpack_from("<H", data, 8)[0]
    return [Region(0, end, "shape and type"), Region(end, len(data), SAMPLES)]


_RECORD_LINE = ("name", "number of signals", "rate", "length")
_SIGNAL_LINE = ("file", "format", "gain", "resolution", "zero", "first value", "checksum", "block size", "lead")


def _wfdb_header(data: bytes) -> list[Region]:
    regions, at = [], 0
    for number, line in enumerate(data.split(b"\n")):
        names = _SIGNAL_LINE if number else _RECORD_LINE
        for word, name in zip(re.finditer(rb"\S+", line), names, strict=False):
            regions.append(Region(at + word.start(), at + word.end(), name))
        at += len(line) + 1
    return regions


_EDF_HEAD = {"version": 8, "patient": 80, "recording": 80, "start": 16, "header bytes": 8, "reserved": 44}
_EDF_HEAD |= {"data records": 8, "duration": 8, "signals": 4}
_EDF_SIGNAL = {"label": 16, "transducer": 80, "unit": 8, "physical minimum": 8, "physical maximum": 8}
_EDF_SIGNAL |= {"digital minimum": 8, "digital maximum": 8, "prefilter": 80, "samples": 8, "reserved of a signal": 32}


def _edf(data: bytes) -> list[Region]:
    regions, at, count = [], 0, int(data[252:256])
    for name, width in [*_EDF_HEAD.items(), *((name, width * count) for name, width in _EDF_SIGNAL.items())]:
        regions.append(Region(at, at + width, "samples in a record" if name == "samples" else name))
        at += width
    return [*regions, Region(at, len(data), SAMPLES)]


_ISHNE = {
    "checksum": (8, 10),
    "comment bytes": (10, 14),
    "length": (14, 18),
    "places": (18, 26),
    "number of leads": (156, 158),
}
_ISHNE |= {"leads": (158, 182), "resolution": (206, 230), "rate": (272, 274)}


def _ishne(data: bytes) -> list[Region]:
    end = 522 + struct.unpack_from("<i", data, 10)[0]
    return [*(Region(*place, name) for name, place in _ISHNE.items()), Region(end, len(data), SAMPLES)]


def _dicom(data: bytes) -> list[Region]:
    """Values by keyword, each with the eight or twelve bytes of tag, type and length before it."""
    regions: list[Region] = []

    def visit(dataset: pydicom.Dataset, base: int) -> None:
        for tag in list(dataset.keys()):
            raw = dataset.get_item(tag)
            if isinstance(raw, pydicom.dataelem.RawDataElement):
                keyword = pydicom.datadict.keyword_for_tag(tag)
                start, held = base + raw.value_tell, len(raw.value or b"")
                regions.append(Region(start - 8, start, f"length of {keyword}"))
                if dataset[tag].VR != "SQ":
                    regions.append(Region(start, start + held, SAMPLES if keyword == "WaveformData" else keyword))
            for item in dataset[tag].value if dataset[tag].VR == "SQ" else ():
                # The elements of a sequence of stated length are counted from its own start.
                visit(item, start if isinstance(raw, pydicom.dataelem.RawDataElement) else base)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        visit(pydicom.dcmread(io.BytesIO(data)), 0)
    return regions


_TAG = re.compile(r"<[^>]*>")
_ATTRIBUTE = re.compile(r"([\w:]+)\s*=\s*\"([^\"]*)\"")
_SAMPLE_TAGS = {"digits", "WaveFormData", "WaveformData", "parsedwaveforms"}


def _elements(data: bytes) -> list[Region]:
    """Attributes and texts of XML by the names of their tags."""
    wide = 2 if b"\0" in data[:100] else 1
    text, regions, last = data[::wide].decode("latin-1") if wide == 2 else data.decode("latin-1"), [], None
    for tag in _TAG.finditer(text):
        if last is not None and tag.start() > last.end() and last[0][1] not in "/?!":
            name = last[0][1:].split()[0].rstrip("/>")
            field = SAMPLES if name in _SAMPLE_TAGS else name
            regions.append(Region(wide * last.end(), wide * tag.start(), field))
        name = tag[0][1:].split()[0].rstrip("/>") if len(tag[0]) > 2 else ""
        for found in _ATTRIBUTE.finditer(tag[0]):
            start = tag.start() + found.start(2)
            regions.append(Region(wide * start, wide * (tag.start() + found.end(2)), f"{name} {found[1]}"))
        last = tag
    return regions
