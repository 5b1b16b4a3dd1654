"""WFDB records: the header is parsed by `wfdb_header`, wfdb decodes the samples of each signal file.

wfdb's own reading of headers is not used: it cuts names at a dot, reads 1E3 as 1, and stops at unexpected dates. Files
of plain 16-bit samples, the most frequent ones, need no decoding and are read directly, with equal results.
"""

from pathlib import Path

import numpy as np
from wfdb.io import _signal as wfdb_signal  # pinned: its public functions read the header again

from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.lead_names import find_leads
from cardiolect.data_provider.readers.wfdb_header import FLAC_FORMATS, Header, SignalLine, read_header

MAX_FLAC_SAMPLES = 500_000_000  # of a file; FLAC stores a constant signal in next to nothing


def read(path: Path) -> Channels:
    """One record, by its path without suffix; checksums and lengths are verified."""
    header_path = path.with_name(path.name + ".hea")
    try:
        header = read_header(header_path)
    except FileNotFoundError:
        raise FileError("no such .hea file") from None
    except OSError as error:
        raise FileError(f"cannot be read ({error.strerror})") from None
    found = find_leads([line.name for line in header.signals])
    lines = {lead: header.signals[row] for lead, row in found.rows.items()}
    if len({line.per_frame for line in lines.values()}) > 1:
        raise FileError("its leads have different sampling rates")
    for lead, line in lines.items():
        if line.mv_per_unit is None:
            raise FileError(f"lead {lead} {line.unit_problem}")
    digital = _samples(header, path.parent, set(found.rows.values()))
    # Software that computes no checksums writes 0 everywhere, or leaves the field out.
    has_checksums = any(line.checksum for line in header.signals)
    has_first = not has_checksums and any(line.first_value for line in header.signals)
    leads = {}
    for lead, row in found.rows.items():
        line, samples = header.signals[row], digital[row]
        if header.n_frames is not None and len(samples) != header.n_frames * line.per_frame:
            raise FileError(f"lead {lead} has {len(samples)} of {header.n_frames * line.per_frame} samples")
        if has_checksums and line.checksum is not None and (_sum(samples) - line.checksum) % 65536:
            raise FileError(f"lead {lead} does not match the header's checksum; the file is damaged")
        if has_first and line.first_value is not None and len(samples) and samples[0] != line.first_value:
            raise FileError(
                f"lead {lead} does not begin with the first value in the header: format, byte offset or file are "
                "not what the header says"
            )
        leads[lead] = _millivolts(samples, line)
    notes = [*header.notes]
    if not has_checksums:
        notes.append("its header has no checksums, so damaged samples cannot be told")
    if any(line.skew for line in lines.values()):
        notes.append("leads were shifted by the skew that the header gives")
    per_frame = lines[next(iter(lines))].per_frame
    formats = ", ".join(sorted({line.fmt for line in lines.values()}, key=int))
    return Channels(
        leads,
        header.fs * per_frame,
        f"WFDB format {formats}",
        found.names,
        found.ignored,
        {lead: f"{1000 * line.mv_per_unit / abs(line.gain):g} uV" for lead, line in lines.items()},
        tuple(notes),
    )


def _samples(header: Header, folder: Path, wanted: set[int]) -> dict[int, np.ndarray]:
    """Row of each wanted signal -> its digital samples, from the files that contain one; skew is not applied."""
    samples: dict[int, np.ndarray] = {}
    for name, rows in header.by_file().items():
        if wanted.isdisjoint(rows):
            continue
        lines = [header.signals[row] for row in rows]
        try:
            decoded = _plain(folder / name, lines, header.n_frames)
            if decoded is None:
                decoded = _decode(folder / name, lines, header.n_frames)
        except FileError:
            raise
        except OSError as error:  # its text contains the path, and a path may name a patient
            raise FileError(f"cannot be read ({error.strerror or type(error).__name__})") from None
        except Exception as error:  # wfdb and soundfile raise whatever they stumble over
            raise FileError(f"wfdb cannot read its signals ({type(error).__name__})") from None
        samples |= dict(zip(rows, decoded, strict=True))
    return samples


def _plain(path: Path, lines: list[SignalLine], n_frames: int | None) -> np.ndarray | None:
    """int16 ``(signals, n_frames)`` of a file of format 16 with a sample of each signal in every frame; else None."""
    if any(line.fmt != "16" or line.per_frame != 1 for line in lines) or n_frames is None:
        return None
    stored = np.fromfile(path, np.dtype("<i2"), n_frames * len(lines), offset=lines[0].offset)
    if stored.size < n_frames * len(lines):  # it has become shorter since its size was checked
        return None
    return np.ascontiguousarray(stored.reshape(n_frames, len(lines)).T)


def _decode(path: Path, lines: list[SignalLine], n_frames: int | None) -> list[np.ndarray]:
    """The digital samples of every signal in one file, by wfdb."""
    fmt, per_frame = lines[0].fmt, [line.per_frame for line in lines]
    stored = None
    if fmt in FLAC_FORMATS:
        n_frames = _frames_of_flac(path, lines, n_frames)
    else:  # opened here: wfdb would take "::" in a path for a protocol
        dtype, n_samples = np.dtype(wfdb_signal.DATA_LOAD_TYPES[fmt]), n_frames * sum(per_frame)
        count = wfdb_signal._required_byte_num("read", fmt, n_samples) if dtype.itemsize == 1 else n_samples
        stored = np.fromfile(path, dtype, count, offset=lines[0].offset)
    return wfdb_signal._rd_dat_signals(
        file_name=path.name,
        dir_name=str(path.parent.resolve()),
        pn_dir=None,
        fmt=fmt,
        n_sig=len(lines),
        sig_len=n_frames,
        byte_offset=lines[0].offset,
        samps_per_frame=per_frame,
        skew=[0] * len(lines),
        init_value=[line.first_value or 0 for line in lines],
        sampfrom=0,
        sampto=n_frames,
        no_file=stored is not None,
        sig_data=stored,
    )


def _frames_of_flac(path: Path, lines: list[SignalLine], n_frames: int | None) -> int:
    """Frames to decode. Raises `FileError` if the file has fewer, or too many to decompress."""
    import soundfile  # as in wfdb: files of other formats do not need it

    frames = (soundfile.info(str(path)).frames - lines[0].offset) // lines[0].per_frame
    if n_frames is not None and frames < n_frames:
        raise FileError(f"its signal file {path.name} is truncated: {frames} of {n_frames} frames")
    frames = frames if n_frames is None else n_frames
    if frames * sum(line.per_frame for line in lines) > MAX_FLAC_SAMPLES:
        raise FileError(f"decompresses to more than {MAX_FLAC_SAMPLES // 10**6} million samples")
    return frames


def _sum(samples: np.ndarray) -> int:
    return int(samples.sum(dtype=np.int64))


def _millivolts(samples: np.ndarray, line: SignalLine) -> np.ndarray:
    """float64 ``(T,)``: NaN where the format's mark for an invalid sample is stored, and where skew leaves none."""
    values = (samples.astype(np.float64) - line.baseline) / line.gain * line.mv_per_unit
    invalid = wfdb_signal.INVALID_SAMPLE_VALUE[line.fmt]
    if invalid is not None:
        values[samples == invalid] = np.nan
    if skew := min(line.skew * line.per_frame, len(values)):
        values = np.concatenate([values[skew:], np.full(skew, np.nan)])
    return values
