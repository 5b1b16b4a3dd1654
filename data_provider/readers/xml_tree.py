"""Untrusted XML as a tree without namespaces: any encoding, no entities, no network, bounded size; numbers in it."""

import codecs
import math
import re
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError
from xml.parsers.expat import errors

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from cardiolect.data_provider.readers.channels import FileError

MAX_BYTES = 200_000_000
MAX_TAGS = 2_000_000  # a tag of 4 bytes becomes an element of 200
MAX_ATTRIBUTES = 8_000_000
MAX_DIGITS = 50_000_000  # characters of one lead: hours, and 10 times as much once split into words

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Codecs of Python that no XML file has; some take quadratic time.
_NO_ENCODINGS = ("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined")
_DECLARATION = re.compile(r"^<\?xml\s.*?\?>", re.DOTALL)
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)["']""")
# What the parser says at the end of a text that goes on.
_CUT_OFF = {
    errors.codes[each]
    for each in (
        errors.XML_ERROR_NO_ELEMENTS,
        errors.XML_ERROR_UNCLOSED_TOKEN,
        errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
        errors.XML_ERROR_PARTIAL_CHAR,
    )
}
_COPY_AGAIN = "; it was probably cut off: copy or export it again"
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def parse(path: Path) -> Element:
    """The root element; tags have no namespaces. Raises `FileError`."""
    if path.stat().st_size > MAX_BYTES:
        raise FileError(f"larger than {MAX_BYTES // 1_000_000} MB, too large for an ECG")
    # Without its declaration, which names an encoding that the text no longer has.
    text = _DECLARATION.sub("", _decode(path.read_bytes()).strip("\ufeff\0 \t\r\n"), count=1)
    if not text:
        raise FileError("an empty file")
    if text.count("<") > MAX_TAGS or text.count("=") > MAX_ATTRIBUTES:
        raise FileError(f"more than {MAX_TAGS // 1_000_000} million tags or attributes, too many for an ECG")
    try:
        parser = DefusedXMLParser(forbid_dtd=False)
        parser.parser.specified_attributes = True  # a default in the DTD, written once, would be given to every element
        parser.feed(text)
        root = parser.close()
    except DefusedXmlException as error:
        raise FileError(f"XML with {type(error).__name__}; entities are not supported") from None
    except ParseError as error:
        raise FileError(f"not well-formed XML ({error}){_COPY_AGAIN * (error.code in _CUT_OFF)}") from None
    except ValueError as error:
        raise FileError(f"XML that cannot be parsed ({str(error)[:60]})") from None
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rsplit("}", 1)[-1]
    return root


def _decode(data: bytes) -> str:
    """The text of an XML file: by its byte-order mark, else by the zeros of UTF-16, else as declared, else UTF-8.

    Text in another encoding than the declared one is common where a name has an umlaut. It is read as Latin-1, which
    has a character for every byte: names may suffer, tags and numbers do not.
    """
    encoding = next((name for mark, name in _BOMS.items() if data.startswith(mark)), None)
    if encoding is None and b"\0" in data[:2]:
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    if encoding is None:
        declared = _DECLARED.match(data[:1000])
        encoding = declared[1].decode() if declared else "utf-8"
        if encoding.lower().replace("_", "-").startswith(("utf-16", "ucs-2", "utf-32")):
            encoding = "utf-8"  # declared by a program that wrote its text elsewhere
    try:
        if codecs.lookup(encoding).name in _NO_ENCODINGS:
            raise LookupError
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding.startswith("utf-16"):
            cut_off = _COPY_AGAIN * (error.end >= len(data))
            raise FileError(f"XML that cannot be decoded (UTF-16 is broken){cut_off}") from None
        return data.decode("latin-1")
    except (LookupError, ValueError):
        raise FileError(f"XML that cannot be decoded (unknown encoding {encoding[:20]})") from None


def number(text: str | None, name: str) -> float:
    """A finite number of the element or attribute ``name``. Raises `FileError`."""
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FileError(f"{name} is '{' '.join((text or '').split())[:20]}', not a number")
    return value


def child_number(element: Element, name: str, default: str = "") -> float:
    """The number in a child element; ``default`` if it is absent or empty. Raises `FileError`."""
    return number((element.findtext(name) or "").strip() or default, name)


def sample_values(text: str | None, lead: str) -> np.ndarray:
    """Numbers separated by white space, commas or semicolons, ``(T,)`` float64; "NaN" is one. Raises `FileError`."""
    text = text or ""
    if len(text) > MAX_DIGITS:
        raise FileError(f"lead {lead} has more than {MAX_DIGITS // 1_000_000} million characters, too long for an ECG")
    words = text.split()
    if len(words) > 1 and all(map(_DECIMAL_COMMA.fullmatch, words)):
        raise FileError(f"lead {lead} has digits with decimal commas; export it with decimal points")
    if "," in text or ";" in text:
        words = text.replace(",", " ").replace(";", " ").split()
    try:
        return np.array(words, dtype=np.float64)
    except ValueError:
        raise FileError(f"lead {lead} has digits that are not numbers") from None
