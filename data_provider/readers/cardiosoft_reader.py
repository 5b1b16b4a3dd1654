"""GE CardioSoft and CASE exports (root `CardiologyXML`): strips of decimal numbers separated by commas."""

import re
from xml.etree.ElementTree import Element

from cardiolect.data_provider.readers.channels import Channels, FileError, mv_per_unit
from cardiolect.data_provider.readers.recordings import Signal, one_recording
from cardiolect.data_provider.readers.xml_tree import child_number, sample_values

_PER_STEP = re.compile(r"^(\w*v)(olts?)?\s*(?:per|/)\s*lsb$", re.IGNORECASE)


def read(root: Element) -> Channels:
    """The strip (`StripData`), the most complete if there are several; median beats (`MedianSamples`) are left out.

    The full disclosure of an exercise test is not read: its samples are interleaved in more than one way.
    """
    strips = list(root.iter("StripData"))
    signals = [signal for start, strip in enumerate(strips) for signal in _signals(strip, start)]
    if not signals:
        what = "the full disclosure of an exercise test" if root.find("FullDisclosure") is not None else "median beats"
        raise FileError(f"contains no strip of leads, at most {what}; export a resting ECG with its strip")
    return one_recording(signals, _kind(root))


def _kind(root: Element) -> str:
    version = next((text for each in root.iter("SoftwareVer") if (text := (each.text or "").strip())), "")
    return f"GE CardioSoft XML {version}" if re.fullmatch(r"[\w.]{1,20}", version) else "GE CardioSoft XML"


def _signals(strip: Element, start: int) -> list[Signal]:
    waves = strip.findall("WaveformData")
    if not waves:
        return []
    fs = child_number(strip, "SampleRate")
    step = child_number(strip, "Resolution")
    units = strip.find("Resolution").get("units", "").strip()
    if not (found := _PER_STEP.match(units)):
        raise FileError(f"the resolution is given in '{units[:20]}', not in uVperLsb")
    factor = step * mv_per_unit(found[1])
    count = int(child_number(strip, "ChannelSampleCountTotal", "0"))
    signals = []
    for wave in waves:
        name = wave.get("lead", "").strip()
        values = sample_values(wave.text, name[:30])
        if count and len(values) != count:
            raise FileError(f"lead {name[:30]} has {len(values)} of {count} samples")
        signals.append(Signal(name, values * factor, fs, start, f"{step:g} {found[1]}"))
    return signals
