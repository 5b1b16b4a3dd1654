"""Whose patients are in a folder in PTB-XL's layout: PTB-XL's, those of a part of it, or a hospital's own."""

import csv
from pathlib import Path

import pytest

from cardiolect.data_provider.audit.seen import load_seen, save_seen, seen_again
from cardiolect.data_provider.corpora.databases import database_in
from cardiolect.data_provider.corpora.prepare import prepare
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, load_database
from cardiolect.data_provider.manifest import load_corpus


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / DATABASE_NAME).open(newline="") as file:
        return list(csv.DictReader(file))


def write_table(folder: Path, rows: list[dict[str, str]]) -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / DATABASE_NAME).open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def own(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The same recordings of other patients, numbered from 1."""
    return [row | {"patient_id": str(k)} for k, row in enumerate(rows, start=1)]


@pytest.mark.parametrize("name", ["ptb-xl", "ptb-xl-reconstructed", "ptb-xl-labels"])
def test_copies_and_parts_of_ptbxl_are_ptbxl(name, shared_data):
    assert database_in(shared_data / name) == "ptb-xl"


@pytest.mark.parametrize("part", [slice(0, 1), slice(0, 20), slice(30, 60), slice(100, None, 7)])
def test_a_part_of_the_table_is_ptbxl(part, shared_data, tmp_path):
    assert database_in(write_table(tmp_path, rows_of(shared_data / "ptb-xl")[part])) == "ptb-xl"


def test_own_data_in_the_layout_is_a_database_of_its_own(shared_data, tmp_path):
    rows = own(rows_of(shared_data / "ptb-xl"))
    first, second = write_table(tmp_path / "a", rows), write_table(tmp_path / "b", rows[:100])
    assert database_in(first).startswith("own-") and database_in(first) == database_in(first)
    assert database_in(first) != database_in(second)
    assert {ref.database for ref in load_database(second).values()} == {database_in(second)}
    high = [row | {"ecg_id": str(900000 + k)} for k, row in enumerate(rows)]
    assert database_in(write_table(tmp_path / "c", high)).startswith("own-")
    mixed = [*rows_of(shared_data / "ptb-xl")[:40], *rows[40:80]]
    assert database_in(write_table(tmp_path / "d", mixed)).startswith("own-")


def test_patient_1_of_a_hospital_is_not_seen_by_a_checkpoint_of_ptbxl(shared_data, tmp_path):
    trained = list(load_database(shared_data / "ptb-xl").values())[:3]
    save_seen(tmp_path, trained)
    rows = rows_of(shared_data / "ptb-xl")
    hospital = [
        row | {"ecg_id": str(k), "patient_id": ref.patient_id}
        for k, (row, ref) in enumerate(zip(rows[200:203], reversed(trained), strict=True), start=1)
    ]
    refs = list(load_database(write_table(tmp_path / "hospital", hospital)).values())
    assert {ref.patient_id for ref in refs} == {ref.patient_id for ref in trained}
    assert not seen_again(refs, [], load_seen(tmp_path))
    assert seen_again(trained, [], load_seen(tmp_path))


def test_a_manifest_of_own_data_names_its_database(shared_data, tmp_path):
    folder = write_table(tmp_path / "own", own(rows_of(shared_data / "ptb-xl")[:30]))
    for name in ("records500", "records100"):
        (folder / name).symlink_to(shared_data / "ptb-xl" / name)
    prepare("ptb-xl", folder, tmp_path / "a")
    assert load_corpus(tmp_path / "a").database == database_in(folder)
    prepare("ptb-xl", folder, tmp_path / "b", database="our-hospital")
    assert load_corpus(tmp_path / "b").database == "our-hospital"


def test_an_unreadable_table_is_not_ptbxl_and_no_table_leaves_the_name(tmp_path):
    assert database_in(tmp_path) == "ptb-xl" and database_in(tmp_path, "code-15") == "code-15"
    (tmp_path / DATABASE_NAME).write_text("ecg_id,patient_id\nx,y\n")
    assert database_in(tmp_path).startswith("own-") and database_in(tmp_path, "code-15") == "code-15"
