"""WFDB records, parsed by wfdb after a strict check of the header (`wfdb_header`)."""

from pathlib import Path

import wfdb

from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.lead_names import find_leads
from cardiolect.data_provider.readers.wfdb_header import Header, read_header


def read(path: Path) -> Channels:
    """One record, by its path without suffix; checksums and lengths are verified."""
    header_path = path.with_name(path.name + ".hea")
    try:
        header = read_header(header_path)
    except FileNotFoundError:
        raise FileError("no such .hea file") from None
    except OSError as error:
        raise FileError(f"cannot be read ({error.strerror})") from None
    try:
        # The checksums cover the digital samples, including every sample of a frame.
        record = wfdb.rdrecord(str(path), physical=False, smooth_frames=False, return_res=32)
        physical = record.dac(expanded=True)
    except OSError as error:  # its text contains the path, and a path may name a patient
        raise FileError(f"cannot be read ({error.strerror or type(error).__name__})") from None
    except Exception as error:  # wfdb raises whatever its parser stumbles over
        raise FileError(f"wfdb cannot read it ({type(error).__name__}: {str(error)[:80]})") from None
    found = find_leads([line.name for line in header.signals])
    per_frame = {header.signals[channel].per_frame for channel in found.rows.values()}
    if len(per_frame) > 1:
        raise FileError("its leads have different sampling rates")
    _check_samples(record, header, found.rows)
    leads = {lead: physical[channel] * header.signals[channel].mv_per_unit for lead, channel in found.rows.items()}
    return Channels(leads, header.fs * per_frame.pop(), "WFDB", found.names, found.ignored)


def _check_samples(record: wfdb.Record, header: Header, rows: dict[str, int]) -> None:
    # Software that computes no checksums writes 0 everywhere; a shift between leads (skew) changes what wfdb returns.
    has_checksums = any(line.checksum for line in header.signals) and not any(record.skew)
    for lead, channel in rows.items():
        line = header.signals[channel]
        if line.mv_per_unit is None:
            raise FileError(f"lead {lead} {line.unit_problem}")
        samples = record.e_d_signal[channel]
        if header.n_frames is not None and len(samples) != header.n_frames * line.per_frame:
            raise FileError(f"lead {lead} has {len(samples)} of {header.n_frames * line.per_frame} samples")
        if has_checksums and (int(samples.sum(dtype="int64")) - line.checksum) % 65536:
            raise FileError(f"lead {lead} does not match the header's checksum; the file is damaged")
