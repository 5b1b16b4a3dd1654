"""Conversations of ECG-Chat and PULSE: every answer an example, about the recording that its path or picture names."""

import json
from pathlib import Path

import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.texts.conversations import exchanges, recordings
from cardiolect.data_provider.texts.questions import load_examples
from cardiolect.model.prompt.rendering import prompt_text
from cardiolect.utils.errors import UserError

MIMIC = "p1000/p10000032/s40689238/40689238"
ASKED = [
    {"from": "human", "value": "<image>\nWhat is the rhythm of this ECG image?"},
    {"from": "gpt", "value": "Sinus rhythm."},
    {"from": "human", "value": "And the axis?"},
    {"from": "gpt", "value": "The Image shows a left axis."},
]


def write(path: Path, items: list) -> Path:
    path.write_text(json.dumps(items))
    return path


@pytest.mark.parametrize(
    ("item", "found"),
    [
        ({"ecg": MIMIC}, ("40689238", MIMIC)),
        ({"image": f"mimic_v4/{MIMIC}-0.png"}, ("40689238", f"mimic_v4/{MIMIC}")),
        ({"image": "ptb-xl/00077_hr-0.png"}, ("77", "00077_hr")),
        ({"image": "code15_v4/2508875-1.png"}, ("2508875", "2508875")),
        ({"image": "JS00012-0.jpg"}, ("JS00012", "JS00012")),
        ({"image": r"ptb-xl\00077_hr-0.png"}, ("77", "00077_hr")),
        ({"ecg": [f"D:\\mimic\\{MIMIC}".replace("/", "\\")]}, ("40689238", f"D:/mimic/{MIMIC}")),
    ],
)
def test_paths_and_pictures_name_recordings(item, found):
    assert recordings(item) == [found]


def test_every_answer_stands_behind_what_was_said_before(shared_data, tmp_path):
    root = shared_data / "ptb-xl"
    file = write(tmp_path / "pulse.json", [{"id": "1", "image": "ptb-xl/00077_hr-0.png", "conversations": ASKED}])
    first, second = load_examples([file], root, load_database(root)).examples
    assert first.record_ids == second.record_ids == ("77",) and first.background == first.records[0].background != ""
    assert (first.task, first.question, first.answers) == (
        "instruct",
        "What is the rhythm of this ECG signal?",
        ("Sinus rhythm.",),
    )
    assert second.answers == ("The Signal shows a left axis.",)
    assert prompt_text(second.task, second.question, second.history) == (
        "Question: What is the rhythm of this ECG signal?\nAnswer: Sinus rhythm.\nQuestion: And the axis?\nAnswer:"
    )


def test_a_picture_of_another_corpus_is_missing_not_taken_for_the_same_number(shared_data, tmp_path):
    root = shared_data / "ptb-xl"
    items = [
        {"image": "code15_v4/77-0.png", "conversations": ASKED[:2]},
        {"image": f"mimic_v4/{MIMIC}-0.png", "conversations": ASKED},
        {"image": "ptb-xl/00077_hr-0.png", "conversations": ASKED[:2]},
    ]
    loaded = load_examples([write(tmp_path / "c.json", items)], root, load_database(root), allow_missing=True)
    assert [e.record_ids for e in loaded.examples] == [("77",)] and loaded.skipped_missing == 3


def test_a_manifest_finds_recordings_by_name_wherever_they_lie(tmp_path):
    (tmp_path / "part.hdf5").touch()
    (tmp_path / "JS00012.hea").touch()
    database = {
        "2508875": RecordRef("2508875", tmp_path / "part.hdf5#2508875", "7"),
        "JS00012": RecordRef("JS00012", tmp_path / "JS00012"),
    }
    items = [
        {"image": f"{folder}/{name}-0.png", "conversations": ASKED[:2]}
        for folder, name in (("code15_v4", "2508875"), ("csn", "JS00012"))
    ]
    loaded = load_examples([write(tmp_path / "c.json", items)], tmp_path / "manifest", database)
    assert [e.records[0] for e in loaded.examples] == list(database.values())


def test_a_conversation_may_be_about_two_ecgs(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.hea").touch()
    items = [{"ecg": ["a", r".\b"], "conversations": ASKED}, {"ecg": ["a", "c"], "conversations": ASKED}]
    loaded = load_examples([write(tmp_path / "c.json", items)], tmp_path, None, allow_missing=True)
    assert [e.record_ids for e in loaded.examples] == [("a", "b")] * 2
    assert loaded.skipped_missing == 2


def test_roles_and_pairs_are_read_like_speakers():
    said = [("What is it?", "An ECG.")]
    roles = [
        {"role": "system", "content": "x"},
        {"role": "user", "content": said[0][0]},
        {"role": "assistant", "content": said[0][1]},
    ]
    assert exchanges({"conversation": roles}) == said
    assert exchanges({"conversations": [{"question": said[0][0], "answer": said[0][1]}]}) == said


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"conversations": ASKED}, "neither ecg nor image"),
        ({"ecg": [], "conversations": ASKED}, "neither ecg nor image"),
        ({"ecg": ["a", None], "conversations": ASKED}, "neither ecg nor image"),
        ({"ecg": ["a", "b", "c"], "conversations": ASKED}, "names 3 recordings"),
        ({"ecg": "rec", "conversations": []}, "not a list of turns"),
        ({"ecg": "rec", "conversations": ASKED[:1]}, "does not alternate"),
        ({"ecg": "rec", "conversations": [ASKED[1], ASKED[0]]}, "does not alternate"),
        ({"ecg": "rec", "conversations": [{"from": "doctor", "value": "?"}, ASKED[1]]}, "unknown speaker"),
        ({"ecg": "rec", "conversations": [{"from": "human", "value": "<image>"}, ASKED[1]]}, "is empty"),
        ({"ecg": "rec", "conversations": [{"from": "human", "value": 3}, ASKED[1]]}, "is not text"),
    ],
)
def test_malformed_conversations_are_named(tmp_path, item, reason):
    with pytest.raises(UserError, match=f"c.json: item 0: .*{reason}"):
        load_examples([write(tmp_path / "c.json", [item])], tmp_path, {})
