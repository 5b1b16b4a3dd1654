"""ECGBench by its command: files as PULSE writes them, and each trap of its scorer beside the strict score."""

import json
from pathlib import Path

import pytest

from cardiolect.utils.errors import exit_on_user_error
from cardiolect.utils.metrics.ecgbench.__main__ import main

REQUEST = "\n\nOnly answer based on the given Options without any explanation."


@pytest.fixture
def write(tmp_path):
    def put(name: str, rows: list[dict], lines: bool = True) -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows) if lines else json.dumps(rows, indent=1))
        return path

    return put


@pytest.fixture
def score(write, tmp_path):
    """The strict and the legacy scores of pairs of gold answer and answer."""

    def of(task: str, *pairs, question: str = "Which?") -> tuple[dict, dict]:
        rows = [{"id": i, "gold": g, "prediction": p, "question": question} for i, (g, p) in enumerate(pairs)]
        out = tmp_path / "scores.json"
        main([task, str(write("answers.jsonl", rows)), "--expected", str(len(rows)), "--out", str(out)])
        found = json.loads(out.read_text())
        return found["strict"], found["legacy"]

    return of


def refused(arguments: list, capsys) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        exit_on_user_error(lambda: main([str(each) for each in arguments]))
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    return said


# Traps of PULSE's scorer


@pytest.mark.parametrize("task", ["ptb-test", "cpsc-test"])
def test_abnormal_is_no_norm(score, task):
    other = "MI" if task == "ptb-test" else "AF"
    strict, legacy = score(task, ("NORM", "An ABNORMAL ECG"), (other, other))
    assert (strict["macro_f1"], legacy["macro_f1"]) == (0.5, 1)
    assert strict["unparsed"] == 1


def test_microvolt_is_no_infarction(score):
    strict, legacy = score("ptb-test", ("MI", "about 300 MICROVOLT"), ("NORM", "NORM"))
    assert (strict["macro_f1"], legacy["macro_f1"]) == (0.5, 1)


def test_labels_outside_the_gold_set_count(score):
    strict, legacy = score("ptb-test", ("NORM", "NORM, HYP"), ("MI", "MI, HYP"))
    assert (strict["hamming"], legacy["hamming"]) == (pytest.approx(2 / 10), 0)
    assert (strict["macro_f1"], legacy["macro_f1"]) == (pytest.approx(2 / 3), 1)


def test_a_label_without_an_auc_does_not_spoil_the_mean(score, capsys):
    strict, legacy = score("ptb-test", ("NORM, MI", "NORM, MI"), ("NORM", "NORM"))
    assert strict["macro_auc"] == 1 and legacy["macro_auc"] is None  # JSON has no NaN
    said = capsys.readouterr().out
    assert "without an AUC: NORM, STTC, CD, HYP" in said
    assert ["macro_auc", "100.0", "nan"] in [line.split() for line in said.splitlines()]


def test_letters_are_read_in_the_order_of_the_text_or_by_legacy_of_the_alphabet(score):
    strict, legacy = score("csn-test-no-cot", ("C. AF", "The correct option is C. It is not A."), ("B", "B. AF"))
    assert (strict["accuracy"], legacy["accuracy"]) == (1, 0.5)


def test_no_letter_is_wrong_or_by_legacy_a_guess_that_hangs_on_the_seed(write, score, tmp_path):
    strict, legacy = score("mmmu-ecg", *[("A", "I cannot tell")] * 80)
    assert strict == {"n": 80, "accuracy": 0, "unparsed": 80}
    assert legacy["guessed"] == 80 and 0 < legacy["accuracy"] < 0.5
    answers, out = tmp_path / "answers.jsonl", tmp_path / "other.json"

    def seeded(seed: int) -> float:
        main(["mmmu-ecg", str(answers), "--expected", "80", "--seed", str(seed), "--out", str(out)])
        return json.loads(out.read_text())["legacy"]["accuracy"]

    assert seeded(0) == legacy["accuracy"]
    assert len({seeded(seed) for seed in range(5)}) > 1


