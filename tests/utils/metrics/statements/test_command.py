"""The command `cardiolect statements`: bad input gets one clear line."""

import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.statements.__main__ import main


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ("\x00\xff", "not JSON"),
        ('{"report": "SR"}', "not a JSON list"),
        ("[[1]]", "entry 1 has no text"),
        ('[{"report": "SR"}, {"text": "SR"}]', "entry 2 has no text"),
        ('[{"report": null}]', "entry 1 has no text"),
    ],
)
def test_reports_that_cannot_be_read_are_named_in_a_line(tmp_path, content, message):
    file = tmp_path / "reports.json"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=message) as error:
        main(["--reports", str(file)])
    assert str(file) in str(error.value) and "Error" not in str(error.value)


def test_a_folder_of_reports_is_refused_in_a_line(tmp_path):
    with pytest.raises(UserError, match=r"a folder; give the JSON files in it"):
        main(["--reports", str(tmp_path)])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--misses", "XYZ", "--reports", "a.json"], "--misses XYZ: not a code"),
        (["--misses", "", "--database", "a.csv"], "--misses '': not a code"),
        (["--misses", "LVH", "--reports", "a.json"], "--misses: give --database"),
        (["--folds", "1", "--reports", "a.json"], "--folds: give --database"),
        (["--misses", "LVH", "--misread", "3", "--database", "a.csv"], "--misses: give it without --misread"),
        (["--misread", "3", "--database", "a.csv", "--reports", "a.json"], "--misread: give it without --reports"),
    ],
)
def test_an_option_is_refused_rather_than_ignored(given, message):
    with pytest.raises(UserError, match=message):
        main(given)


def test_a_database_without_a_column_is_named(tmp_path):
    file = tmp_path / "ptbxl_database.csv"
    file.write_text("ecg_id,report\n1,SR\n")
    with pytest.raises(UserError, match="no column strat_fold"):
        main(["--database", str(file)])
