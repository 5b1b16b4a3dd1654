"""What the widgets of the demo call: a session for every visitor, and no words of theirs in the log."""

import pytest

from cardiolect.model.inference.chat import ECGChat
from cardiolect.utils.errors import UserError
from tests.helpers.demo import QUESTION, ask, upload, write_record


def test_another_example_ends_the_answer_about_the_ecg_before(demo, chat, tmp_path):
    from cardiolect.model.demo.callbacks import Callbacks, Limits

    record = ECGChat.read(write_record(tmp_path)[0])
    do = Callbacks(chat, "0" * 16, {"a": record, "b": record}, Limits(2**20, 60.0), tmp_path, None)
    first = do.show_example("a", do.show_example("b", do.examples["a"][0])[0])[0]
    assert not first.lease.ended and first.lease is not do.examples["a"][0].lease
    answer = do.ask(QUESTION, None, "", 200, 0.0, first)
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

    do = Callbacks(chat, "0" * 16, {"a": ECGChat.read(write_record(tmp_path)[0])}, Limits(2**20, 60.0), tmp_path, None)
    one, two = do.start("a"), do.start("a")
    assert one.conversation != two.conversation and one.lease is not two.lease and one.item is two.item


def test_what_the_model_cannot_say_is_answered_without_it_and_not_remembered(chat, tmp_path, monkeypatch):
    from cardiolect.model.demo import session as steps
    from cardiolect.model.demo.callbacks import Callbacks, Limits

    af = "Does this ECG show symptoms of atrial fibrillation?"
    info = {"stage": "finetune", "settings": {"tasktype": "qa"}, "majority_answers": {"by_question": {af: ["no"]}}}
    monkeypatch.setattr(chat.checkpoint, "info", info)
    do = Callbacks(chat, "0" * 16, {"a": ECGChat.read(write_record(tmp_path)[0])}, Limits(2**20, 60.0), tmp_path, None)
    ((session, talk, status, *_),) = do.ask("acute AF?", None, "", 5, 0.0, do.start("a"))
    assert talk[-1]["content"] == "cannot say: this model was not trained on this question" and af in status
    assert session.history == () and len(session.turns) == 1
    with pytest.raises(UserError, match="was not asked"):
        steps.trace(chat, session)
    session, talk, status, *_ = list(do.ask("afib?", None, "", 5, 0.0, session))[-1]
    assert [question for question, _ in session.history] == [af] and f"understood as: {af}" in status
