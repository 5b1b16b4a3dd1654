"""A conversation in the demo: one answer at a time, about the ECG that is there."""

import pytest

from cardiolect.model.inference.chat import ECGChat
from cardiolect.utils.errors import UserError
from tests.helpers.demo import QUESTION


def test_a_later_answer_ends_the_one_before_and_none_is_rated_while_it_comes(chat, corpus, tmp_path):
    from cardiolect.model.demo import session

    begun = session.start(chat, ECGChat.read(corpus / "records500/00000/00001_hr"), "Simulated")
    first = session.ask(chat, begun, QUESTION, None, "", 200, 0.0, limit_s=60.0)
    part = next(first)
    with pytest.raises(UserError, match="still being generated"):
        session.rate(part, True, tmp_path, "0" * 16)
    second = session.ask(chat, part, "And now?", None, "", 3, 0.0, limit_s=60.0)
    later = next(second)
    assert list(first) == []
    *_, last = second
    assert [turn.ended for turn in last.turns] == ["stopped", "token limit"] and len(later.turns) == 2
    session.rate(last, True, tmp_path, "0" * 16)
    stopped = session.ask(chat, last, QUESTION, None, "", 200, 0.0, limit_s=60.0)
    part = next(stopped)
    stopped.close()  # as Gradio does where an answer is cancelled
    session.rate(part, False, tmp_path, "0" * 16)
    assert len((tmp_path / "preferences.jsonl").read_text().splitlines()) == 2


def test_drawn_answers_differ_from_turn_to_turn(chat, corpus):
    from cardiolect.model.demo import session

    now = session.start(chat, ECGChat.read(corpus / "records500/00000/00001_hr"), "Simulated")
    for _ in range(2):
        *_, now = session.ask(chat, now, QUESTION, None, "", 3, 1.5, limit_s=60.0)
    assert [turn.seed for turn in now.turns] == [0, 1]
    expected = chat.ask(now.item, QUESTION, history=now.history[:1], max_new_tokens=3, temperature=1.5, seed=1)
    assert now.turns[1].answer == expected


def test_an_answer_is_traced_behind_what_was_said_before_and_not_once_another_ecg_came(chat, corpus, monkeypatch):
    from cardiolect.model.demo import session

    now = session.start(chat, ECGChat.read(corpus / "records500/00000/00001_hr"), "Simulated")
    for said in ("no", "yes"):
        monkeypatch.setattr(ECGChat, "stream", lambda *_, said=said, **__: iter([said]))
        *_, now = session.ask(chat, now, f"Was it {said}?", 56, "female", 200, 0.0, limit_s=60.0)
    seen = []

    def shaded(checkpoint, example, said, codes):
        seen.append((example.question, example.history, example.background, said))
        if len(seen) == 2:
            now.lease.ended = True
        return ["shades"]

    monkeypatch.setattr("cardiolect.model.evaluation.examples.shades", shaded)
    assert session.trace(chat, now, session.last_yes_or_no(now)) == "shades"
    assert seen == [("Was it yes?", (("Was it no?", "no"),), "age 56, sex female", "yes")]
    with pytest.raises(UserError, match="has replaced"):
        session.trace(chat, now, session.last_yes_or_no(now))


def test_an_answer_stops_at_its_time_limit(chat, corpus):
    from cardiolect.model.demo import session

    begun = session.start(chat, ECGChat.read(corpus / "records500/00000/00001_hr"), "Simulated")
    steps = list(session.ask(chat, begun, QUESTION, None, "", 200, 0.0, limit_s=0.0))
    assert [step.turns[-1].ended for step in steps] == ["stopped", "time limit"]
    whole = list(session.ask(chat, begun, QUESTION, None, "", 3, 0.0, limit_s=60.0))
    assert whole[-1].turns[-1].ended == "token limit" and len(whole) == 4


def test_an_answer_about_an_ecg_that_was_replaced_ends_and_does_not_come_back(chat, corpus):
    from cardiolect.model.demo import session

    begun = session.start(chat, ECGChat.read(corpus / "records500/00000/00001_hr"), "Simulated")
    for replace in (session.forget, lambda old: setattr(old.lease, "ended", True)):
        begun = session.start(chat, begun.record, "Simulated")
        answer = session.ask(chat, begun, QUESTION, None, "", 200, 0.0, limit_s=60.0)
        late = next(answer)
        replace(begun)
        assert list(answer) == []
        with pytest.raises(UserError, match="has replaced"):
            next(session.ask(chat, late, QUESTION, None, "", 200, 0.0, limit_s=60.0))


def test_a_new_conversation_is_not_about_an_ecg_that_is_being_replaced(chat, corpus):
    from cardiolect.model.demo import session

    begun = session.start(chat, ECGChat.read(corpus / "records500/00000/00001_hr"), "Simulated")
    begun.lease.ended = True  # an upload is being read
    with pytest.raises(UserError, match="has replaced"):
        session.forget(begun)
