"""The demo: a stranger uploads an ECG and asks about it, and others do so at once."""

import html
import json
import re
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider.ecgqa.ruler import measured_in_words
from cardiolect.data_provider.record import LEADS, LIMB_FROM_I_II
from cardiolect.model.demo import server
from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.llm.checkpoint_folder import fingerprint
from cardiolect.utils.errors import UserError
from tests.helpers.demo import ATTACK, QUESTION, ask, new_client, texts_of, upload, visible, write_record


def test_a_real_recording_is_uploaded_shown_and_asked_about(client, chat, shared_data):
    path = shared_data / "ptb-xl/records500/00000/00005_hr"
    shown = upload(client, path.with_suffix(".hea"), path.with_suffix(".dat"))
    record = ECGChat.read(path)
    facts = re.fullmatch(
        r"Uploaded recording \(WFDB.*\); 10\.0 s at 500 Hz "
        r"Measured on the signal, not by the model: (.*)\.",
        visible(shown["about"]),
    )
    assert facts and facts[1] == measured_in_words(record)
    assert all(
        Path(shown[name]["path"] if isinstance(shown[name], dict) else shown[name]).stat().st_size > 10_000
        for name in ("paper", "kept", "strip")
    )
    assert re.findall(r"<\|ecg_(\d+)\|>", shown["tokens"]) == [str(code) for code in chat.encode(record)]
    steps = ask(client, age=56, sex="female")
    expected = chat.ask(record, QUESTION, patient="age 56, sex female", max_new_tokens=12)
    assert steps[-1] == expected and len(steps) > 2
    assert all(b.startswith(a.rstrip("�")) for a, b in pairwise(steps))


def test_a_follow_up_question_keeps_ecg_and_history_until_a_new_conversation(client, chat, tmp_path):
    header, signal = write_record(tmp_path)
    upload(client, header, signal)
    record = ECGChat.read(header)
    first = ask(client)[-1]
    assert ask(client, "And now?")[-1] == chat.ask(record, "And now?", history=[(QUESTION, first)], max_new_tokens=12)
    client.predict(api_name="/forget")
    assert ask(client, "And now?")[-1] == chat.ask(record, "And now?", max_new_tokens=12)


def test_a_report_and_a_drawn_answer_are_those_of_the_model(client, chat, tmp_path):
    header, signal = write_record(tmp_path)
    upload(client, header, signal)
    talk, _ = client.predict(None, "", 9, 1.5, api_name="/report")[:2]
    assert texts_of(talk)[-1] == chat.ask(ECGChat.read(header), max_new_tokens=9, temperature=1.5, seed=0)


