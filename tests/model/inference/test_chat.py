"""Conversations with a checkpoint about an ECG have the prompts of evaluation."""

import json
import threading
from itertools import pairwise

import numpy as np
import pytest

from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import LEADS
from cardiolect.model.inference.calibration import Calibration, QuestionMap
from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.inference.generation import generate_texts
from cardiolect.model.inference.ranking import rank_answers
from cardiolect.model.llm.checkpoint import longest_sequence
from cardiolect.model.prompt.rendering import make_prompt
from cardiolect.utils.errors import UserError
from tests.helpers.prompts import prompt_about

QUESTION = "Does this ECG show atrial fibrillation?"


@pytest.fixture(scope="module")
def chat(checkpoint_folder) -> ECGChat:
    return ECGChat.from_pretrained(checkpoint_folder, "cpu")


@pytest.fixture(scope="module")
def ecg(corpus):
    return ECGChat.read(corpus / "records500/00000/00001_hr")


def test_answers_equal_those_of_evaluation(chat, ecg):
    vocabulary = chat.checkpoint.vocabulary
    for task, question in (("qa", QUESTION), ("report", "")):
        history = [("What?", "Sinus rhythm.")]
        ecgs = [chat.representation.prepared("1", chat.encode(ecg))]
        prompt = make_prompt(vocabulary, ecgs, ["age 56, sex female"], task, question, history)
        evaluated = next(generate_texts(chat.checkpoint.model, vocabulary, [prompt], 12, 1))[1].text
        said = chat.ask(ecg, question, history=history, patient="age 56, sex 1, patient id 17", max_new_tokens=12)
        assert said == evaluated


def test_two_ecgs_are_compared_as_in_evaluation(chat, ecg, corpus):
    vocabulary, second = chat.checkpoint.vocabulary, ECGChat.read(corpus / "records500/00000/00002_hr")
    pair = [chat.representation.prepared(key, chat.encode(each)) for key, each in (("1", ecg), ("2", second))]
    prompt = make_prompt(vocabulary, pair, ["age 56"] * 2, "qa", QUESTION)
    evaluated = next(generate_texts(chat.checkpoint.model, vocabulary, [prompt], 12, 1))[1].text
    for ecgs in ([ecg, second], (chat.encode(ecg), second)):
        assert chat.ask(ecgs, QUESTION, patient="age 56", max_new_tokens=12) == evaluated
    assert chat.ask([second, ecg], QUESTION, patient="age 56", max_new_tokens=12) != evaluated


def test_a_yes_or_no_question_is_judged_with_the_probability_of_the_answer(chat, ecg):
    vocabulary, background = chat.checkpoint.vocabulary, "age 56"
    prepared = chat.representation.prepared("1", chat.encode(ecg))
    prompt = make_prompt(vocabulary, [prepared], [background], "qa", QUESTION)
    _, ranked = next(rank_answers(chat.checkpoint.model, vocabulary, [prompt], [(("yes",), ("no",))], 2))
    judged = chat.judge(ecg, QUESTION, patient=background)
    assert (
        judged == (ranked.text, pytest.approx(ranked.probability, abs=1e-6), None, None) and judged.probability >= 0.5
    )
    rare = QuestionMap(a=1.0, b=-50.0, n=100, positives=1, prevalence=0.01, prior_log_odds=-9.0)
    sure = ECGChat(chat.checkpoint, Calibration("", {QUESTION: rare}, {}, 0.8, {}, {}))
    assert sure.judge(ecg, f" {QUESTION}\n") == ("no", pytest.approx(1), True, (1, 100))
    assert sure.judge(ecg, "Is it normal?") == chat.judge(ecg, "Is it normal?"), "unknown to the calibration"


def test_text_grows_while_it_is_streamed(chat, ecg):
    parts = list(chat.stream(ecg, QUESTION, max_new_tokens=9))
    assert len(parts) <= 9 and all(b.startswith(a.rstrip("�")) for a, b in pairwise(parts))


def test_sampled_answers_depend_on_the_seed(chat, ecg):
    drawn = [chat.ask(ecg, QUESTION, temperature=1.5, seed=seed, max_new_tokens=8) for seed in (1, 1, 2, 3)]
    assert drawn[0] == drawn[1] and len(set(drawn)) > 1
    assert "<|ecg" not in "".join(drawn)


def test_ten_threads_get_the_same_answers_as_one(chat, ecg):
    expected, found = chat.ask(ecg, QUESTION, max_new_tokens=8), {}
    threads = [
        threading.Thread(target=lambda k=k: found.update({k: chat.ask(ecg, QUESTION, max_new_tokens=8)}))
        for k in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [expected] * 10


def test_ten_seconds_of_a_long_recording_are_used(tmp_path, corpus):
    record = read_record(corpus / "records500/00000/00001_hr")
    np.savez(tmp_path / "long.npz", signal=np.tile(record.signal, 3))
    layout = {"sampling_rate": record.fs, "unit": "mV", "leads": list(LEADS)}
    (tmp_path / "long.layout.json").write_text(json.dumps(layout))
    part = ECGChat.read(tmp_path / "long.npz", start=12)
    assert part.seconds == 10
    np.testing.assert_array_equal(part.signal, np.tile(record.signal, 3)[:, 6000:11000])
    assert "the recording is 30 s long; only its 10 s from 12 s on are used" in part.notes
    assert (
        "the recording is 30 s long; only its first 14 s are used" in ECGChat.read(tmp_path / "long.npz", 0, 14).notes
    )
    assert ECGChat.read(tmp_path / "long.npz", seconds=30).notes == read_record(tmp_path / "long.npz").notes
    assert ECGChat.read(tmp_path / "long.npz", start=27.5).seconds == 2.5
    for start in (27.6, 30, -1):
        with pytest.raises(UserError, match=r"long.npz: 30\.0 s long.* at least 2\.5 s are needed"):
            ECGChat.read(tmp_path / "long.npz", start=start)


def test_report_as_a_question_asks_for_a_report_and_surrounding_blanks_do_not_count(chat, ecg):
    history = [(QUESTION, "no")]
    report = chat.ask(ecg, history=history, max_new_tokens=8)
    for typed in ("", "Report", " Report\n"):
        assert chat.ask(ecg, typed, history=[(f" {QUESTION}", "no ")], max_new_tokens=8) == report
    assert chat.ask(ecg, "Reporting?", history=history, max_new_tokens=8) != report


def test_a_conversation_that_is_too_long_is_refused(chat, ecg):
    with pytest.raises(UserError, match="begin a new conversation"):
        chat.ask(ecg, QUESTION, history=[("why " * 4000, "because")])
    vocabulary = chat.checkpoint.vocabulary
    prompt = prompt_about(vocabulary, chat.encode(ecg), question=QUESTION)
    asked = len(prompt.prefix + prompt.question)
    room = longest_sequence(chat.checkpoint.model) - asked
    with pytest.raises(UserError, match=f"make {asked + room + 1} tokens"):
        next(chat.stream(ecg, QUESTION, max_new_tokens=room + 1))
    assert next(chat.stream(ecg, QUESTION, max_new_tokens=room)) is not None
