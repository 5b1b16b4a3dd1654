"""The candidate answers of a question come from its template in training or from its own text."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.ecgqa.derived import derive
from cardiolect.data_provider.texts.questions import load_examples
from cardiolect.model.evaluation.choices import answer_lists, coverage
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import AnswerLists
from cardiolect.utils.metrics import answer_lists as module
from cardiolect.utils.metrics.answer_lists import options
from cardiolect.utils.metrics.normalised_match import normalised_match

NOISES = [("baseline drift",), ("static noise",), ("burst noise",), ("none",)]
RHYTHM = "bigeminal pattern (unknown origin, supraventricular, or ventricular)"


def asked(answers, kind="single-query", template=1, question="What is it?"):
    return SimpleNamespace(question=question, question_type=kind, template_id=template, answers=tuple(answers))


def loaded(folder: Path, name: str) -> list:
    return load_examples([folder / "questions" / f"{name}.json"], folder, load_database(folder), True).examples


def test_a_query_has_the_answer_sets_of_its_template_most_common_first_in_their_usual_spelling():
    lists = AnswerLists.fit(
        [
            asked(["b", "a"]),
            asked(["a", "b"]),
            asked(["b", "a"]),
            asked(["c"]),
            asked(["d"]),
            asked(["d"]),
            asked(["x"], template=2),
            asked(["y"], kind="other", template=None),
        ]
    )
    assert lists.candidates(asked([])) == [("b", "a"), ("d",), ("c",)]
    assert lists.candidates(asked([], template=9)) == [("b", "a"), ("d",), ("c",), ("x",)]  # of the type
    assert ("y",) in lists.candidates(asked([], kind="", template=9))  # of all


def test_lists_leave_out_the_rarest_answers_beyond_their_limit(monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 2)
    lists = AnswerLists.fit([asked([name]) for name in "abbccc"])
    assert lists.candidates(asked([])) == [("c",), ("b",)]


def test_yes_and_no_are_always_candidates_and_not_sure_if_the_template_has_it():
    lists = AnswerLists.fit([asked(["no"], "single-verify"), asked(["not sure"], "single-verify", template=2)])
    assert lists.candidates(asked([], "single-verify")) == [("yes",), ("no",)]
    assert lists.candidates(asked([], "comparison_consecutive-verify", template=2))[2:] == [("not sure",)]


@pytest.mark.parametrize(
    ("question", "pair"),
    [
        ("Which noise does this ECG show, baseline drift or static noise?", ("baseline drift", "static noise")),
        ("Is it Static noise or burst noise that this ECG shows?", ("static noise", "burst noise")),
        ("Between burst noise and baseline drift, which is it?", ("burst noise", "baseline drift")),
        ("Which noise is there: static noise, or a flicker?", ("static noise", "a flicker")),  # training had but one
        ("What kinds of noises does this ECG show?", None),
        ("Which is it, this or that?", None),
    ],
)
def test_the_two_options_are_found_in_the_text(question, pair):
    assert options(question, NOISES) == pair


def test_options_are_the_longest_whole_names():
    leads = [("lead I",), ("lead II",), ("lead III",)]
    assert options("Which lead shows static noise, lead I or lead III?", leads) == ("lead I", "lead III")
    rhythms = [(RHYTHM,), ("sinus rhythm",)]
    assert options(f"Which rhythm does this ECG show, {RHYTHM} or sinus rhythm?", rhythms) == (RHYTHM, "sinus rhythm")
    beats = [("extrasystoles",), ("ventricular extrasystoles",)]
    assert options("Which is it, ventricular extrasystoles or extrasystoles?", beats) == tuple(
        b for (b,) in beats[::-1]
    )


def test_a_choice_has_its_options_both_and_none_or_the_list_of_its_template_without_options():
    lists = AnswerLists.fit([asked(answers, "single-choose") for answers in [*NOISES, ("static noise", "burst noise")]])
    question = "Which noise does this ECG show, burst noise or static noise?"
    assert lists.candidates(asked([], "single-choose", question=question)) == [
        ("burst noise",),
        ("static noise",),
        ("static noise", "burst noise"),
        ("none",),
    ]
    assert len(lists.candidates(asked([], "single-choose", question="Which noise?"))) == len(NOISES) + 1


def test_gold_answers_outside_the_candidates_are_counted():
    questions = [asked(["b", "a"]), asked(["z"]), asked(["yes"], "single-verify"), asked(["maybe"], "single-verify")]
    lists = AnswerLists.fit([asked(["a", "b"]), asked(["c"])])
    assert coverage(questions, [lists.candidates(q) for q in questions], normalised_match) == {
        "n": 4,
        "outside": 2,
        "outside_by_type": {"single-query": 1, "single-verify": 1},
        "ceiling": 0.5,
        "mean_candidates": 2,
    }


def test_simulated_questions_have_their_answers_among_the_candidates(corpus):
    test = loaded(corpus, "test")
    lists = AnswerLists.fit(loaded(corpus, "train"))
    candidates = [lists.candidates(e) for e in test]
    choices = [(e, sets) for e, sets in zip(test, candidates, strict=True) if e.question_type == "single-choose"]
    assert choices and all(len(sets) == 4 for _, sets in choices)
    outside = coverage(test, candidates, normalised_match)["outside_by_type"]
    assert set(outside) <= {"single-query"}, "only combinations that training never had may be missing"


def test_derived_questions_have_their_answers_among_the_candidates():
    empty = dict.fromkeys(
        (
            "baseline_drift",
            "static_noise",
            "burst_noise",
            "electrodes_problems",
            "extra_beats",
            "infarction_stadium1",
            "infarction_stadium2",
        ),
        "",
    )
    codes = [("{'NORM': 100.0, 'SR': 0.0}", "MID"), ("{'AFIB': 0.0}", "LAD"), ("{'IMI': 100.0, 'STACH': 0.0}", "RAD")]
    rows = [{**empty, "ecg_id": str(i), "scp_codes": c, "heart_axis": a} for i, (c, a) in enumerate(codes * 4)]
    questions = [
        SimpleNamespace(
            question=q["question"],
            question_type=q["question_type"],
            template_id=q["template_id"],
            answers=tuple(q["answer"]),
        )
        for q in derive(rows, seed=0)
    ]
    lists = AnswerLists.fit(questions)
    assert {"single-choose", "single-verify", "single-query"} == {q.question_type for q in questions}
    candidates = [lists.candidates(q) for q in questions]
    assert coverage(questions, candidates, normalised_match)["outside"] == 0
    assert all(len(c) == 4 for q, c in zip(questions, candidates, strict=True) if q.question_type == "single-choose")


def test_published_questions_and_comparisons(shared_data):
    root = shared_data / "ptb-xl"
    folder = shared_data / "ecg-qa/ecgqa/ptbxl"
    database = load_database(root)
    train, test = (
        load_examples([folder / "paraphrased" / part], root, database).examples for part in ("train", "test")
    )
    lists = AnswerLists.fit(train)
    verify = next(e for e in train if e.question_type == "single-verify")
    assert lists.candidates(verify) == [("yes",), ("no",)]
    compared = [e for e in test if len(e.records) == 2]
    assert compared and all(len(lists.candidates(e)) > 10 for e in compared)
    found = coverage(compared, [lists.candidates(e) for e in compared], normalised_match)
    assert 0 < found["ceiling"] <= 1 and found["n"] == 20
    table = answer_lists(root, {"answer_lists": lists.to_json()}, folder / "answers_for_each_template.csv")
    assert table.candidates(compared[0])[: len(lists.candidates(compared[0]))] == lists.candidates(compared[0])
    assert coverage(compared, [table.candidates(e) for e in compared], normalised_match)["outside"] <= found["outside"]
    single = answer_lists(root, {}, folder / "answers_for_each_template.csv")
    assert single.candidates(asked([], "single-verify")) == [("yes",), ("no",), ("not sure",)]
    question = f"Which rhythm-related symptom does this ECG show, {RHYTHM} or sinus rhythm?"
    assert single.candidates(asked([], "single-choose", 10, question))[0] == (RHYTHM,)


def test_lists_survive_a_round_trip_through_json():
    lists = AnswerLists.fit([asked(["a", "b"]), asked(["é"], "", None), asked(["c"], template=7)])
    again = AnswerLists.from_json(json.loads(json.dumps(lists.to_json())))
    assert vars(again) == vars(lists)
    with pytest.raises(UserError, match="not stored answer lists"):
        AnswerLists.from_json({"by_template": 3})
    with pytest.raises(UserError, match="training examples"):
        AnswerLists.fit([])


def test_a_checkpoint_without_lists_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(UserError, match=r"llm: was fine-tuned before .*ANSWER_LISTS=answers_for_each_template.csv"):
        answer_lists(tmp_path / "llm", {})
    with pytest.raises(UserError, match=r"llm: was pretrained only, .*: run finetune.sh first"):
        answer_lists(tmp_path / "llm", {"stage": "pretrain"})


@pytest.mark.parametrize("row", ["1,\"__import__('os')\"", "1,\"['a'\"", "one,\"['a']\"", '1,"[1]"', "1"])
def test_an_invalid_table_is_refused_with_the_number_of_the_line(tmp_path, row):
    (path := tmp_path / "table.csv").write_text(f"template_id,classes\n3,\"['yes']\"\n{row}\n")
    with pytest.raises(UserError, match=r"table.csv: line 3: "):
        AnswerLists.from_table(path)
