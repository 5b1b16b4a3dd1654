"""Tables of measurements: read by id; a missing value is ignored, never guessed."""

import json
from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider.ecgqa.ranges import NORMAL_RANGES_MS
from cardiolect.data_provider.manifest import Corpus, write_manifest
from cardiolect.data_provider.texts.measurements import load_all_measurements, load_measurements
from cardiolect.utils.errors import UserError


def test_a_simulated_corpus_comes_with_its_intervals(corpus: Path):
    names = [name.replace(" ", "_") for name in NORMAL_RANGES_MS]
    table = load_measurements(corpus / "measurements.csv", names)
    truths = [json.loads(line) for line in (corpus / "truth.jsonl").read_text().splitlines()]
    assert len(table) == len(truths)
    for truth in truths:
        expected = [np.nan if v is None else v for v in (truth["intervals"][name] for name in NORMAL_RANGES_MS)]
        np.testing.assert_allclose(table[str(truth["record_id"])], expected, rtol=1e-6)


def test_measurements_of_ptbxl_plus_and_mimic_are_found_by_their_id_columns(tmp_path: Path):
    (tmp_path / "a.csv").write_text("ecg_id,PR_Int_Global,QT\n1.0,160,\n22,140.5,400\n")
    table = load_measurements(tmp_path / "a.csv", ["QT", "PR_Int_Global"])
    assert set(table) == {"1", "22"} and np.isnan(table["1"][0]) and table["1"][1] == 160
    (tmp_path / "b.csv").write_text("subject_id,study_id,rr_interval\n7,40689238,659\n")
    assert load_measurements(tmp_path / "b.csv", ["rr_interval"])["40689238"] == [659]


def test_in_a_mixture_ids_are_those_of_its_corpora(tmp_path: Path):
    roots, paths = [], []
    for name, qt in (("one", 400), ("two", 380)):
        write_manifest(tmp_path / name, Corpus(name, "", "", "", str(tmp_path), 0, 0, {}), [], [])
        (tmp_path / f"{name}.csv").write_text(f"ecg_id,qt\n1,{qt}\n")
        roots.append(tmp_path / name)
        paths.append(tmp_path / f"{name}.csv")
    table = load_all_measurements(paths, roots, ["qt"])
    assert {key: float(value[0]) for key, value in table.items()} == {"one/1": 400, "two/1": 380}
    assert list(load_all_measurements(paths[:1], roots[:1], ["qt"])) == ["1"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ecg_id,pr\n1,160\n", "no column qt"),
        ("record,qt\n1,160\n", "no column ecg_id"),
        ("ecg_id,qt\n1,wide\n", "line 2: a requested column"),
        ("ecg_id,qt\n1\n", "line 2: a requested column"),
        ("ecg_id,qt\n1,inf\n", "line 2: a requested column"),
        ("ecg_id,qt\ninf,1\n", "line 2: a requested column"),
        ("", "no column ecg_id, qt"),
    ],
)
def test_a_bad_table_is_one_line_that_names_the_file(tmp_path: Path, text: str, says: str):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(UserError, match=rf"m\.csv: {says}"):
        load_measurements(tmp_path / "m.csv", ["qt"])
