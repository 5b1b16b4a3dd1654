"""``cardiolect prepare`` and ``derive``: nothing is overwritten silently, and errors name what was given."""

import csv
import json

import pytest

from cardiolect.model.cli.commands import main
from tests.helpers.commands import refused

PTBXL_LAYOUT = ["prepare", "ptb-xl"]


def test_another_manifest_is_replaced_only_when_asked_and_leaves_nothing_behind(corpus, tmp_path, capsys):
    out = tmp_path / "out"
    given = ["--source", str(corpus), "--out", str(out)]
    main([*PTBXL_LAYOUT, *given, "--english-reports"])
    assert (out / "renderings.jsonl").is_file()
    assert "replaced" not in capsys.readouterr().out
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    said = refused(main, ["prepare", "simulated", *given], capsys)
    assert (
        f"--out {out}: already holds manifest.json, records.parquet, texts.parquet, renderings.jsonl; add --force"
        in said
    )
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    main(["prepare", "simulated", *given, "--force"])
    said = capsys.readouterr().out
    assert f"{out}/manifest.json: replaced\n" in said and f"{out}/texts.parquet: replaced\n" in said
    assert f"{out}/renderings.jsonl: removed" in said
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "records.parquet", "texts.parquet"]
    assert json.loads((out / "manifest.json").read_text())["name"] == "simulated"


def test_a_corpus_that_cannot_be_prepared_leaves_the_manifest_before_as_it_was(corpus, tmp_path, capsys):
    given = ["--source", str(corpus), "--out", str(tmp_path / "out")]
    main([*PTBXL_LAYOUT, *given])
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    refused(main, [*PTBXL_LAYOUT, *given, "--force", "--folds", "1-8", "8", "9"], capsys)
    refused(main, ["prepare", "mimic-iv-ecg", *given, "--force"], capsys)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_what_a_stopped_run_left_is_not_overwritten_silently(corpus, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/texts.parquet").write_text("mine")
    said = refused(main, [*PTBXL_LAYOUT, "--source", corpus, "--out", tmp_path / "out"], capsys)
    assert "already holds texts.parquet; add --force" in said


def test_other_derived_questions_are_replaced_only_when_asked(corpus, tmp_path, capsys):
    out = tmp_path / "out"
    given = ["derive", "--source", str(corpus), "--out", str(out)]
    main(given)
    main(given)  # the same questions: nothing is lost
    assert "replaced" not in capsys.readouterr().out
    before = (out / "train.json").read_text()
    assert "already holds train.json, valid.json, test.json; add --force" in refused(
        main, [*given, "--seed", "1"], capsys
    )
    assert (out / "train.json").read_text() == before
    main([*given, "--seed", "1", "--force"])
    said = capsys.readouterr().out
    assert said.count("; replaced other ones\n") == 3 and (out / "train.json").read_text() != before


@pytest.mark.parametrize(
    "command",
    [
        ["prepare", "ptb-xl", "--source"],
        ["prepare", "simulated", "--source"],
        ["prepare", "georgia", "--source"],
        ["prepare", "mimic-iv-ecg", "--source"],
        ["prepare", "code-15", "--source"],
        ["derive", "--source"],
        ["simulate", "--varied", "--noise-from"],
    ],
)
def test_a_wrong_folder_is_blamed_on_the_argument_that_was_given(command, tmp_path, capsys):
    (tmp_path / "wrong").mkdir()
    said = refused(main, [*command, tmp_path / "wrong", "--out", tmp_path / "out"], capsys)
    assert str(tmp_path / "wrong") in said and "DATA_ROOT" not in said and "()" not in said
    assert command[-1] in said or "layout.json" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "argument"),
    [
        (["derive", "--valid-folds", "11"], "--valid-folds '11'"),
        (["prepare", "ptb-xl", "--folds", "1-7", "0", "9"], "--folds '0'"),
    ],
)
def test_wrong_folds_are_blamed_on_the_argument_that_was_given(command, argument, corpus, tmp_path, capsys):
    assert argument in refused(main, [*command, "--source", corpus, "--out", tmp_path / "out"], capsys)


def test_a_table_without_its_columns_names_the_file(corpus, tmp_path, capsys):
    with (tmp_path / "ptbxl_database.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["ecg_id"], [1]])
    said = refused(main, [*PTBXL_LAYOUT, "--source", tmp_path, "--out", tmp_path / "out"], capsys)
    assert f"{tmp_path}/ptbxl_database.csv: no column patient_id" in said


def test_a_corpus_can_be_asked_given_questions_alone(corpus, tmp_path, capsys):
    questions = tmp_path / "questions.json"
    row = {
        "template_id": 101,
        "question_type": "single-number",
        "attribute_type": "number",
        "attribute": ["heart rate"],
    }
    row |= {
        "sample_id": 0,
        "question_id": 101,
        "question": "What is the heart rate?",
        "answer": ["60 bpm"],
        "ecg_id": [1],
    }
    questions.write_text(json.dumps([row]))
    given = ["prepare", "simulated", "--source", str(corpus), "--out", str(tmp_path / "out")]
    assert "--only-texts leaves nothing without --texts" in refused(main, [*given, "--only-texts"], capsys)
    main([*given, "--only-texts", "--texts", str(questions)])
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["texts"] == 1 < manifest["records"]
