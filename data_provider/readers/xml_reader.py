"""XML files: HL7 aECG or GE MUSE, by their root element. Untrusted input: no entities, no DTD, no network."""

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from cardiolect.data_provider.readers import aecg_reader, muse_reader
from cardiolect.data_provider.readers.channels import Channels, FileError

MAX_BYTES = 200_000_000


def read(path: Path) -> Channels:
    """The rhythm recording of the file. Raises `FileError`, also for other kinds of XML."""
    root = parse(path)
    if root.tag == "RestingECG":
        return muse_reader.read(root)
    if aecg_reader.local_name(root.tag) == "AnnotatedECG":
        return aecg_reader.read(root)
    name = aecg_reader.local_name(root.tag)[:30]
    raise FileError(f"XML with the root element {name}; supported are AnnotatedECG (HL7) and RestingECG (MUSE)")


def parse(path: Path) -> Element:
    """The root element; tags keep their namespaces. Raises `FileError`."""
    if path.stat().st_size > MAX_BYTES:
        raise FileError(f"larger than {MAX_BYTES // 1_000_000} MB, too large for an ECG")
    try:
        return fromstring(path.read_bytes(), forbid_dtd=False)
    except DefusedXmlException as error:
        raise FileError(f"XML with {type(error).__name__}; entities are not supported") from None
    except ParseError as error:
        raise FileError(f"not well-formed XML ({error})") from None
    except (ValueError, LookupError) as error:  # an encoding that Python does not know
        raise FileError(f"XML that cannot be decoded ({str(error)[:60]})") from None
