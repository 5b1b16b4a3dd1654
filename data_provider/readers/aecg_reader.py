"""HL7 annotated ECG (aECG, ANSI/HL7 V3 ECG R1-2004; root `AnnotatedECG`)."""

from xml.etree.ElementTree import Element

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError, mv_per_unit
from cardiolect.data_provider.readers.lead_names import find_leads

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


def read(root: Element) -> Channels:
    """The rhythm recording: the first series with ECG leads that is not derived (median beats)."""
    reasons = []
    for series in _children(root, "component", "series"):
        for sequence_set in _children(series, "component", "sequenceSet"):
            try:
                return _sequence_set(sequence_set)
            except FileError as error:
                reasons.append(str(error))
    raise FileError(reasons[0] if reasons else "an annotated ECG without a series of leads")


def _sequence_set(sequence_set: Element) -> Channels:
    names, sequences, fs = [], [], None
    for sequence in _children(sequence_set, "component", "sequence"):
        code = _code(sequence)
        if code.startswith("TIME_"):
            fs = _rate(sequence)
        else:
            names.append(code)
            sequences.append(sequence)
    if fs is None:
        raise FileError("it gives no sampling rate")
    found = find_leads(names)
    leads = {lead: _values(sequences[row], lead) for lead, row in found.rows.items()}
    return Channels(leads, fs, "HL7 aECG", found.names, found.ignored)


def _code(sequence: Element) -> str:
    found = _child(sequence, "code")
    return "" if found is None else found.get("code", "")


def _rate(sequence: Element) -> float:
    value = _child(sequence, "value")
    increment = None if value is None else _child(value, "increment")
    if increment is None:
        raise FileError("its time sequence has no increment")
    unit = increment.get("unit", "")
    step = _number(increment, "value") * _SECONDS.get(unit, float("nan"))
    if not step > 0:
        raise FileError(f"its time increment is {increment.get('value', '')[:20]} {unit[:10]}")
    return 1 / step


def _values(sequence: Element, lead: str) -> np.ndarray:
    value = _child(sequence, "value")
    digits = None if value is None else _child(value, "digits")
    scale = None if value is None else _child(value, "scale")
    origin = None if value is None else _child(value, "origin")
    if digits is None or scale is None:
        raise FileError(f"lead {lead} has no digits or no scale")
    try:
        samples = np.array((digits.text or "").split(), dtype=np.float64)
    except ValueError:
        raise FileError(f"lead {lead} has digits that are not numbers") from None
    millivolts = samples * _number(scale, "value") * mv_per_unit(scale.get("unit", ""))
    if origin is not None and (offset := _number(origin, "value")):
        millivolts += offset * mv_per_unit(origin.get("unit", ""))
    return millivolts


def _number(element: Element, key: str) -> float:
    try:
        return float(element.get(key, ""))
    except ValueError:
        value = element.get(key, "")[:20]
        raise FileError(f"the {key} of {local_name(element.tag)} is '{value}', not a number") from None


def local_name(tag: str) -> str:
    """A tag without its namespace."""
    return tag.rsplit("}", 1)[-1]


def _child(element: Element, name: str) -> Element | None:
    return next((child for child in element if local_name(child.tag) == name), None)


def _children(element: Element, outer: str, inner: str) -> list[Element]:
    return [
        grandchild
        for child in element
        if local_name(child.tag) == outer
        for grandchild in child
        if local_name(grandchild.tag) == inner
    ]
