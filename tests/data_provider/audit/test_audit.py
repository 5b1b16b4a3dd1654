"""The audit finds what leaks, and says it without naming a patient."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from cardiolect.data_provider.audit.__main__ import audit, main
from cardiolect.data_provider.audit.leakage import Placed, duplicates, leaks
from cardiolect.data_provider.audit.text_statistics import ADMINISTRATIVE
from cardiolect.data_provider.corpora.prepare import prepare
from tests.helpers import ROOT


def test_real_ptbxl_does_not_leak_and_its_figures_are_its_own(shared_data, tmp_path):
    prepare("ptb-xl", shared_data / "ptb-xl", tmp_path)
    figures = audit([tmp_path])
    ptbxl = figures["corpora"]["ptb-xl"]
    assert figures["leaks"] == []
    assert ptbxl["sampling_rates"] == {"500": 488} and ptbxl["seconds"] == {"10": 488} and not ptbxl["unreadable"]
    assert 0.5 < ptbxl["leads"]["V3"]["median_mv"] < 3 and ptbxl["leads"]["V3"]["missing"] < 0.02
    assert ptbxl["texts"]["reports"] > 450 and ptbxl["texts"]["reports_commonest"][0]["count"] > 10


def test_a_copied_recording_in_another_split_is_found_though_its_file_differs(
    shared_data, tmp_path, monkeypatch, capsys
):
    source = tmp_path / "ptb-xl"
    source.mkdir()
    shutil.copytree(shared_data / "ptb-xl/records500", source / "records500")
    table = pd.read_csv(shared_data / "ptb-xl/ptbxl_database.csv").head(30).copy()
    test_row = table.index[table["strat_fold"] == 10][0]
    train_row = table.index[table["strat_fold"] < 9][0]
    old, new = (source / table.loc[row, "filename_hr"] for row in (train_row, test_row))
    shutil.copy(old.with_suffix(".dat"), new.with_suffix(".dat"))
    new.with_suffix(".hea").write_text(old.with_suffix(".hea").read_text().replace(old.name, new.name))
    table.to_csv(source / "ptbxl_database.csv", index=False)
    prepare("ptb-xl", source, tmp_path / "out")
    monkeypatch.setattr("sys.argv", ["audit", str(tmp_path / "out"), "--out", str(tmp_path / "audit")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1 and "not recognised: copies that share less" in capsys.readouterr().out
    figures = json.loads((tmp_path / "audit/audit.json").read_text())
    ids = {f"ptb-xl/{table.loc[row, 'ecg_id']}" for row in (train_row, test_row)}
    assert [set(group) for group in figures["duplicates"]] == [ids]
    assert figures["leaks"][0].startswith("1 signal is in more than one split")
    page = (tmp_path / "audit/audit.html").read_text()
    assert "1 signal is" in page and "data:image/png;base64," in page and "http" not in page.split("</style>")[0]


def test_patients_are_compared_within_a_corpus_signals_across():
    placed = [
        Placed("a", "1", "p", "train", "x"),
        Placed("a", "2", "p", "test", "y"),
        Placed("b", "1", "p", "valid", "z"),
        Placed("b", "2", None, "test", "x"),
        Placed("b", "3", None, "test", "y"),
        Placed("b", "4", None, "", "z"),
    ]
    patients, signals = leaks(placed)
    assert patients == "1 patient is in more than one split, for example a/1 (train) and a/2 (test)"
    assert signals.startswith("1 signal is") and "a/1 (train)" in signals and "b/2 (test)" in signals
    assert duplicates(placed) == [["a/1", "b/2"], ["a/2", "b/3"], ["b/1", "b/4"]]
    assert leaks(placed[2:4]) == []


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("Unconfirmed", True),
        ("N/A", True),
        ("All 12 leads are missing", True),
        ("unbestätigter Bericht", True),
        ("Sinus rhythm. Unconfirmed", False),
        ("trace only requested.", True),
        ("No previous ECG available", True),
        ("Normal ECG", False),
    ],
)
def test_administrative_text_is_told_from_findings(text: str, is_one: bool):
    assert bool(ADMINISTRATIVE.match(text)) == is_one


def test_a_folder_without_a_manifest_says_how_to_make_one(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["audit", str(tmp_path)])
    with pytest.raises(Exception, match=r"no manifest\.json; make one with"):
        main()


def test_the_commands_of_the_docs_run(shared_data, tmp_path):
    page = (ROOT / "docs/DATA.md").read_text().partition("## Prepared corpora")[2]
    commands = re.findall(r"^cardiolect (?:prepare|audit) .*$", page, flags=re.MULTILINE)
    assert len(commands) == 2
    places = {"data/ptb-xl": str(shared_data / "ptb-xl"), "data/prepared": str(tmp_path), "results": str(tmp_path)}
    for command in commands:
        for place, stand_in in places.items():
            command = command.replace(place, stand_in)
        words = [sys.executable, "-m", "cardiolect", *shlex.split(command, comments=True)[1:]]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-1000:]
    assert (tmp_path / "audit/audit.html").is_file()
