"""Philips' ECG files (Sierra XML 1.03 and 1.04, root `restingecgdata`): all leads in one element, compressed by XLI.

In compressed files, III, aVR, aVL and aVF are stored as what is left of them once computed from I and II. PageWriter
and HeartStart append a calibration pulse: zeros, 0.2 s of 1 mV in every lead, zeros. It is no ECG and is cut off.
"""

import base64
import binascii
import re
from xml.etree.ElementTree import Element

import numpy as np

from cardiolect.data_provider.readers import xli
from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.recordings import Signal, one_recording
from cardiolect.data_provider.readers.xml_tree import number
from cardiolect.data_provider.record import LEADS

MAX_SAMPLES = 500_000  # of a lead: compressed, a sample takes less than a byte
_STANDARD = ("STD-12", "10-WIRE")  # ways to record whose channels are the twelve leads in their usual order
_MIN_PULSE_SECONDS = 0.1
_WITH_PULSE = 1 / 3  # of the leads: damage to I and II is damage to all six limb leads


def read(root: Element) -> Channels:
    """The recorded leads; representative beats (`repbeats`) are left out."""
    wave = root.find("waveforms/parsedwaveforms")
    if wave is None:
        raise FileError("contains no recorded waveforms (parsedwaveforms); export the ECG with them")
    about = root.find("dataacquisition/signalcharacteristics")
    about = Element("signalcharacteristics") if about is None else about
    fs = number(wave.get("samplespersecond") or about.findtext("samplingrate"), "the sampling rate")
    step = number(
        wave.get("resolution") or about.findtext("resolution") or about.findtext("signalresolution"), "the resolution"
    )
    seconds = number(wave.get("durationperchannel"), "durationperchannel") / 1000
    if not (fs > 0 and step > 0 and 1 <= seconds * fs <= MAX_SAMPLES):
        raise FileError(f"states {seconds:g} s at {fs:g} Hz and {step:g} uV a step, which no resting ECG has")
    bits = wave.get("bitspersample") or wave.get("nbitspersample") or about.findtext("bitspersample") or "16"
    if number(bits, "bitspersample") != 16:
        raise FileError(f"has samples of {bits[:10]} bits; only 16 are supported")
    names = _names(wave, about)
    notes: list[str] = []
    steps = _steps(wave, names, round(seconds * fs), notes)
    end = _start_of_calibration(steps, names, step, fs)
    if end < steps.shape[1]:
        notes.append(f"the last {(steps.shape[1] - end) / fs:g} s were cut off: zeros and a calibration pulse")
    offset = number(wave.get("signaloffset") or about.findtext("signaloffset") or "0", "signaloffset")
    if offset:
        notes.append(f"a signaloffset of {offset:g} steps was not applied; it would shift whole leads")
    signals = [
        Signal(name, values[:end] * step / 1000, fs, None, f"{step:g} uV")
        for name, values in zip(names, steps, strict=True)
    ]
    return one_recording(signals, _kind(root), notes)


def _kind(root: Element) -> str:
    version = (root.findtext("documentinfo/documentversion") or "").strip()
    return f"Philips Sierra XML {version}" if re.fullmatch(r"[\w.]{1,20}", version) else "Philips Sierra XML"


def _names(wave: Element, about: Element) -> list[str]:
    """The names of the channels: stated since 1.04, before that those of a standard way to record."""
    if labels := wave.get("leadlabels", "").replace(",", " ").split():
        n_leads = int(number(wave.get("numberofleads") or str(len(labels)), "numberofleads"))
        return labels[:n_leads] if n_leads > 0 else labels
    way = " ".join((about.findtext("acquisitiontype") or "").split())
    if way.upper() not in _STANDARD:
        raise FileError(f"names no leads, and the order of '{way[:20]}' is not known; export it as version 1.04")
    return list(LEADS)


