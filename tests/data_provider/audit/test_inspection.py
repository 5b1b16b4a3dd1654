"""What `cardiolect inspect` says of a file: the heart's rate despite a disturbed lead, steps in uV, errors as JSON."""

import json

import numpy as np
import pytest

from cardiolect.data_provider.audit import inspection
from cardiolect.data_provider.audit.inspection import heart_rate, inspect, page
from cardiolect.data_provider.record import LEADS, ECGRecord
from cardiolect.data_provider.simulator import simulate
from cardiolect.data_provider.simulator.patients import draw_patient
from tests.helpers.ishne import write_ishne
from tests.helpers.text_tables import IN_MV, seconds, text


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    return simulate(5, 0, draw_patient(5, 0, 1))[1].astype(np.float32)


def record(signal: np.ndarray) -> ECGRecord:
    return ECGRecord(signal.astype(np.float32), 500.0, np.ones(signal.shape, bool), "1")


@pytest.mark.parametrize("lead", ["I", "V3"])
@pytest.mark.parametrize("size", [6.0, 9.5, 40.0])
def test_a_disturbed_lead_does_not_change_the_heart_rate(lead, size, ecg):
    clean = heart_rate(record(ecg))
    disturbed = ecg.copy()
    for place in (1700, 1790, 1930, 2070, 2250, 2400, 2525, 2600):
        disturbed[LEADS.index(lead), place : place + 8] += size
    assert heart_rate(record(disturbed)) == pytest.approx(clean, abs=1)


def test_beats_that_are_large_in_all_leads_count(ecg):
    larger = ecg.copy()
    larger[:, 2000:2500] *= 6
    assert heart_rate(record(larger)) == pytest.approx(heart_rate(record(ecg)), abs=1)


def test_a_real_recording_with_an_overdriven_lead(shared_data):
    path = shared_data / "more/code15/1111095.hea"
    if not path.is_file():
        pytest.skip("shared/data/more is not there")
    found, _ = inspect(path)
    assert 50 <= found["heart_rate"] <= 55 and found["leads"]["V3"]["masked"] == pytest.approx(0.235, abs=0.02)
    said = " ".join(found["remarks"])
    assert "Masked in V3: 2.94-5.12 s (a disturbance of 18 mV)" in said and "constant at 0 mV between two jumps" in said
    assert "gain" not in said and "drift" not in said


def test_steps_are_in_microvolts_and_text_has_none(ecg, tmp_path):
    write_ishne(tmp_path / "ecg.ecg", np.round(ecg / 12e-6).astype(int), nanovolts=12)
    found, _ = inspect(tmp_path / "ecg.ecg")
    assert found["leads"]["I"]["step"] == "0.012 uV" and " 0.012 uV " in page(found)
    (tmp_path / "ecg.csv").write_text(text(["t [s]", *IN_MV], seconds))
    found, _ = inspect(tmp_path / "ecg.csv")
    assert {one["step"] for one in found["leads"].values()} == {""}


def test_failures_are_json_too(ecg, tmp_path, capsys):
    path = write_ishne(tmp_path / "ecg.ecg", np.round(ecg * 1000).astype(int))
    (tmp_path / "broken.dcm").write_bytes(b"nothing")
    with pytest.raises(SystemExit, match="2"):
        inspection.main([str(tmp_path / "broken.dcm"), str(path), "--json"])
    printed = capsys.readouterr()
    failed, read = map(json.loads, printed.out.splitlines())
    assert failed == {"file": str(tmp_path / "broken.dcm"), "error": printed.err.strip().removeprefix("error: ")}
    assert read["seconds"] == 10
