"""Published question and report files are taken as they are, and no identifier passes into a prompt."""

import json
import re
from pathlib import Path

import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database, parse_folds
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.texts.background import describe_patient, parse_background
from cardiolect.data_provider.texts.questions import load_examples, separate_statements
from cardiolect.utils.errors import UserError

QUESTION = {
    "template_id": 1,
    "question_id": 0,
    "sample_id": 0,
    "question_type": "single-verify",
    "attribute_type": "scp_code",
    "question": "Is it normal?",
    "answer": ["yes"],
    "ecg_id": [7],
}
MIMIC = "p1330/p13304059/s44418529/44418529"


def write_json(path: Path, items) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(items if isinstance(items, str) else json.dumps(items))
    return path


def touch(root: Path, *records: str) -> None:
    for record in records:
        path = root / f"{record}.hea"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def load_one(tmp_path, item, root=None, database=None):
    loaded = load_examples([write_json(tmp_path / "q.json", [item])], root or tmp_path, database)
    (example,) = loaded.examples
    return example


# --- the real files


@pytest.fixture(scope="module")
def ptbxl(shared_data):
    return shared_data / "ptb-xl", load_database(shared_data / "ptb-xl")


def test_official_ecg_qa(shared_data, ptbxl):
    root, database = ptbxl
    loaded = load_examples([shared_data / "ecg-qa/ecgqa/ptbxl"], root, database)
    assert len(loaded.examples) == 2 * 637 and loaded.missing_records == 0
    assert sum(len(e.records) == 2 for e in loaded.examples) == 2 * (166 + 38 + 20)
    compared = next(e for e in loaded.examples if e.sample_id == "ptbxl/template/test/80000:0")
    assert compared.record_ids == ("46", "81") and compared.answers == ("pr interval",)
    assert compared.backgrounds == (database["46"].background, database["81"].background)
    assert len({e.sample_id for e in loaded.examples}) == len(loaded.examples)
    example = next(e for e in loaded.examples if e.sample_id == "ptbxl/paraphrased/train/120000:0")
    assert (example.records[0].record_id, example.answers, example.template_id) == ("127", ("no",), 26)
    assert example.records[0].patient_id == database["127"].patient_id
    assert example.background == database["127"].background
    again = load_examples([shared_data / "ecg-qa/ecgqa/ptbxl/paraphrased/train"], root, database)
    assert [e.sample_id for e in again.examples] == [
        e.sample_id for e in loaded.examples if e.sample_id.startswith("ptbxl/paraphrased/train")
    ]


@pytest.mark.parametrize("corpus", ["ecgqa/ptbxl", "ecgqa/mimic-iv-ecg", "report/mimic-iv-ecg"])
def test_absent_recordings_are_counted(shared_data, ptbxl, corpus):
    root, database = ptbxl
    paths = [shared_data / "heartllm-json" / corpus]
    with pytest.raises(UserError, match=r"^\d+ of \d+ recordings are missing, first .*; set DATA_ROOT"):
        load_examples(paths, root, database)
    loaded = load_examples(paths, root, database, allow_missing=True)
    n_items = sum(len(json.loads(p.read_text())) for p in paths[0].glob("*.json"))
    assert len(loaded.examples) + loaded.skipped_missing + loaded.empty_reports == n_items
    assert 0 < loaded.missing_records <= loaded.records
    assert "missing recordings" in loaded.summary("train")


def test_heartllm_reports(shared_data, ptbxl):
    root, database = ptbxl
    loaded = load_examples([shared_data / "heartllm-json/report/ptbxl"], root, database, allow_missing=True)
    (first,) = [e for e in loaded.examples if e.sample_id == "heartllm-json/report/ptbxl/train:0"]
    assert (first.task, first.question, first.answers) == ("report", "", ("sinus rhythm peripheral low voltage",))
    assert first.background == "age 56, sex female, weight 63 kg"
    assert (first.records[0].record_id, first.records[0].patient_id, first.records[0].fold) == ("1", "15709", 3)
    for example in loaded.examples:
        # JSON and database agree, but for ages above 89: 300 in one, empty in the other.
        in_json, in_database = (
            text.removeprefix("age over 89, ") for text in (example.background, example.records[0].background)
        )
        assert in_json == in_database