def _steps(wave: Element, names: list[str], n_samples: int, notes: list[str]) -> np.ndarray:
    """All channels as numbers of steps, ``(len(names), n_samples)``. Adds to ``notes`` what is odd about them."""
    if (encoding := wave.get("dataencoding", "Base64")).lower() != "base64":
        raise FileError(f"samples encoded as '{encoding[:20]}'; only Base64 is supported, as in versions 1.03 and 1.04")
    try:
        data = base64.b64decode("".join((wave.text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise FileError("its samples are not base64") from None
    method = (wave.get("compression") or wave.get("compressmethod") or "").strip()
    compressed = wave.get("compressflag", "true").strip().lower() != "false"
    if compressed and method.upper() == "XLI":
        channels, odd = xli.unpack(data, n_samples)
        if odd := [names[row] for row in odd if row < len(names)]:
            notes.append(f"the compressed samples of {', '.join(odd)[:60]} have no proper end; they may be damaged")
    elif method.lower() in ("", "none", "uncompressed") or not compressed:
        if len(data) % (2 * n_samples):
            raise FileError(f"has {len(data)} bytes of samples, which are no channels of {n_samples} samples")
        channels = list(np.frombuffer(data, "<i2").astype(np.int64).reshape(-1, n_samples))
    else:
        raise FileError(f"samples compressed by '{method[:20]}'; only XLI is known")
    if len(channels) < len(names):
        raise FileError(f"has {len(channels)} of {len(names)} leads")
    steps = np.stack(channels[: len(names)])
    return _limb_leads(steps, names) if compressed and method.upper() == "XLI" else steps


def _limb_leads(steps: np.ndarray, names: list[str]) -> np.ndarray:
    """The steps with III, aVR, aVL and aVF in place of their remainders; halves are rounded down."""
    row = {name.lower(): index for index, name in enumerate(names)}
    derived = [name for name in ("iii", "avr", "avl", "avf") if name in row]
    if not derived:
        return steps
    if not {"i", "ii", "iii"} <= row.keys():
        raise FileError("stores limb leads as differences to leads I and II, which are not there")
    steps = steps.copy()
    one, two = steps[row["i"]], steps[row["ii"]]
    three = two - one - steps[row["iii"]]
    whole = {"iii": two - one, "avr": -((one + two) // 2), "avl": (one - three) // 2, "avf": (two + three) // 2}
    for name in derived:
        steps[row[name]] = whole[name] - steps[row[name]]
    return steps


def _start_of_calibration(steps: np.ndarray, names: list[str], step: float, fs: float) -> int:
    """Where the calibration at the end begins; the number of samples if there is none.

    Samples are sums of stored differences, so a damaged lead does not return to the zeros and the pulse that all leads
    share. Raises `FileError` if some leads have the calibration and others do not.
    """
    is_zero, is_pulse = steps == 0, np.abs(steps - 1000 / step) < 1
    zero, pulse = is_zero.mean(axis=0) > _WITH_PULSE, is_pulse.mean(axis=0) > _WITH_PULSE
    before_zeros = _before(zero, len(zero))
    before_pulse = _before(pulse, before_zeros)
    if before_zeros - before_pulse < _MIN_PULSE_SECONDS * fs:
        return len(zero)
    whole = is_zero[:, before_zeros:].all(axis=1) & is_pulse[:, before_pulse:before_zeros].all(axis=1)
    if not whole.all():
        wrong = ", ".join(name for name, is_whole in zip(names, whole, strict=True) if not is_whole)
        raise FileError(f"{wrong[:60]} lack the calibration pulse that ends the other leads; the file is damaged")
    # As many zeros as after the pulse: an ECG that happens to end with zeros keeps its own.
    return max(_before(zero, before_pulse), before_pulse - (len(zero) - before_zeros))


def _before(found: np.ndarray, end: int) -> int:
    """Where the run of true values that ends at ``end`` begins."""
    others = np.flatnonzero(~found[:end])
    return int(others[-1]) + 1 if others.size else 0
