"""Writers of the XML formats, for tests: signals in mV in, the text of a file out."""

import base64
import zlib
from collections.abc import Sequence

import numpy as np

from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator import simulate
from cardiolect.data_provider.simulator.patients import draw_patient

FS = 500
EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
_SECONDS = {"s": 1.0, "ms": 1e3, "us": 1e6}


def simulated() -> np.ndarray:
    """10 s of 12 leads, ``(12, 5000)`` mV."""
    return simulate(5, 0, draw_patient(5, 0, 1))[1].astype(float)


def of(signal: np.ndarray, leads: Sequence[str]) -> np.ndarray:
    return signal[[LEADS.index(lead) for lead in leads]]


def aecg_set(
    signal: np.ndarray,
    leads: Sequence[str] = LEADS,
    fs: float = FS,
    unit: str = "uV",
    step: float = 2.5,
    increment: str = "s",
    separator: str = " ",
    head: str = '<code code="TIME_ABSOLUTE"/><value><head value="20200101120000.000"/>',
) -> str:
    """A sequence set, with ``step`` in ``unit``; head: the beginning of its sequence of times."""
    per_mv = {"uV": 1e3, "mV": 1.0, "nV": 1e6}[unit]
    times = f'{head}<increment value="{_SECONDS[increment] / fs:g}" unit="{increment}"/></value>'
    sequences = [times] + [
        f'<code code="MDC_ECG_LEAD_{lead.upper()}"/><value><origin value="0" unit="{unit}"/>'
        f'<scale value="{step}" unit="{unit}"/>'
        f"<digits>{separator.join(map(str, np.round(values * per_mv / step).astype(int)))}</digits></value>"
        for lead, values in zip(leads, signal, strict=True)
    ]
    return "".join(f"<component><sequence>{each}</sequence></component>" for each in sequences)


def aecg_series(*sets: str, code: str = '<code code="RHYTHM"/>') -> str:
    inner = "".join(f"<component><sequenceSet>{each}</sequenceSet></component>" for each in sets)
    return f"<component><series>{code}{inner}</series></component>"


def aecg(*series: str) -> str:
    return (
        '<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:schemaLocation="urn:hl7-org:v3 /HL7/aECG/2003-12/schema/PORT_MT020001.xsd">'
        f"{''.join(series)}</AnnotatedECG>"
    )


def muse_wave(
    signal: np.ndarray,
    leads: Sequence[str] = EIGHT,
    kind: str | None = "Rhythm",
    fs: float = FS,
    exponent: int = 0,
    baseline: int = 0,
    sign: int = 1,
    start: int = 0,
) -> str:
    """A waveform at 4.88 uV a step; ``sign`` times the samples' ``baseline`` must be added to get the signal."""
    text = "" if kind is None else f"<WaveformType>{kind}</WaveformType>"
    text += f"<WaveformStartTime>{start}</WaveformStartTime>"
    text += f"<SampleBase>{fs:g}</SampleBase><SampleExponent>{exponent}</SampleExponent>"
    for lead, values in zip(leads, signal, strict=True):
        raw = (np.round(values / 0.00488) - sign * baseline).astype("<i2").tobytes()
        text += (
            f"<LeadData><LeadSampleCountTotal>{len(values)}</LeadSampleCountTotal>"
            "<LeadAmplitudeUnitsPerBit>4.88</LeadAmplitudeUnitsPerBit><LeadAmplitudeUnits>MICROVOLTS"
            f"</LeadAmplitudeUnits><LeadID>{lead}</LeadID><FirstSampleBaseline>{baseline}</FirstSampleBaseline>"
            f"<LeadSampleSize>2</LeadSampleSize><LeadOff>FALSE</LeadOff><LeadDataCRC32>{zlib.crc32(raw)}"
            f"</LeadDataCRC32><WaveFormData>{base64.b64encode(raw).decode()}</WaveFormData></LeadData>"
        )
    return f"<Waveform>{text}</Waveform>"


def muse(*waves: str, version: str = "9.0.9") -> str:
    info = f"<MuseInfo><MuseVersion>{version}</MuseVersion></MuseInfo>"
    return f"<RestingECG>{info}<PatientDemographics/>{''.join(waves)}</RestingECG>"


