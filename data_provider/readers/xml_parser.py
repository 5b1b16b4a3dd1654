"""XML of other people's making: no entities, no DTD, no network."""

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from cardiolect.data_provider.readers.channels import FileError

MAX_BYTES = 200_000_000


def parse(path: Path) -> Element:
    """The root element; namespaces stay in tags. Raises `FileError`."""
    if path.stat().st_size > MAX_BYTES:
        raise FileError(f"larger than {MAX_BYTES // 1_000_000} MB; no ECG is")
    try:
        return fromstring(path.read_bytes(), forbid_dtd=False)
    except DefusedXmlException as error:
        raise FileError(f"XML with {type(error).__name__}; entities are not read") from None
    except ParseError as error:
        raise FileError(f"not well-formed XML ({error})") from None
    except (ValueError, LookupError) as error:  # an encoding that Python does not know
        raise FileError(f"XML that cannot be decoded ({str(error)[:60]})") from None


def local(tag: str) -> str:
    """A tag without its namespace."""
    return tag.rsplit("}", 1)[-1]