def test_no_identifier_in_any_background(shared_data, tmp_path):
    """With every recording present, all shipped files give backgrounds of the four known values only."""
    pattern = re.compile(
        r"(?:(?:^|, )(?:age (?:\d{1,2}|over 89)|sex (?:male|female)|height \d{2,3} cm|weight \d{1,3} kg))*"
    )
    folder, n_described = shared_data / "heartllm-json", 0
    for file in folder.rglob("*.json"):
        items = json.loads(file.read_text())
        touch(tmp_path, *(item.get("ecg_path") or item["filepath"] for item in items))
        for example in load_examples([file], tmp_path, None).examples:
            assert pattern.fullmatch(example.background), example.background
            assert example.records[0].patient_id not in re.findall(r"\d{3,}", example.background)
            assert example.records[0].patient_id
            n_described += bool(example.background)
    assert n_described > 500


# --- paths and patients


@pytest.mark.parametrize("place", ["", "files/"])
def test_mimic_record_and_patient(tmp_path, place):
    touch(tmp_path, place + MIMIC)
    item = QUESTION | {"ecg_id": [44418529], "ecg_path": MIMIC, "background": "Recording Details: - Device ID: 66."}
    example = load_one(tmp_path, item)
    assert example.records == (RecordRef("44418529", tmp_path / (place + MIMIC), "13304059"),)
    assert example.background == ""


@pytest.mark.parametrize("path", ["records500/00000/00007_hr", "/another/machine/ptb/records500/00000/00007_hr"])
def test_mapped_path_may_be_a_list_from_another_machine(tmp_path, path):
    touch(tmp_path, "records500/00000/00007_hr")
    item = QUESTION | {"ecg_path": [path], "background": "- Patient ID: 99; - Age: 300; - Sex: 0;"}
    example = load_one(tmp_path, item)
    assert example.records[0].path == tmp_path / "records500/00000/00007_hr"
    assert example.records[0].patient_id == "99" and example.background == "age over 89, sex male"


def test_ids_of_the_same_question_differ_between_files(tmp_path):
    touch(tmp_path, "rec")
    for split in ("train", "test"):
        write_json(tmp_path / "qa" / split / "0.json", [QUESTION | {"ecg_path": "rec"}] * 2)
    loaded = load_examples([tmp_path / "qa", tmp_path / "qa/train/0.json"], tmp_path, None)
    assert len(loaded.examples) == len({e.sample_id for e in loaded.examples}) == 4


@pytest.mark.parametrize("order", [1, -1])
def test_whose_a_recording_is_may_be_said_after_a_comparison_has_named_it(tmp_path, order):
    """Else a comparison at the head of a file would hide a patient that stands in two splits."""
    touch(tmp_path, "a", "b")
    compared = QUESTION | {"ecg_id": [1, 2], "ecg_path": ["a", "b"]}
    single = QUESTION | {"ecg_id": [1], "ecg_path": ["a"], "patient_id": 77, "background": "- Age: 61;"}
    loaded = load_examples([write_json(tmp_path / "q.json", [compared, single][::order])], tmp_path, None)
    for example in loaded.examples:
        assert (example.records[0].patient_id, example.backgrounds[0]) == ("77", "age 61")
    assert {e.records[-1].patient_id for e in loaded.examples if len(e.records) == 2} == {None}


def test_one_id_for_two_recordings_is_named(tmp_path):
    touch(tmp_path, "a", "b")
    items = [QUESTION | {"ecg_id": 1, "ecg_path": path} for path in ("a", "b")]
    with pytest.raises(UserError, match="item 1: ecg_id 1 is a and, elsewhere, b"):
        load_examples([write_json(tmp_path / "q.json", items)], tmp_path, None)


def test_a_missing_recording_is_named_without_its_patient(tmp_path):
    item = QUESTION | {"ecg_id": [44418529], "ecg_path": MIMIC}
    with pytest.raises(UserError, match="first 44418529;") as caught:
        load_examples([write_json(tmp_path / "q.json", [item])], tmp_path, None)
    assert "13304059" not in str(caught.value)


# --- text


@pytest.mark.parametrize(
    ("joined", "separated"),
    [
        ("Sinus rhythm.Probable LVH.", "Sinus rhythm. Probable LVH."),
        ("ST 0.5 mm.Abnormal", "ST 0.5 mm. Abnormal"),
        ("rhythm..Left axis", "rhythm. Left axis"),
        ("rhythm.- first degree", "rhythm. - first degree"),
        ("in V1.rSr'", "in V1. rSr'"),
        ("Already. Apart.", "Already. Apart."),
    ],
)
def test_statements_are_separated(joined, separated):
    assert separate_statements(joined) == separated