def cardiosoft(*strips: str, more: str = "") -> str:
    device = "<ClinicalInfo><DeviceInfo><SoftwareVer>V6.73</SoftwareVer></DeviceInfo></ClinicalInfo>"
    return f"<CardiologyXML><ObservationType>RestECG</ObservationType>{device}{more}{''.join(strips)}</CardiologyXML>"


def cardiosoft_strip(signal: np.ndarray, leads: Sequence[str] = LEADS, fs: float = FS, tag: str = "StripData") -> str:
    """Leads at 5 uV a step, in lines as CardioSoft breaks them."""
    waves = "".join(
        f'<WaveformData lead="{lead}">\n\t\t{_lines(np.round(values * 200).astype(int))}\n\t</WaveformData>'
        for lead, values in zip(leads, signal, strict=True)
    )
    return (
        f'<{tag}><NumberOfLeads>{len(leads)}</NumberOfLeads><SampleRate units="Hz">{fs:g}</SampleRate>'
        f"<ChannelSampleCountTotal>{signal.shape[1]}</ChannelSampleCountTotal>"
        f'<Resolution units="uVperLsb">5</Resolution>{waves}</{tag}>'
    )


def philips(
    signal: np.ndarray, leads: Sequence[str] = LEADS, version: str = "1.04", packed: bool = True, fs: float = FS
) -> str:
    """Leads at 5 uV a step; before 1.04, the leads are not named. packed: compressed by XLI."""
    steps = np.round(signal * 200).astype(np.int64)
    if packed:
        steps = _remainders(steps, leads)
        data = b"".join(xli_block(each) for each in steps)
    else:
        data = steps.astype("<i2").tobytes()
    about = f'dataencoding="Base64" durationperchannel="{signal.shape[1] * 1000 / fs:g}"'
    about += f' compression="{"XLI" if packed else "Uncompressed"}"'
    if version >= "1.04":
        about += f' leadlabels="{" ".join(leads)}" numberofleads="{len(leads)}"'
    return (
        '<restingecgdata xmlns="http://www3.medical.philips.com"><documentinfo><documenttype>SierraECG</documenttype>'
        f"<documentversion>{version}</documentversion></documentinfo><dataacquisition><signalcharacteristics>"
        f"<samplingrate>{fs:g}</samplingrate><signalresolution>5</signalresolution><acquisitiontype>STD-12"
        "</acquisitiontype><bitspersample>16</bitspersample><signaloffset>0</signaloffset></signalcharacteristics>"
        f"</dataacquisition><waveforms><parsedwaveforms {about}>{base64.b64encode(data).decode()}</parsedwaveforms>"
        "</waveforms></restingecgdata>"
    )


def xli_block(steps: np.ndarray) -> bytes:
    """A lead ``(T,)`` as a block of XLI."""
    bends = np.diff(steps, 2)
    numbers = np.concatenate([steps[:2], 64 - bends[1:], [64]]).astype(">i2")
    packed = _lzw(numbers.tobytes()[::2] + numbers.tobytes()[1::2])
    return len(packed).to_bytes(4, "little") + b"\1\0" + int(-bends[0]).to_bytes(2, "little", signed=True) + packed


def _lzw(data: bytes) -> bytes:
    """Codes of 10 bits, most significant bit first, with 1023 as the last."""
    table, codes, known = {bytes([value]): value for value in range(256)}, [], b""
    for value in data:
        longer = known + bytes([value])
        if longer in table:
            known = longer
            continue
        codes.append(table[known])
        if len(table) < 1023:
            table[longer] = len(table)
        known = bytes([value])
    codes += [table[known], 1023]
    bits = "".join(f"{code:010b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _remainders(steps: np.ndarray, leads: Sequence[str]) -> np.ndarray:
    """III, aVR, aVL and aVF replaced by what is left of them once computed from I and II."""
    row = {lead: index for index, lead in enumerate(leads)}
    one, two, three = (steps[row[lead]] for lead in ("I", "II", "III"))
    computed = {"III": two - one, "aVR": -((one + two) // 2), "aVL": (one - three) // 2, "aVF": (two + three) // 2}
    out = steps.copy()
    for lead, values in computed.items():
        out[row[lead]] = values - steps[row[lead]]
    return out


def _lines(values: np.ndarray) -> str:
    return ",\n\t\t".join(",".join(map(str, values[start : start + 20])) for start in range(0, len(values), 20))