def test_options_are_words_and_end_before_the_request(score):
    question = f"Is it normal? Options: yes, no, not sure{REQUEST}"
    strict, legacy = score("ecgqa-test", ("yes", "It is normal: yes"), ("not sure", "not sure"), question=question)
    assert (strict["accuracy"], legacy["accuracy"]) == (1, 0)


def test_a_file_of_another_size_is_refused_and_by_legacy_skipped(write, capsys):
    answers = write("answers.jsonl", [{"id": 1, "gold": "A", "prediction": "A"}])
    assert "csn-test-no-cot has 1611 samples, not 1; to score a part" in refused(["csn-test-no-cot", answers], capsys)
    main(["csn-test-no-cot", str(answers), "--form", "legacy"])
    assert "legacy: PULSE's scorer skips files without exactly 1611 samples" in capsys.readouterr().out
    main(["csn-test-no-cot", str(answers), "--expected", "1"])
    assert "part of the task, so not comparable with published scores" in capsys.readouterr().out
    main(["csn-test-no-cot", str(write("all.jsonl", [{"id": i, "gold": "A", "text": "A"} for i in range(1611)]))])
    assert "part of the task" not in capsys.readouterr().out


def test_one_form_stands_alone(write, capsys):
    answers = write("answers.jsonl", [{"id": 1, "gold": "NORM", "prediction": "ABNORMAL"}])
    main(["ptb-test", str(answers), "--expected", "1", "--form", "legacy"])
    said = capsys.readouterr().out
    assert "legacy" in said and "strict" not in said


# Files

GOLD = [
    {
        "id": "a",
        "image": "p/1-0.png",
        "conversations": [{"from": "human", "value": "<image>\nLabels?"}, {"from": "gpt", "value": "NORM"}],
    },
    {
        "id": "b",
        "image": "p/2-0.png",
        "conversations": [{"from": "human", "value": "<image>\nLabels?"}, {"from": "gpt", "value": "MI, STTC"}],
    },
]
SAID = [
    {"question_id": "b", "prompt": "Labels?", "text": "MI"},
    {"question_id": "a", "prompt": "Labels?", "text": "NORM"},
]


def roles(item: dict) -> dict:
    """The item under the other keys that PULSE's files have."""
    names = {"human": "user", "gpt": "assistant"}
    turns = [{"role": names[turn["from"]], "content": turn["value"]} for turn in item["conversations"]]
    return {"id": item["id"], "image": item["image"], "conversation": turns}


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("gold", [GOLD, [roles(item) for item in GOLD]])
@pytest.mark.parametrize("said", [SAID, [{"id": row["question_id"], "response": row["text"]} for row in SAID]])
def test_answers_are_joined_to_gold_by_id_under_all_keys(write, tmp_path, gold, said, lines):
    out = tmp_path / "scores.json"
    paths = write("answers.jsonl", said, lines), write("gold.json", gold, not lines)
    main(["ptb-test", str(paths[0]), "--gold", str(paths[1]), "--expected", "2", "--out", str(out)])
    found = json.loads(out.read_text())
    assert found["strict"]["macro_f1"] == pytest.approx(2 / 3)  # NORM 1, MI 1, STTC 0
    assert found["legacy"]["macro_f1"] == pytest.approx(2 / 3)
    assert found["sha256"].keys() == {"answers.jsonl", "gold.json"}


def test_mmmu_numbers_its_gold_otherwise(write, tmp_path):
    turns = [{"from": "human", "value": "?"}, {"from": "gpt", "value": "B"}]
    gold = write("gold.json", [{"id": f"x{i}", "No": i, "conversations": turns} for i in range(2)], lines=False)
    answers = write("answers.jsonl", [{"question_id": i, "text": "B"} for i in range(2)])
    out = tmp_path / "scores.json"
    main(["mmmu-ecg", str(answers), "--gold", str(gold), "--expected", "2", "--out", str(out)])
    assert json.loads(out.read_text())["strict"]["accuracy"] == 1