def test_ten_people_at_once_get_answers_about_their_own_ecg(demo, chat, loads, tmp_path):
    records = [
        write_record(tmp_path, f"ecg{i}", 0.3 * np.random.default_rng(i).normal(size=(12, 5000)).astype("f4"))
        for i in range(10)
    ]
    answers, failures = {}, []

    def visit(i: int) -> None:
        try:
            client = new_client(demo, tmp_path)
            upload(client, *records[i])
            answers[i] = [ask(client, most=6)[-1], ask(client, f"Is it {i}?", most=6)[-1]]
        except Exception as error:
            failures.append(error)

    people = [threading.Thread(target=visit, args=(i,)) for i in range(10)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert failures == []
    for i, (header, _) in enumerate(records):
        record = ECGChat.read(header)
        first = chat.ask(record, QUESTION, max_new_tokens=6)
        assert answers[i] == [first, chat.ask(record, f"Is it {i}?", history=[(QUESTION, first)], max_new_tokens=6)]
    assert len({first for first, _ in answers.values()}) > 5
    assert len(loads) == 1


def test_what_people_think_is_kept_without_ecg_name_or_patient(client, feedback, checkpoint_folder, tmp_path):
    header, signal = write_record(tmp_path, "miller_john")
    upload(client, header, signal)
    with pytest.raises(Exception, match="there is no answer yet"):
        client.predict(api_name="/good")
    answer = ask(client, age=56)[-1]
    verdicts = ("good", "good", "bad", "good")  # the last word counts
    for verdict in verdicts:
        client.predict(api_name=f"/{verdict}")
    second = ask(client, "And now?")[-1]
    client.predict(api_name="/bad")
    client.predict(api_name="/forget")
    ask(client)
    client.predict(api_name="/bad")
    lines = list(map(json.loads, (feedback / "preferences.jsonl").read_text().splitlines()))
    talks = [line.pop("conversation") for line in lines]
    asked = {
        "prompt": f"Question: {QUESTION}\nAnswer:",
        "completion": f" {answer}",
        "ended": "token limit",
        "checkpoint": fingerprint(checkpoint_folder),
    }
    assert lines[:3] == [{**asked, "label": label} for label in (True, False, True)]
    assert lines[3]["prompt"] == f"Question: {QUESTION}\nAnswer: {answer}\nQuestion: And now?\nAnswer:"
    assert (lines[3]["completion"], lines[3]["label"], len(lines)) == (f" {second}", False, 5)
    assert len(set(talks[:4])) == 1 and talks[4] not in talks[:4], "another conversation has another name"


def test_a_conversation_is_exported_as_markdown_and_json(client, checkpoint_folder, tmp_path):
    header, signal = write_record(tmp_path, "miller_john")
    upload(client, header, signal)
    with pytest.raises(Exception, match="there is no conversation yet"):
        client.predict(api_name="/export")
    answer = ask(client, ATTACK, age=56, sex="female")[-1]
    found = client.predict(api_name="/export")
    markdown, document = (Path(path).read_text() for path in (found["value"] if isinstance(found, dict) else found))
    kept = json.loads(document)
    assert kept["disclaimer"] == "Not for clinical diagnosis" and kept["checkpoint"] == fingerprint(checkpoint_folder)
    assert kept["model"].startswith(f"Checkpoint {checkpoint_folder.name} ") and kept["checkpoint"] in kept["model"]
    assert kept["measured"] == measured_in_words(ECGChat.read(header)) and kept["measured"] in markdown
    assert kept["conversation"] == [
        {
            "question": ATTACK,
            "asked": ATTACK,
            "answer": answer,
            "shown": answer,
            "after": [],
            "ended": "token limit",
            "patient": "age 56, sex female",
            "max_new_tokens": 12,
            "temperature": 0.0,
            "seed": 0,
        }
    ]
    assert "Not for clinical diagnosis" in markdown and ATTACK.replace("<", "&lt;") in markdown
    assert "<img" not in markdown and "miller" not in markdown + document


def test_an_answer_of_yes_or_no_is_traced_to_times(client, tmp_path, monkeypatch):
    header, signal = write_record(tmp_path)
    upload(client, header, signal)
    ask(client)
    picture, caption = client.predict(api_name="/trace")
    assert picture is None and "yes or no first" in caption
    monkeypatch.setattr(ECGChat, "stream", lambda *_, **__: iter(["yes"]))
    ask(client)
    monkeypatch.setattr(ECGChat, "stream", lambda *_, **__: iter(["62 bpm"]))
    ask(client, "How fast?")
    picture, caption = client.predict(api_name="/trace")
    assert picture and f"{QUESTION} yes" in caption, "the last yes or no, whatever was answered since"


def test_an_age_that_cannot_be_is_refused(client, tmp_path):
    upload(client, *write_record(tmp_path))
    for age, line in (("121", "the age must be from 0 to 120"), ("-1", "the age must be"), ("old", "old is not a num")):
        with pytest.raises(Exception, match=line):
            ask(client, age=age)


def test_a_new_ecg_leaves_the_conversation_before_it_to_download(client, tmp_path):
    first = upload(client, *write_record(tmp_path, "one"))
    assert "label" not in first["exported"], "there was no conversation"
    answer = ask(client)[-1]
    kept = upload(client, *write_record(tmp_path, "two"))["exported"]
    assert kept["label"] == "The conversation before this one" and answer in Path(kept["value"][0]).read_text()
    with pytest.raises(Exception, match="there is no conversation yet"):
        client.predict(api_name="/export")


def test_a_report_is_followed_by_what_it_leaves_open(client, tmp_path):
    limbs = np.random.default_rng(0).normal(0, 0.3, (12, 5000)).astype("f4")
    limbs[6:] = 0
    upload(client, *write_record(tmp_path, "limbs", limbs))
    talk = client.predict("", "", 12, 0, api_name="/report")[0]
    line = texts_of(talk)[-1].splitlines()[-1]
    assert line.startswith("cannot say: findings that need leads V1")
    found = client.predict(api_name="/export")
    assert line in html.unescape(Path(found["value"][0]).read_text())


def test_an_upload_ends_the_answer_about_the_ecg_before(client, chat, tmp_path, monkeypatch):
    """A client that does not cancel, as the page does, gets no late answer into the new conversation."""
    signals = np.random.default_rng(0).normal(0, 0.3, (2, 12, 5000)).astype("f4")
    first, second = (write_record(tmp_path, f"ecg{i}", signal) for i, signal in enumerate(signals))
    upload(client, *first)
    uploaded, stream = threading.Event(), ECGChat.stream

    def slow(*arguments, **options):
        for text in stream(*arguments, **options):
            yield text
            uploaded.wait(30)

    monkeypatch.setattr(ECGChat, "stream", slow)
    job = client.submit(QUESTION, None, "", 12, 0, api_name="/ask")
    while not job.outputs():
        time.sleep(0.05)
    upload(client, *second)
    uploaded.set()
    job.result(timeout=60)
    assert len(job.outputs()) == 1
    assert ask(client)[-1] == chat.ask(ECGChat.read(second[0]), QUESTION, max_new_tokens=12)


def test_questions_that_cannot_be_asked_get_one_line(client, tmp_path):
    for question, reason in (("  ", "the question is empty"), ("why " * 2000, "characters; the limit is 2000")):
        with pytest.raises(Exception, match=reason):
            ask(client, question)
    upload(client, write_record(tmp_path)[0])
    with pytest.raises(Exception, match="there is no ECG"):
        ask(client)


def test_a_long_recording_and_an_absent_lead_are_said(client, chat, tmp_path):
    # In steps of 0.2 mV, half of which are those of the augmented leads; coarse numbers make a small file.
    short = 0.2 * np.round(np.random.default_rng(1).normal(size=(12, 25_000)))
    short[:6] = LIMB_FROM_I_II @ short[:2]
    np.savez_compressed(tmp_path / "long.npz", signal=short[:11].astype("f2"), fs=50, unit="mV", leads=LEADS[:11])
    shown = upload(client, tmp_path / "long.npz")
    assert "The recording is 500 s long; only its first 10 s are used." in shown["about"]
    assert "Not recorded, treated as flat: V6." in shown["about"]
    assert ask(client)[-1] == chat.ask(ECGChat.read(tmp_path / "long.npz"), QUESTION, max_new_tokens=12)


def test_a_visitor_chooses_the_part_of_a_long_recording_and_states_rate_and_unit(client, chat, tmp_path):
    signal = 0.2 * np.round(np.random.default_rng(1).normal(size=(12, 6000)))
    signal[:6] = LIMB_FROM_I_II @ signal[:2]
    path = tmp_path / "bare.csv"
    np.savetxt(path, 1000 * signal.T, "%.0f", ",", header=",".join(LEADS), comments="")
    refused = upload(client, path)["about"]
    assert "Not read." in refused and "or state rate and unit on this page" in refused
    shown = upload(client, path, start=20, rate="100", unit="uV")
    assert "The recording is 60 s long; only the 10 s from 20 s on are used." in shown["about"]
    (tmp_path / "bare.layout.json").write_text('{"sampling_rate": 100, "unit": "uV"}')
    expected = chat.ask(ECGChat.read(path, start=20), QUESTION, max_new_tokens=12)
    assert "As entered on the page, not stated by the file: 100 Hz and uV." in shown["about"]
    assert ask(client)[-1] == expected != chat.ask(ECGChat.read(path), QUESTION, max_new_tokens=12)
    for wrong, line in (("-5", "rate: -5 Hz is not above 0"), ("fast", "rate: fast is not a number")):
        assert line in upload(client, path, rate=wrong)["about"]
    assert "0.0 s of it after 60 s" in upload(client, path, start=60, rate="100", unit="uV")["about"]


def test_other_hosts_and_sharing_are_warned_of():
    assert server._warnings("127.0.0.1", False) == server._warnings("localhost", False) == []
    assert "opens the page" in server._warnings("0.0.0.0", False)[0]
    assert "Gradio's servers" in server._warnings("127.0.0.1", True)[0]


def test_fewer_bits_without_cuda_are_refused_with_a_line(checkpoint_folder):
    with pytest.raises(UserError, match="--quantize 4: needs a CUDA device"):
        server.start(checkpoint_folder, device="cpu", quantize=4)
