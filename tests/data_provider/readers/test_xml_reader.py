"""XML files: any encoding, what wraps an ECG, and other XML by its name; nothing in them reaches out or blows up."""

import numpy as np
import pytest

from cardiolect.data_provider.readers import RecordError, read_record, xml_tree
from tests.helpers import xml_files
from tests.helpers.xml_files import (
    EIGHT,
    aecg,
    aecg_series,
    aecg_set,
    cardiosoft,
    cardiosoft_strip,
    muse,
    muse_wave,
    of,
    philips,
    simulated,
)


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    return simulated()


@pytest.fixture(scope="module")
def text(ecg) -> str:
    return muse(muse_wave(of(ecg, EIGHT)))


def named(text: str) -> str:
    """The file with a patient whose name is not in ASCII."""
    return text.replace("<PatientDemographics/>", "<PatientDemographics><Name>Jürgen</Name></PatientDemographics>")


ENCODED = {
    "UTF-8": lambda text: text.encode(),
    "UTF-8 with a mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "UTF-16": lambda text: f'<?xml version="1.0" encoding="utf-16"?>{text}'.encode("utf-16"),
    "UTF-16 big-endian without a mark": lambda text: f'<?xml version="1.0"?>{text}'.encode("utf-16-be"),
    "UTF-16 little-endian without a mark": lambda text: f'<?xml version="1.0"?>{text}'.encode("utf-16-le"),
    "UTF-8 declared as UTF-16": lambda text: f'<?xml version="1.0" encoding="utf-16"?>{text}'.encode(),
    "Latin-1": lambda text: f'<?xml version="1.0" encoding="ISO-8859-1"?>{text}'.encode("latin-1"),
    "Latin-1 that is not declared": lambda text: text.encode("latin-1"),
    "Latin-1 declared as UTF-8": lambda text: f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode("latin-1"),
    "Windows": lambda text: f'<?xml version="1.0" encoding="windows-1252"?>{text}'.encode("cp1252"),
    "Chinese": lambda text: f'<?xml version="1.0" encoding="GB2312"?>{text.replace("ü", "心")}'.encode("gb2312"),
    "Japanese": lambda text: f'<?xml version="1.0" encoding="Shift_JIS"?>{text.replace("ü", "心")}'.encode("sjis"),
    "line breaks before the declaration": lambda text: f'\r\n\r\n<?xml version="1.0"?>{text}'.encode(),
    "zeros after the end": lambda text: text.encode() + bytes(100),
    "a long comment": lambda text: f"<!-- {'exported by an archive. ' * 500} -->\n{text}".encode(),
    "a document type": lambda text: f'<!DOCTYPE RestingECG SYSTEM "restecg.dtd">{text}'.encode(),
    "a document type of its own": lambda text: f"<!DOCTYPE RestingECG [<!ELEMENT RestingECG ANY>]>{text}".encode(),
    "a namespace": lambda text: text.replace("<RestingECG>", '<RestingECG xmlns="urn:ge">').encode(),
    "an envelope": lambda text: f"<Envelope><Body>{text}</Body></Envelope>".encode(),
}


@pytest.mark.parametrize("kind", ENCODED)
def test_an_ecg_is_read_in_any_encoding_and_wrapping(kind, text, ecg, tmp_path):
    (tmp_path / "ecg.xml").write_bytes(ENCODED[kind](named(text)))
    record = read_record(tmp_path / "ecg.xml")
    np.testing.assert_allclose(record.signal, ecg, atol=0.0075)


WRITTEN = {
    "aecg": lambda ecg: aecg(aecg_series(aecg_set(ecg))),
    "muse": lambda ecg: muse(muse_wave(of(ecg, EIGHT))),
    "cardiosoft": lambda ecg: cardiosoft(cardiosoft_strip(ecg)),
    "philips": lambda ecg: philips(ecg),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_damaged_file_gives_one_line_or_a_plausible_ecg(kind, ecg, tmp_path):
    """Cut off, it is never an ECG; with other bytes in it, it may be one with another sample."""
    whole, rng = WRITTEN[kind](ecg[:, :1000]).encode(), np.random.default_rng(0)
    for trial in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole) if trial % 2 else 2000, 4):
            damaged[place] = rng.integers(32, 127)
        cut = trial % 3 == 0
        (tmp_path / "ecg.xml").write_bytes(damaged[: rng.integers(len(whole) - 1)] if cut else damaged)
        try:
            record = read_record(tmp_path / "ecg.xml")
        except RecordError as error:
            assert "ecg.xml: " in str(error) and "\n" not in str(error)
        else:
            assert not cut and np.isfinite(record.signal).all() and record.signal.shape[0] == 12


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<ClinicalDocument/>", "root element ClinicalDocument: an HL7 clinical document; export the ECG"),
        ('<Observation xmlns="http://hl7.org/fhir"/>', "an HL7 FHIR resource"),
        ('<ECG ELI="250"/>', "Mortara .* convert it"),
        ('<svg xmlns="http://www.w3.org/2000/svg"/>', "a picture"),
        ("<x><eventdata><event><wavedata/></event></eventdata></x>", "XML of Schiller; convert it to HL7 aECG"),
        ("<music/>", "root element music: a format that is not known here; convert it"),
        ("<x><RestingECG/><RestingECG/></x>", "contains 2 ECGs; export each one"),
        ("", "an empty file"),
        ("<RestingECG>", "not well-formed"),
        ('<?xml version="1.0" encoding="punycode"?><a/>', "unknown encoding punycode"),
    ],
)
def test_other_xml_is_named_in_one_line(content, reason, tmp_path):
    (tmp_path / "ecg.xml").write_text(content)
    with pytest.raises(RecordError, match=reason) as raised:
        read_record(tmp_path / "ecg.xml")
    assert "\n" not in str(raised.value)


def test_a_default_in_the_document_type_is_given_to_no_element(tmp_path):
    """It would be copied to each: a file of 1 MB would take gigabytes."""
    long = "y" * 1000
    (tmp_path / "ecg.xml").write_text(f'<!DOCTYPE a [<!ATTLIST b x CDATA "{long}">]><a><b/></a>')
    assert xml_tree.parse(tmp_path / "ecg.xml")[0].attrib == {}


def test_files_of_too_many_tags_or_bytes_are_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(xml_tree, "MAX_TAGS", 1000)
    (tmp_path / "ecg.xml").write_text(f"<a>{'<b/>' * 1000}</a>")
    with pytest.raises(RecordError, match="too many for an ECG"):
        read_record(tmp_path / "ecg.xml")
    monkeypatch.setattr(xml_tree, "MAX_BYTES", 1000)
    with pytest.raises(RecordError, match="too large for an ECG"):
        read_record(tmp_path / "ecg.xml")


def test_xml_that_was_cut_off_says_so(tmp_path):
    whole = xml_files.aecg(xml_files.aecg_series(xml_files.aecg_set(xml_files.simulated())))
    for encoding in ("utf-8", "utf-16"):
        data = whole.encode(encoding)
        for share in (0.1, 0.35, 0.5, 0.777, 0.99):
            (tmp_path / "ecg.xml").write_bytes(data[: round(share * len(data))])
            with pytest.raises(RecordError, match="it was probably cut off: copy or export it again"):
                read_record(tmp_path / "ecg.xml")
    (tmp_path / "ecg.xml").write_text(whole.replace("</", "<", 1))
    with pytest.raises(RecordError) as error:
        read_record(tmp_path / "ecg.xml")
    assert "cut off" not in str(error.value)
