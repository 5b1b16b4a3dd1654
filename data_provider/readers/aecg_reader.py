"""HL7 annotated ECG (aECG, ANSI/HL7 V3 ECG R1-2004; root `AnnotatedECG`).

A series holds sequence sets, a set holds a sequence of times and one of samples for each lead. Devices put the leads
into one set, into a set each, or into series; what has the same start, rate and length belongs together.
"""

import re
from dataclasses import replace
from datetime import datetime
from xml.etree.ElementTree import Element

from cardiolect.data_provider.readers.channels import Channels, FileError, mv_per_unit
from cardiolect.data_provider.readers.recordings import Signal, one_recording
from cardiolect.data_provider.readers.xml_tree import number, sample_values

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_TIME = re.compile(r"^(\d{8})(\d{2})?(\d{2})?(\d{2})?(\.\d+)?")
_TO_THE_SECOND = 14  # digits of such a time
_SCHEMA = re.compile(r"aECG/(\d{4}-\d{2})/")


def read(root: Element) -> Channels:
    """The rhythm recording, of all series that are neither representative beats nor derived."""
    series = root.findall("component/series")
    if not series:
        raise FileError("an annotated ECG without a series of leads")
    whole = [each for each in series if "BEAT" not in _code(each).upper()]
    if not whole:
        raise FileError("contains representative beats only; export the rhythm recording as well")
    rhythm = [each for each in whole if "RHYTHM" in _code(each).upper()] or whole
    sets = [(each, found) for each in rhythm for found in each.findall("component/sequenceSet")]
    signals = [signal for each, found in sets for signal in _signals(each, found)]
    if not signals:
        raise FileError("an annotated ECG without leads")
    channels = one_recording(signals, _kind(root))
    return replace(channels, notes=(*channels.notes, *_contradictions(rhythm, channels)))


def _kind(root: Element) -> str:
    """The format, with the date of its schema where a schema is named."""
    places = next((value for key, value in root.attrib.items() if key.endswith("schemaLocation")), "")
    found = _SCHEMA.search(places)
    return f"HL7 aECG {found[1]}" if found else "HL7 aECG"


def _contradictions(rhythm: list[Element], channels: Channels) -> list[str]:
    """A clause if the only series states that it lasted longer or shorter, to the second, than its samples do."""
    limits = [each.find(f"effectiveTime/{part}") for each in rhythm for part in ("low", "high")]
    texts = [limit.get("value", "").strip() for limit in limits if limit is not None]
    if len(rhythm) != 1 or len(texts) != 2 or len(rhythm[0].findall("component/sequenceSet")) != 1:
        return []
    low, high = map(_seconds, texts)
    if isinstance(low, str) or isinstance(high, str) or min(map(len, texts)) < _TO_THE_SECOND or high <= low:
        return []
    stated, stored = high - low, len(next(iter(channels.leads.values()))) / channels.fs
    if abs(stated - stored) <= 1 + 0.02 * stated:
        return []
    return [f"its series states {stated:g} s, and its samples last {stored:g} s; check its sampling rate"]


def _signals(series: Element, sequence_set: Element) -> list[Signal]:
    """The signals of a set, which share its sequence of times."""
    rates, start, sequences = set(), None, []
    for sequence in sequence_set.findall("component/sequence"):
        code = _code(sequence)
        if not code.upper().startswith("TIME_"):
            sequences.append((code, sequence))
            continue
        rates.add(_rate(sequence))
        start = _start(series, sequence) if start is None else start
    if sequences and len(rates) != 1:
        raise FileError("its sequences of times differ in rate" if rates else "it gives no sampling rate")
    return [_signal(code, sequence, *rates, start) for code, sequence in sequences]


def _signal(name: str, sequence: Element, fs: float, start: object) -> Signal:
    digits, scale, origin = (sequence.find(f"value/{part}") for part in ("digits", "scale", "origin"))
    if digits is None or scale is None:
        raise FileError(f"lead {name[:30]} has no digits or no scale")
    step, unit = number(scale.get("value"), "the value of scale"), scale.get("unit", "")
    millivolts = sample_values(digits.text, name[:30]) * step * mv_per_unit(unit)
    if origin is not None and (offset := number(origin.get("value") or "0", "the value of origin")):
        millivolts += offset * mv_per_unit(origin.get("unit", ""))
    return Signal(name, millivolts, fs, start, f"{step:g} {unit}")


def _code(element: Element) -> str:
    """The code of a series or sequence; its name if the code is a bare number."""
    found = element.find("code")
    if found is None:
        return ""
    code = found.get("code", "").strip()
    return found.get("displayName", code).strip() if code.isdecimal() or not code else code


def _rate(sequence: Element) -> float:
    increment = sequence.find("value/increment")
    if increment is None:
        raise FileError("its time sequence has no increment")
    unit = increment.get("unit", "").strip()
    step = number(increment.get("value"), "the value of increment") * _SECONDS.get(unit, float("nan"))
    if not step > 0:
        raise FileError(f"its time increment is {increment.get('value', '')[:20]} {unit[:10]}")
    return round(1 / step, 6)


def _start(series: Element, sequence: Element) -> object:
    """When a set starts, in seconds of an arbitrary clock; the text of the file if it is not a time."""
    low = series.find("effectiveTime/low")
    base = _seconds(low.get("value", "")) if low is not None else 0.0
    head = sequence.find("value/head")
    if head is None:
        return base
    value = head.get("value", "").strip()
    if "RELATIVE" not in _code(sequence).upper():
        return _seconds(value)
    offset = number(value or "0", "the value of head") * _SECONDS.get(head.get("unit", "s").strip(), float("nan"))
    return round(base + offset, 3) if isinstance(base, float) and offset == offset else (base, value)


def _seconds(text: str) -> float | str:
    """Seconds of an HL7 time ("20021122091000.000"), to 1 ms and without regard to its zone."""
    if not (found := _TIME.match(text)):
        return text
    day, hour, minute, second, fraction = (part or "0" for part in found.groups())
    try:
        at = datetime(int(day[:4]), int(day[4:6]), int(day[6:]), int(hour), int(minute), int(second))
    except ValueError:
        return text
    return round((at - datetime(1900, 1, 1)).total_seconds() + float(fraction), 3)
