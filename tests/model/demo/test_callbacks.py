"""What the widgets of the demo call: a session for every visitor, and no words of theirs in the log."""

import html

import pytest

from cardiolect.model.cli.remarks import in_words
from cardiolect.model.inference.chat import ECGChat
from tests.helpers.demo import QUESTION, ask, upload, write_record


def test_another_example_ends_the_answer_about_the_ecg_before(demo, chat, tmp_path):
    from cardiolect.model.demo.callbacks import Callbacks, Limits

    record = ECGChat.read(write_record(tmp_path)[0])
    do = Callbacks(chat, "A model.", "0" * 16, {"a": record, "b": record}, Limits(2**20, 60.0), tmp_path, None)
    first = do.show_example("a", do.show_example("b", do.examples["a"][0])[0])[0]
    assert not first.lease.ended and first.lease is not do.examples["a"][0].lease
    answer = do.ask(QUESTION, "", "", 200, 0.0, first)
    next(answer)
    do.show_example("b", first)
    assert list(answer) == []


def test_the_log_gets_the_place_of_an_error_and_not_its_words(capsys):
    from cardiolect.model.demo.callbacks import describe_error

    try:
        raise ValueError("Mil" + "ler")
    except ValueError as error:
        assert describe_error(error) == "failed (ValueError)"
    logged = capsys.readouterr().err
    assert "ValueError" in logged and "test_callbacks.py" in logged and "Miller" not in logged


def test_a_session_that_was_forgotten_has_no_ecg_whatever_its_page_shows(demo, client, tmp_path, monkeypatch):
    upload(client, *write_record(tmp_path))
    ask(client)
    for session_hash in list(demo.page.state_holder.session_data):
        del demo.page.state_holder.session_data[session_hash]
    with pytest.raises(Exception, match="there is no ECG"):
        ask(client)


def test_every_visitor_of_the_first_page_has_a_conversation_of_their_own(chat, tmp_path):
    from cardiolect.model.demo.callbacks import Callbacks, Limits

    do = Callbacks(
        chat, "A model.", "0" * 16, {"a": ECGChat.read(write_record(tmp_path)[0])}, Limits(2**20, 60.0), tmp_path, None
    )
    one, two = do.start("a"), do.start("a")
    assert one.conversation != two.conversation and one.lease is not two.lease and one.item is two.item


def test_what_the_model_cannot_say_is_answered_without_it_and_not_remembered(chat, tmp_path, monkeypatch):
    from cardiolect.model.demo import session as steps
    from cardiolect.model.demo.callbacks import Callbacks, Limits

    af = "Does this ECG show symptoms of atrial fibrillation?"
    info = {"stage": "finetune", "settings": {"tasktype": "qa"}, "majority_answers": {"by_question": {af: ["no"]}}}
    monkeypatch.setattr(chat.checkpoint, "info", info)
    do = Callbacks(
        chat, "A model.", "0" * 16, {"a": ECGChat.read(write_record(tmp_path)[0])}, Limits(2**20, 60.0), tmp_path, None
    )
    ((session, talk, *_),) = do.ask("acute AF?", "", "", 5, 0.0, do.start("a"))
    refused, nearest = talk[-1]["content"].splitlines()
    assert refused == "cannot say: this model was not trained on this question" and af in nearest
    assert session.history == () and len(session.turns) == 1
    assert steps.last_yes_or_no(session) is None
    session, talk, *_ = list(do.ask("afib?", "", "", 5, 0.0, session))[-1]
    assert [question for question, _ in session.history] == [af] and f"(understood as: {af})" in talk[-1]["content"]


def test_yes_or_no_has_its_probability_and_earlier_answers_do_not_spoil_later_ones(chat, tmp_path, monkeypatch):
    from cardiolect.model.demo import session as steps
    from cardiolect.model.demo.callbacks import Callbacks, Limits
    from cardiolect.model.demo.export import as_json, as_markdown

    af, rhythm = (
        "Does this ECG show symptoms of atrial fibrillation?",
        "What rhythm-related symptoms does this ECG show?",
    )
    listed = {"by_question": {af: ["no"], rhythm: ["none"]}}
    info = {"stage": "finetune", "settings": {"tasktype": "qa"}, "majority_answers": listed}
    monkeypatch.setattr(chat.checkpoint, "info", info)
    record = ECGChat.read(write_record(tmp_path)[0])
    do = Callbacks(chat, "A model.", "0" * 16, {"a": record}, Limits(2**20, 60.0), tmp_path, None)
    judged = chat.judge(record, af)
    session, talk, *_ = list(do.ask("afib?", "", "", 5, 0.0, do.start("a")))[-1]
    line, markdown = in_words(judged), as_markdown(session, "A model.")
    assert (
        html.unescape(talk[-1]["content"]) == f"{line}\n(understood as: {af})"
        and session.turns[-1].answer == judged.answer
    )
    assert line in markdown and f"understood as: {af}" in markdown
    assert as_json(session, "A model.", "0" * 16)["conversation"][0]["shown"].splitlines()[0] == line
    for question in (rhythm, af):
        session, talk, *_ = list(do.ask(question, "", "", 5, 0.0, session))[-1]
        assert session.turns[-1].history == ()
    shown = [html.unescape(message["content"]) for message in talk]
    assert shown[-1] == line and shown[-3] == chat.ask(record, rhythm, max_new_tokens=5)
    drawn, *_ = list(do.ask(af, "", "", 5, 1.0, session))[-1]
    assert drawn.turns[-1].judged == ""  # a drawn answer has no probability
    assert len(steps.trace(chat, session, steps.last_yes_or_no(session))) == 3


def test_only_a_choice_from_the_list_of_prompts_writes_into_the_question(demo):
    """A list that is closed without one, by Esc or a click elsewhere, has input and blur events as well."""
    config = demo.page.config
    ids = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
    of_list = [(target, each["outputs"]) for each in config["dependencies"] for target in map(tuple, each["targets"])]
    found = [(event, outputs) for (part, event), outputs in of_list if part == ids["prompt"]]
    assert found == [("select", [ids["question"]])]
