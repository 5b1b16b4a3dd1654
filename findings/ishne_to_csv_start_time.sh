#!/usr/bin/env bash
# ishne-to-csv 1.2 gives every sample of a Holter recording a wrong time of day, unless it started at a full hour.
#
# It hurts whoever compares a Holter with the patient's diary, with medication, sleep or another recording: the CSV
# file's times, in nanoseconds, look exact and are up to an hour wrong.
#
# Standard: the ISHNE Holter format (Badilini 1998) stores the start time as three 16-bit integers, hour, minute and
# second, like the three dates before it.
# Seen: three single bytes are read instead. In little-endian order these are the hour, the hour's upper byte, which
# is 0, and the minute: a recording that starts at 14:30:05 starts at 14:00:30 in the CSV and in the metadata.
# ecgdatakit 2.0.3 reads 14:30:05 from the same file.
#
# Exit code: 0 if this is still so, 1 if the behaviour has changed, 2 if the package could not be installed.
set -euo pipefail
export TZ=UTC # the package takes times as local
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 2
python3 -m venv venv && venv/bin/pip install -q --disable-pip-version-check ishne-to-csv==1.2 || exit 2
venv/bin/python -W ignore - <<'PY'
import struct
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from ishne_to_csv import read_ishne


def crc_ccitt(data):
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def shorts(*numbers):
    return struct.pack(f"<{len(numbers)}h", *numbers)


# A minute of one lead at 200 samples per second; offsets are those of the standard's table.
SAMPLES, HEADER = 12_000, 522
head = struct.pack("<iiiih", 0, SAMPLES, HEADER, HEADER, 1)  # variable block, samples, offsets, version
head += bytes(40 + 40 + 20) + shorts(0, 0)  # names and id left empty; sex and race unknown
head += shorts(1, 1, 1950) + shorts(15, 6, 2020) + shorts(16, 6, 2020)  # birth, recording, file
head += shorts(14, 30, 5)  # start time
head += shorts(1, 5, *[-9] * 11, 1, *[-9] * 11, 1000, *[-9] * 11)  # one lead: code of I, quality, nV per step
head += shorts(0) + b"digital".ljust(40, b"\0") + shorts(200)  # pacemaker, recorder, rate
head = head.ljust(HEADER - 10, b"\0")
Path("holter.ecg").write_bytes(b"ISHNE1.0" + struct.pack("<H", crc_ccitt(head)) + head + bytes(2 * SAMPLES))

table = read_ishne("holter.ecg", verbose=False, metadata_file="holter.json")
start = datetime.fromtimestamp(int(table["time"].iloc[0]) / 1e9, timezone.utc)
print("ishne-to-csv", version("ishne-to-csv"))
print("expected: the first sample is at 2020-06-15 14:30:05")
print(f"seen: it is at {start:%Y-%m-%d %H:%M:%S}, {len(table)} samples")
sys.exit(0 if f"{start:%H:%M:%S}" == "14:00:30" else 1)
PY
