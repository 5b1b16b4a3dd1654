"""Leads by the names that recorders, exports and corpora give them; what looks like a lead is never passed over."""

import pytest

from cardiolect.data_provider.readers.channels import FileError
from cardiolect.data_provider.readers.lead_names import canonical_lead, find_leads
from cardiolect.data_provider.record import LEADS

CHEST = [f"V{n}" for n in range(1, 7)]


@pytest.mark.parametrize(
    ("name", "lead"),
    [
        ("AVR", "aVR"),
        ("lead I", "I"),
        ("ECG V1", "V1"),
        ("ECG Lead aVF", "aVF"),
        ("MDC_ECG_LEAD_AVL", "aVL"),
        ("ECG-I", "I"),
        ("ECGII", "II"),
        ("lead_ii", "II"),
        ("DII", "II"),
        ("D1", "I"),
        ("L3", "III"),
        ("lead2", "II"),
        ("Lead 3", "III"),
        ("I+", "I"),
        ("V1+", "V1"),
        ("I [mV]", "I"),
        ("V2 (uV)", "V2"),
        ("ECG V6 (millivolts)", "V6"),
        ("'aVL'", "aVL"),
        ('"V3"', "V3"),
        ("ECG 1", None),
        ("MLII", None),
        ("-aVR", None),
        ("ECG -aVR", None),
        ("vx", None),
        ("", None),
        ("V7", None),
        ("C1", None),
        ("time", None),
    ],
)
def test_names_of_leads(name, lead):
    assert canonical_lead(name) == lead


def test_chest_leads_after_iec():
    found = find_leads([*LEADS[:6], *(f"C{n}" for n in range(1, 7))])
    assert list(found.rows) == list(LEADS) and found.names["V1"] == "C1"
    assert find_leads(["I", "II", "c1", "C2"]).rows["V2"] == 3


def test_electrodes_of_an_eeg_are_no_chest_leads():
    assert find_leads(["Fp1", "C3", "C4", "O1", "I", "II", *CHEST]).ignored == ("Fp1", "C3", "C4", "O1")
    with pytest.raises(FileError, match="look like leads have unknown names: C3, C4"):
        find_leads(["Fp1", "C3", "C4", *LEADS[:6]])


def test_what_looks_like_a_lead_is_not_passed_over():
    for name in ("V10", "lead X1", "aVX", "ECG 7", "D4"):
        with pytest.raises(FileError, match=f"look like leads have unknown names: {name}; rename them"):
            find_leads([*LEADS[:6], "V1", "V2", "V3", "V4", "V5", name])


def test_other_signals_are_listed():
    found = find_leads(["time", *LEADS, "V7", "V3R", "-aVR", "MLII", "Resp", "ECG 1"])
    assert found.ignored == ("time", "V7", "V3R", "-aVR", "MLII", "Resp", "ECG 1")
    assert found.rows == {lead: number for number, lead in enumerate(LEADS, 1)}
    # Two limb leads tell the others.
    assert len(find_leads(["I", "aVF", *CHEST, "ECG 1"]).rows) == 8


def test_a_lead_that_occurs_twice_is_refused():
    with pytest.raises(FileError, match="lead I occurs twice"):
        find_leads(["I", "II", "lead 1"])


def test_a_file_without_leads_is_refused():
    with pytest.raises(FileError, match=r"none of its signals is one of the 12 leads \(Resp, SpO2\)"):
        find_leads(["Resp", "SpO2"])
