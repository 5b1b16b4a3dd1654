"""``cardiolect describe`` on corpora: texts for pretraining that training reads, splits, resuming, mistakes."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cardiolect.data_provider.corpora import prepare
from cardiolect.data_provider.corpora.prepared import split_of_patient
from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.texts.describe import __main__ as command
from cardiolect.data_provider.texts.describe import statements as statement_reading
from cardiolect.data_provider.texts.describe.record_texts import person
from cardiolect.data_provider.texts.questions import load_examples
from tests.helpers import ROOT
from tests.helpers.commands import refused

HEADER = "ecg_id,patient_id,age,sex,report,scp_codes,strat_fold,filename_hr\n"
ROWS = (
    "1,900001,56,1,sinusrhythmus. linkstyp. 4.46 unbestätigter bericht,\"{'CLBBB': 100.0, 'SR': 0.0}\",3,r/1\n"
    "2,900002,300,0,Normal ECG. No LVH.,\"{'NORM': 100.0, 'LVH': 100.0}\",9,r/2\n"
    "3,900003,,,Normal ECG. Left axis deviation. Poor data quality.,{'IMI': 35.0},10,r/3\n"
    "4,900004,40,1,trace only requested,{},1,r/4\n"
)


@pytest.fixture
def ptbxl(tmp_path) -> Path:
    folder = tmp_path / "ptb-xl"
    folder.mkdir()
    (folder / "ptbxl_database.csv").write_text(HEADER + ROWS)
    return folder


def run(source: Path, *options) -> Path:
    out = source.parent / "out"
    command.main([str(source), "--out", str(out), "--force", *map(str, options)])
    return out


def texts(out: Path, split: str) -> dict[str, str]:
    return {item["ecg_id"]: item["report"] for item in json.loads((out / f"reports/{split}.json").read_text())}


def test_texts_of_ptbxl_are_by_fold_and_hold_report_and_codes(ptbxl, capsys):
    out = run(ptbxl, "--sentences", 1)
    assert texts(out, "train") == {
        "1": "ECG findings: Sinus rhythm, Left axis, left bundle branch block. Waveforms: Sinus rhythm has a P wave "
        "before every QRS complex, upright in I, II and aVF and inverted in aVR. With a left axis the QRS complex is "
        "mainly positive in I and mainly negative in III. In complete left bundle branch block the QRS complex is at "
        "least 120 ms wide."
    }
    assert texts(out, "valid")["2"].startswith("ECG findings: Normal ECG, No LVH. Waveforms: A normal ECG shows")
    assert "1 recordings have none" in capsys.readouterr().out  # trace only requested
    summary = json.loads((out / "summary.json").read_text())
    assert summary["classes"]["administrative"] == {"distinct": 2, "all": 2}
    assert summary["left_out"] == {"SCP codes that the report denies": 1}
    assert summary["reports"] == {"train": 1, "valid": 1, "test": 1}


def test_a_normal_ecg_is_not_described_next_to_a_finding(ptbxl):
    text = texts(run(ptbxl), "test")["3"]
    assert text.startswith(
        "ECG findings: Normal ECG, Left axis deviation, possible inferior infarct. Waveforms: In left"
    )
    assert "normal ECG shows" not in text and "Possible inferior infarct: An inferior infarct" in text


def test_age_and_sex_only_if_asked_and_never_an_id(ptbxl):
    assert "56" not in texts(run(ptbxl), "train")["1"]
    out = run(ptbxl, "--patient")
    assert texts(out, "train")["1"].startswith("56-year-old female. ECG findings:")
    assert texts(out, "valid")["2"].startswith("Over-89-year-old male. ")
    assert texts(out, "test")["3"].startswith("ECG findings:")
    written = "".join(path.read_text() for path in out.rglob("*.json*"))
    assert "90000" not in written


@pytest.mark.parametrize(
    ("background", "expected"),
    [("age 56, sex female", "56-year-old female."), ("age 56", "56-year-old."), ("sex male", "Male."), ("", "")],
)
def test_a_person_is_described_as_far_as_known(background, expected):
    assert person(background) == expected


def test_training_reads_the_texts_as_reports(ptbxl):
    out = run(ptbxl)
    database = load_database(ptbxl)
    loaded = load_examples([out / "reports/train.json"], ptbxl, database, on_disk=False)
    (example,) = loaded.examples
    assert example.task == "report" and example.records[0] == database["1"]
    assert example.answers == (texts(out, "train")["1"],)


@pytest.mark.parametrize(("sources", "has"), [("reports", {"Normal ECG", "No LVH"}), ("codes", {"normal ECG"})])
def test_reports_or_codes_alone(ptbxl, sources, has):
    out = run(ptbxl, "--statements", sources)
    found = {row["statement"] for row in json.loads((out / "descriptions.json").read_text())}
    assert has <= found and not ({"Normal ECG", "normal ECG"} - has) & found


def test_mimic_statements_are_cells_and_patients_stay_in_one_split(tmp_path):
    patient = next(str(k) for k in range(10000001, 10001000) if split_of_patient(str(k)) == "test")
    source = tmp_path / "mimic"
    source.mkdir()
    (source / "machine_measurements.csv").write_text(
        "subject_id,study_id,report_0,report_1,report_2\n"
        f"{patient},40000001,Sinus rhythm with 1st degree A-V block.,Unconfirmed analysis,\n"
        f"{patient},40000002,No LVH,Possible inferior infarct - age undetermined,Abnormal ECG\n"
    )
    out = run(source)
    found = texts(out, "test")
    assert found["40000001"].startswith("ECG findings: Sinus rhythm with 1st degree A-V block. Waveforms: Sinus rhythm")
    assert found["40000002"].startswith(
        "ECG findings: No LVH, Possible inferior infarct - age undetermined, Abnormal ECG. Waveforms: Possible infe"
    )
    assert patient not in "".join(path.read_text() for path in out.rglob("*.json*"))


def test_a_statement_with_a_long_number_stands_in_no_text(ptbxl):
    table = ptbxl / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("No LVH.", "Sinus rhythm of case 1234567. No LVH."))
    text = texts(run(ptbxl), "valid")["2"]
    assert "1234567" not in text and text.startswith("ECG findings: Normal ECG, No LVH. ")


def test_what_may_identify_a_patient_is_nowhere_and_has_no_waveforms(ptbxl, capsys):
    table = ptbxl / "ptbxl_database.csv"
    names = (
        "Atrial fibrillation for Mr. John Smith. RBBB pat 1234567. LVH since 12.03.1992. AV block of 3. March 1992. "
        "Confirmed by J. Miller. "
    )
    table.write_text(table.read_text().replace("Left axis deviation.", f"{names} Left axis deviation."))
    out = run(ptbxl)
    written = "".join(path.read_text() for path in out.rglob("*.json*"))
    gone = ("Smith", "1234567", "1992", "March", "Miller", "fibrillation", "RBBB", "LVH since", "AV block")
    assert [word for word in gone if word in written] == []
    assert texts(out, "test")["3"].startswith(
        "ECG findings: Normal ECG, Left axis deviation, possible inferior infarct"
    )
    reason = "statements that may have a name, a date or a number of a patient"
    assert json.loads((out / "summary.json").read_text())["left_out"][reason] == 6  # "Miller", too
    assert f"left out: 6 {reason}" in capsys.readouterr().out


def test_recordings_of_no_split_and_mimic_rows_without_a_subject_are_left_out(tmp_path, capsys):
    patient = next(str(k) for k in range(10000001, 10001000) if split_of_patient(str(k)) == "train")
    source = tmp_path / "mimic"
    source.mkdir()
    (source / "machine_measurements.csv").write_text(
        f"subject_id,study_id,report_0\n{patient},40000001,Sinus rhythm\n,40000002,Sinus rhythm\n"
    )
    out = run(source)
    assert texts(out, "train").keys() == {"40000001"}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["left_out"] == {"recordings of no split": 1} and summary["reports"] == {"train": 1}
    assert summary["records_without_text"] == 0
    assert "left out: 1 recordings of no split" in capsys.readouterr().out


def test_a_description_is_made_anew_if_the_lexicon_reads_the_statement_differently(ptbxl, monkeypatch, capsys):
    run(ptbxl)
    capsys.readouterr()
    monkeypatch.setattr(statement_reading, "phrase_of", lambda code, piece, sentence: f"{code} of another lexicon")
    statement_reading.read_statement.cache_clear()
    try:
        run(ptbxl)
    finally:
        statement_reading.read_statement.cache_clear()
    assert " 0 are in" in capsys.readouterr().out


def test_a_manifest_is_described_and_takes_the_texts_back(corpus, tmp_path):
    manifest = tmp_path / "manifest"
    prepare.main(["simulated", "--source", str(corpus), "--out", str(manifest)])
    out = tmp_path / "out"
    command.main([str(manifest), "--out", str(out), "--patient"])
    written = sum(json.loads((out / "summary.json").read_text())["reports"].values())
    again = tmp_path / "again"
    arguments = ["simulated", "--source", str(corpus), "--out", str(again), "--only-texts"]
    prepare.main([*arguments, "--texts", str(out / "reports")])
    assert json.loads((again / "manifest.json").read_text())["texts"] == written > 0


def test_what_an_earlier_run_described_is_kept_until_texts_or_options_change(ptbxl, tmp_path, capsys):
    out = run(ptbxl)
    first = (out / "descriptions.json").read_text()
    capsys.readouterr()
    assert (run(ptbxl) / "descriptions.json").read_text() == first
    assert " 0 are made now" in capsys.readouterr().out
    run(ptbxl, "--sentences", 2)
    assert " 0 are in" in capsys.readouterr().out
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("Left bundle branch block widens the QRS complex.")
    out = run(ptbxl, "--texts", tmp_path / "texts")
    assert " 0 are in" in capsys.readouterr().out
    found = {row["statement"]: row for row in json.loads((out / "descriptions.json").read_text())}
    assert found["left bundle branch block"]["waveforms"][0]["source"] == "a.txt:1"
    assert found["Sinus rhythm"]["text"] == ""  # this folder says nothing about it


def heed_interrupts() -> None:
    """Tests that a shell runs in the background ignore SIGINT, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_keeps_what_is_described(tmp_path):
    """The index is slow here, so that the signal comes in the middle; the second run makes the rest only."""
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(f"ST depression 0.{k:02d} mV" for k in range(40)))
    code = (
        "import sys, time; from cardiolect.data_provider.texts.describe import __main__ as c, describing as d;"
        "from cardiolect.utils.command_line import run_command; real = d.choose;"
        "d.choose = lambda *a: (time.sleep(0.03), real(*a))[1];"
        f"run_command(lambda: c.main([{str(lines)!r}, '--out', {str(tmp_path / 'out')!r}]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    kept = tmp_path / "out/kept.jsonl"
    for _ in range(600):
        if kept.is_file() and kept.read_bytes().count(b"\n") >= 3:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert "the same command continues" in process.communicate(timeout=60)[1]
    assert process.returncode == 130 and not (tmp_path / "out/descriptions.json").exists()
    done = kept.read_bytes().count(b"\n")
    assert 3 <= done < 40
    command.main([str(lines), "--out", str(tmp_path / "out")])
    assert kept.read_bytes().count(b"\n") == 40
    assert len(json.loads((tmp_path / "out/descriptions.json").read_text())) == 40


def test_bad_input_is_one_line(ptbxl, tmp_path, capsys):
    out = tmp_path / "out"
    assert "holds no manifest.json" in refused(command.main, [tmp_path, "--out", out], capsys)
    (tmp_path / "empty.txt").write_text("\n")
    assert "no statement in it" in refused(command.main, [tmp_path / "empty.txt", "--out", out], capsys)
    table = ptbxl / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("{'IMI': 35.0}", "IMI"))
    assert "ecg_id 3: scp_codes is not a dictionary" in refused(command.main, [ptbxl, "--out", out], capsys)
    (tmp_path / "line.txt").write_text("Sinus rhythm\n")
    command.main([str(tmp_path / "line.txt"), "--out", str(out)])
    said = refused(command.main, [tmp_path / "line.txt", "--out", out], capsys)
    assert "descriptions.json" in said and "--force" in said