def test_only_mimic_reports_change_and_empty_ones_are_counted(tmp_path):
    touch(tmp_path, MIMIC, "records500/00000/00007_hr")
    items = [
        {"report": "Rhythm.Axis", "filepath": MIMIC, "ecg_id": 44418529, "patient_id": 13304059},
        {"report": "Rhythm.Axis", "filepath": "records500/00000/00007_hr", "ecg_id": 7, "patient_id": 5.0},
        {"report": " . ", "filepath": MIMIC, "ecg_id": 44418529},
    ]
    loaded = load_examples([write_json(tmp_path / "r.json", items)], tmp_path, None)
    assert [e.answers for e in loaded.examples] == [("Rhythm. Axis",), ("Rhythm.Axis",)]
    assert [e.records[0].patient_id for e in loaded.examples] == ["13304059", "5"]
    assert loaded.empty_reports == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "Patient Information: - Patient ID: 9496; - Age: 54; - Sex: 1; - Height: nan; - Weight: 59; "
            "Recording Details: - Recording Date: 1993-05-03; - Nurse ID: 0; - Device ID: CS-12   E.",
            "age 54, sex female, weight 59 kg",
        ),
        ("- Age: nan; - Sex: 0; - Height: 170; - Weight: nan;", "sex male, height 170 cm"),
        ("", ""),
        ("age 56 height 161 weight 63 sex f", "age 56, sex female, height 161 cm, weight 63 kg"),
        ("Age: 56 M, Sex: M", "age 56, sex male"),
        ("Age 56 Weight 63kg Height 161", "age 56, height 161 cm, weight 63 kg"),
        ("weight 63 age 3m", "weight 63 kg"),
        ("age 3 mo", ""),
        ("age 3-w", ""),
        ("age 3 y height 1.6 m", "age 3"),
    ],
)
def test_background(text, sentence):
    assert parse_background(text) == sentence
    assert parse_background(sentence) == sentence, "read again, as a conversation does"


def test_the_oldest_stay_in_the_prompt_of_a_conversation():
    assert parse_background(describe_patient("300", "1")) == describe_patient("300", "1") == "age over 89, sex female"


def test_impossible_values_are_left_out():
    assert describe_patient("-1", "2", "6", "1000") == ""
    assert describe_patient("89.0", "1.0", "170.0", "63.5") == "age 89, sex female, height 170 cm, weight 63.5 kg"


# --- as other systems write them


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "path", [r"records500\00000\00007_hr", r"D:\ptb-xl\records500\00000\00007_hr.hea", [r"a\..\rec.dat"]]
)
def test_files_that_windows_wrote(tmp_path, encoding, path):
    touch(tmp_path, "records500/00000/00007_hr", "rec")
    (tmp_path / "a").mkdir()
    file = tmp_path / "Q.JSON"
    file.write_bytes(
        json.dumps([QUESTION | {"ecg_path": path, "question": "Größe?"}], ensure_ascii=False).encode(encoding)
    )
    (tmp_path / "._Q.json").write_bytes(b"\0\5\x16\7")  # macOS
    (example,) = load_examples([tmp_path], tmp_path, None).examples
    assert example.question == "Größe?" and example.records[0].path.with_suffix(".hea").is_file()


def test_a_windows_path_names_the_patient_of_mimic(tmp_path):
    touch(tmp_path, MIMIC)
    item = {"report": "Sinus rhythm.Normal", "ecg_id": 44418529, "filepath": MIMIC.replace("/", "\\")}
    example = load_one(tmp_path, item)
    assert example.records[0].patient_id == "13304059" and example.answers == ("Sinus rhythm. Normal",)


def test_cells_that_pandas_left_empty_are_blank(tmp_path):
    touch(tmp_path, "rec")
    nan = float("nan")
    items = [
        {"report": nan, "ecg_id": 7.0, "filepath": "rec"},
        {"report": None, "ecg_id": 7, "filepath": "rec"},
        QUESTION | {"ecg_id": 7.0, "ecg_path": "rec", "background": nan, "template_id": 3.0, "question_type": nan},
    ]
    loaded = load_examples([write_json(tmp_path / "q.json", items)], tmp_path, None)
    (example,) = loaded.examples
    assert loaded.empty_reports == 2 and example.record_ids == ("7",) and example.template_id == 3


def test_a_comparison_may_have_a_background_for_each_recording(tmp_path):
    touch(tmp_path, "a", "b")
    item = QUESTION | {
        "ecg_id": [1, 2],
        "ecg_path": ["a", "b"],
        "background": ["Age: 54; Sex: 1", "Age: 8 months; Sex: 0"],
    }
    example = load_one(tmp_path, item)
    assert example.backgrounds == ("age 54, sex female", "sex male")


