"""XML files, each read by the reader of its root element; any other XML is named for what it is."""

from pathlib import Path

from cardiolect.data_provider.readers import aecg_reader, cardiosoft_reader, muse_reader, philips_reader
from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.xml_tree import parse

_READERS = {
    "AnnotatedECG": aecg_reader.read,
    "RestingECG": muse_reader.read,
    "restingecgdata": philips_reader.read,
    "CardiologyXML": cardiosoft_reader.read,
}
_SUPPORTED = "AnnotatedECG (HL7), RestingECG (MUSE), restingecgdata (Philips) and CardiologyXML (CardioSoft)"

# Root elements in lower case of XML that is something else, and what to do.
_OTHERS = {
    "clinicaldocument": ("an HL7 clinical document", "export the ECG that it describes as HL7 aECG or DICOM"),
    "bundle": ("an HL7 FHIR resource", "export the ECG as HL7 aECG or DICOM"),
    "observation": ("an HL7 FHIR resource", "export the ECG as HL7 aECG or DICOM"),
    "diagnosticreport": ("an HL7 FHIR resource", "export the ECG as HL7 aECG or DICOM"),
    "ecg": ("ECG, as recorders of Mortara write it", "convert it to HL7 aECG, SCP-ECG or DICOM with its own software"),
    "nativedicommodel": ("DICOM written as XML", "use the DICOM file itself"),
    "svg": ("a picture (SVG) without samples", "export the ECG as HL7 aECG or DICOM"),
    "html": ("a web page", "download the ECG file itself"),
}


def read(path: Path) -> Channels:
    """The rhythm recording of the file, whose ECG may be wrapped in other elements. Raises `FileError`."""
    root = parse(path)
    ecgs = [root] if root.tag in _READERS else [element for element in root.iter() if element.tag in _READERS]
    if len(ecgs) > 1:
        raise FileError(f"contains {len(ecgs)} ECGs; export each one as a file of its own")
    if ecgs:
        return _READERS[ecgs[0].tag](ecgs[0])
    if root.find(".//eventdata/event/wavedata") is not None:
        raise FileError("XML of Schiller; convert it to HL7 aECG, SCP-ECG or DICOM with its own software")
    what, advice = _OTHERS.get(
        root.tag.lower(), ("a format that is not known here", "convert it to HL7 aECG or DICOM with its own software")
    )
    raise FileError(f"XML with the root element {root.tag[:30]}: {what}; {advice}. Supported are {_SUPPORTED}")