def test_texts_stored_as_characters_are_texts(write, tmp_path):
    """As ecgqa-test stores its questions; answers are lists of texts there."""
    question = f"Which leads? Options: lead I, lead II, none{REQUEST}"
    turns = [{"from": "human", "value": list(question)}, {"from": "gpt", "value": ["lead I", "lead II"]}]
    gold = write("gold.json", [{"id": "a", "conversations": turns}], lines=False)
    out = tmp_path / "scores.json"
    for said in ({"text": "Lead I and lead II", "prompt": {"prompt": question}}, {"response": "lead I, lead II"}):
        answers = write("answers.jsonl", [{"id": "a", **said}])
        main(["ecgqa-test", str(answers), "--gold", str(gold), "--expected", "1", "--out", str(out)])
        assert json.loads(out.read_text())["strict"]["accuracy"] == 1


def test_the_question_may_stand_with_the_answer(score, write, tmp_path):
    row = {"question_id": 1, "prompt": f"AF? Options: yes, no{REQUEST}", "text": "yes", "gold": "yes"}
    out = tmp_path / "scores.json"
    main(["ecgqa-test", str(write("answers.jsonl", [row])), "--expected", "1", "--out", str(out)])
    assert json.loads(out.read_text())["strict"]["accuracy"] == 1


def test_of_a_part_gold_without_answer_is_left_out(write, capsys):
    answers, gold = write("answers.jsonl", SAID[:1]), write("gold.json", GOLD)
    assert "1 of 2 items have no answer in" in (said := refused(["ptb-test", answers, "--gold", gold], capsys))
    assert "--expected" in said
    main(["ptb-test", str(answers), "--gold", str(gold), "--expected", "1"])
    assert "ptb-test: 1 samples" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "gold", "message"),
    [
        (SAID, GOLD[:1], "1 of 2 answers have no gold in"),
        ([*SAID, SAID[0]], GOLD, "question_id b is repeated in item 3"),
        (SAID, [*GOLD, GOLD[0]], "gold.json: id a is repeated in item 3"),
        (SAID, None, "b has no gold answer; name the file that has it with --gold"),
        ([{"text": "MI"}], GOLD, "item 1 has no id"),
        ([{"id": "a", "answer": "MI"}], GOLD, "a has no answer"),
        ([{"id": "a", "text": None}], GOLD, "a has no answer"),
        ([{"id": "a", "text": ["MI", "MI"]}], GOLD, "a has 2 answers to 1 questions"),
        (SAID, [{**item, "conversations": item["conversations"][:1]} for item in GOLD], "b has no gold answer"),
        (SAID, [{**item, "conversations": [*item["conversations"], 3]} for item in GOLD], "b has no gold answer"),
        (["MI", "NORM"], GOLD, "item 1 is a JSON str, not an object"),
        ([], GOLD, "is empty"),
        (SAID, [{"id": "a", "gold": "LVH"}, {"id": "b", "gold": "MI"}], "sample a: gold 'LVH' has no label"),
    ],
)
def test_what_does_not_fit_is_one_line(write, capsys, said, gold, message):
    arguments = ["ptb-test", write("answers.jsonl", said, lines=bool(said)), "--expected", 2]
    if gold is not None:
        arguments += ["--gold", write("gold.json", gold, lines=False)]
    assert message in refused(arguments, capsys)


def test_broken_files_are_one_line(write, tmp_path, capsys):
    """The last line of a run that was stopped, a picture, a folder."""
    cut = write("answers.jsonl", SAID)
    cut.write_text(cut.read_text()[:-9])
    assert "line 2 is not JSON; a stopped run may have cut it short" in refused(["ptb-test", cut], capsys)
    cut.write_bytes(b"\x89PNG\xff\xfe")
    assert "is not UTF-8 text" in refused(["ptb-test", cut], capsys)
    assert "cannot be read" in refused(["ptb-test", tmp_path], capsys)
    assert "cannot be read: No such file" in refused(["ptb-test", tmp_path / "none.json"], capsys)
    good = write("answers.jsonl", [{"id": 1, "gold": "MI", "prediction": "MI"}])
    assert "--out" in refused(["ptb-test", good, "--expected", 1, "--out", tmp_path / "no" / "a.json"], capsys)