# --- errors


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ({"a": 1}, "contains a JSON dict"),
        ([3], "item 0: is a JSON int"),
        ([QUESTION | {"ecg_path": "rec"}, {"question": "?"}], "item 1: has no key answer, ecg_id"),
        ([{"report": "x"}], "item 0: has no key ecg_id"),
        ([{"ecg_id": 1}], "item 0: has no key question, answer"),
        ([QUESTION], "item 0: has no ecg_path; put ptbxl_database.csv"),
        ([QUESTION | {"ecg_path": "rec", "answer": []}], "item 0: answer is not"),
        ([QUESTION | {"ecg_path": "rec", "question": None}], "item 0: question is not text"),
        ([QUESTION | {"ecg_path": 5}], "item 0: the path"),
        ([QUESTION | {"ecg_id": [1, 2, 3], "ecg_path": ["rec"] * 3}], "item 0: ecg_id names 3 recordings"),
        ([QUESTION | {"ecg_id": [1, 2], "ecg_path": ["rec"]}], "item 0: gives 1 paths for 2 recordings"),
        ([QUESTION | {"ecg_id": [1, 2], "ecg_path": "rec"}], "item 0: gives one path for 2 recordings"),
        ([QUESTION | {"ecg_id": []}], "item 0: ecg_id"),
        ([QUESTION | {"ecg_id": 7.5, "ecg_path": "rec"}], "item 0: ecg_id is not a number"),
        ([QUESTION | {"ecg_path": "rec", "question": " "}], "item 0: question is empty"),
        ([QUESTION | {"ecg_path": "rec", "background": ["x", "y"]}], "item 0: background is not a list of 1 texts"),
        ([{"report": "x", "ecg_id": [1, 2], "filepath": ["rec", "rec"]}], "item 0: is one report on 2 recordings"),
        ([QUESTION | {"ecg_path": "rec", "template_id": "x"}], "item 0: template_id"),
    ],
)
def test_malformed_files(tmp_path, content, reason):
    touch(tmp_path, "rec")
    file = write_json(tmp_path / "q.json", content)
    with pytest.raises(UserError, match=reason) as caught:
        load_examples([file], tmp_path, None)
    assert str(file) in str(caught.value)


def test_a_path_that_names_no_file_is_of_no_recording(tmp_path):
    touch(tmp_path, "rec")
    items = [QUESTION | {"ecg_path": path} for path in ("rec", "#7", "/", "x" * 5000, "a\0b")]
    loaded = load_examples([write_json(tmp_path / "q.json", items)], tmp_path, None)
    assert len(loaded.examples) == 1


def test_a_file_in_a_code_page_is_named(tmp_path):
    (tmp_path / "q.json").write_bytes(json.dumps(["Größe"], ensure_ascii=False).encode("cp1252"))
    with pytest.raises(UserError, match=r"q\.json: cannot be read; save it as UTF-8"):
        load_examples([tmp_path / "q.json"], tmp_path, None)


def test_absent_files(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        load_examples([tmp_path / "none.json"], tmp_path, None)
    with pytest.raises(UserError, match=r"no \*\.json"):
        load_examples([tmp_path], tmp_path, None)


# --- PTB-XL's database


def test_database(ptbxl):
    root, database = ptbxl
    assert len(database) == 488
    assert database["1"] == RecordRef(
        "1", root / "records500/00000/00001_hr", "15709", 3, "age 56, sex female, weight 63 kg"
    )
    assert sum(ref.fold in parse_folds("1-8") for ref in database.values()) == 344


def test_database_with_100_hz_files_only(tmp_path):
    (tmp_path / "ptbxl_database.csv").write_text(
        "ecg_id,patient_id,strat_fold,filename_lr,filename_hr\n1,5.0,3,records100/0/1_lr,records500/0/1_hr\n"
    )
    touch(tmp_path, "records100/0/1_lr")
    assert load_database(tmp_path)["1"].path == tmp_path / "records100/0/1_lr"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "no such file"),
        ("", "no column ecg_id"),
        ("ecg_id,patient_id,strat_fold,x\n", "no column filename_hr"),
        ("ecg_id,patient_id,strat_fold,filename_hr\n", "no rows"),
        ("ecg_id,patient_id,strat_fold,filename_hr\n1,x,3,a\n", "line 2 has no valid"),
        ("ecg_id,patient_id,strat_fold,filename_hr\n1,2\n", "line 2 has no valid"),
        ("ecg_id,patient_id,strat_fold,filename_hr\n1,2,3,a\n1,2,3,a\n", "line 3 repeats ecg_id 1"),
    ],
)
def test_wrong_database(tmp_path, text, reason):
    if text is not None:
        (tmp_path / "ptbxl_database.csv").write_text(text)
    with pytest.raises(UserError, match=reason):
        load_database(tmp_path)
