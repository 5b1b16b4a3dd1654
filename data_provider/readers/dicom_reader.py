"""DICOM waveforms (12-lead, general, ambulatory and haemodynamic storage; PS3.3 A.34, C.10.9), parsed by pydicom."""

import io
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom

from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.dicom_groups import choose, groups_of
from cardiolect.data_provider.readers.lead_names import find_leads

_UNDEFINED = 0xFFFFFFFF  # the length of an element that ends with a mark
MAX_BYTES = 200_000_000  # of a deflated file, decompressed


class _Bounded(io.BufferedReader):
    """A file that reserves memory for no more bytes than are left in it, whatever length a damaged element has."""

    def __init__(self, path: Path):
        super().__init__(io.FileIO(path))
        self._size = path.stat().st_size

    def read(self, size: int | None = -1) -> bytes:
        left = max(self._size - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


def read(path: Path) -> Channels:
    """The rhythm recording, see `dicom_groups.choose`; samples of a padding value at its ends are gaps."""
    _check_decompressed_size(path)
    with _Bounded(path) as file:
        dataset = pydicom.dcmread(file, force=True)  # files without preamble are known by their content
    odd = _is_out_of_step(dataset, path.stat().st_size)
    if "WaveformSequence" not in dataset:
        meta = getattr(dataset, "file_meta", {})
        stored = dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID")
        stored = getattr(stored, "name", "of an unknown class")
        raise FileError(f"a DICOM file without waveforms ({stored[:60]}); export the ECG as DICOM waveform or aECG")
    chosen, notes = choose(groups_of(dataset))
    columns = [(group, column) for group in chosen for column in range(len(group.names))]
    found = find_leads([group.names[column] for group, column in columns])
    raw = {id(group): group.raw() for group in chosen}
    leads, scales = {}, {}
    for lead, row in found.rows.items():
        group, column = columns[row]
        scale = group.scale(column, lead)
        values = raw[id(group)][:, column]
        leads[lead] = np.where(_padded(values, group.padding()), np.nan, scale.millivolts(values))
        scales[lead] = scale.step
    if odd or any(_is_out_of_order(group.item) for group in chosen):
        notes.append("its elements are not in order, or do not end with the file: bytes may have been lost or added")
    if any(group.more_bytes for group in chosen):
        notes.append("more samples are stored than the file states; those after the stated ones are not read")
    if any(group.most_skew() >= 1 for group in chosen):
        notes.append("its channels were sampled at different times, by a sample or more; this is not corrected")
    return Channels(leads, chosen[0].fs, "DICOM", found.names, found.ignored, scales, tuple(notes))


def _is_out_of_step(dataset: pydicom.Dataset, size: int) -> bool:
    """Whether elements are out of order, or the last one does not end where the file does; before any is converted.

    Bytes lost or added in the samples move whatever follows them, which pydicom takes for other elements.
    """
    last = dataset.get_item(next(reversed(dataset.keys()))) if len(dataset) else None
    meta = getattr(dataset, "file_meta", {})
    if meta.get("TransferSyntaxUID") == pydicom.uid.DeflatedExplicitVRLittleEndian:
        last = None  # its places are those in the decompressed file
    is_open = not isinstance(last, pydicom.dataelem.RawDataElement) or last.length == _UNDEFINED
    return _is_out_of_order(dataset) or not (is_open or last.value_tell + last.length == size)


def _is_out_of_order(dataset: pydicom.Dataset) -> bool:
    """Whether tags do not ascend, as PS3.5 7.1 demands."""
    return any(one > other for one, other in pairwise(dataset.keys()))


def count_samples(path: Path) -> int:
    """Samples of all channels of all waveforms according to their headers. Raises `FileError` as `read` does."""
    _check_decompressed_size(path)
    with _Bounded(path) as file:
        groups = pydicom.dcmread(file, defer_size=1_000_000, force=True).get("WaveformSequence", ())
    return sum(int(group.NumberOfWaveformSamples) * int(group.NumberOfWaveformChannels) for group in groups)


def _check_decompressed_size(path: Path) -> None:
    """Refuse a deflated file (PS3.5 A.5) larger than `MAX_BYTES` once decompressed; pydicom would decompress all."""
    with _Bounded(path) as file:
        pydicom.filereader.read_preamble(file, force=True)
        # As pydicom's reader does it: by the elements, whatever length the group gives.
        meta = pydicom.filereader._read_file_meta_info(file)
        if meta.get("TransferSyntaxUID") != pydicom.uid.DeflatedExplicitVRLittleEndian:
            return
        unpacked, left = zlib.decompressobj(-zlib.MAX_WBITS), MAX_BYTES
        packed = file.read(1 << 20)
        while packed:
            left -= len(unpacked.decompress(packed, 1 << 24))
            if left < 0:
                raise FileError(f"decompresses to more than {MAX_BYTES // 10**6} MB")
            packed = unpacked.unconsumed_tail or file.read(1 << 20)


def _padded(values: np.ndarray, padding: int | None) -> np.ndarray:
    """bool ``(T,)``: where a channel is padded, at its ends only. Zero is a voltage, whatever the file states."""
    padded = np.zeros(len(values), bool)
    if padding:
        others = np.flatnonzero(values != padding)
        first, last = (others[0], others[-1]) if len(others) else (len(values), len(values))
        padded[:first] = padded[last + 1 :] = True
    return padded
