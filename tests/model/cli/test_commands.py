"""The command ``cardiolect``: what it prints and writes is what the checkpoint says."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from transformers import AutoTokenizer

from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import LEADS, resample
from cardiolect.data_provider.simulator.wfdb_write import write_wfdb
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.cli import commands as cli
from cardiolect.model.cli.show import reconstruct
from cardiolect.model.cli.understanding import is_trained
from cardiolect.model.inference.calibration import QuestionMap
from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.llm.checkpoint_folder import add_info
from cardiolect.utils.errors import UserError
from tests.helpers import ROOT
from tests.helpers.checkpoints import calibrated
from tests.helpers.results import evaluated

QUESTION = "Does this ECG show atrial fibrillation?"


def test_help_lists_every_command_without_importing_what_it_needs():
    code = (
        "import sys; from cardiolect.model.cli.commands import build_parser; print(build_parser().format_help()); "
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    commands = re.findall(r"^  (\w+) .+", done.stdout, re.MULTILINE)
    assert " ".join(commands) == (
        "ask report tokens show tokenizer pretrain finetune eval merge export demo serve "
        "inspect simulate download fetch convert prepare audit augment derive describe measure fidelity probe compare "
        "summary calibrate judge blind chains ecgbench statements settings"
    )


@pytest.mark.parametrize("name", cli.TOOLS)
def test_commands_with_a_parser_of_their_own_say_their_name(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main([name, "--help"])
    assert capsys.readouterr().out.startswith(f"usage: cardiolect {name} ")


def test_answers_and_reports_are_those_of_the_checkpoint(said, stock, record, capsys):
    chat = ECGChat.from_pretrained(stock, "cpu")
    ecg, options = chat.read(record), {"patient": "age 56, sex female", "max_new_tokens": 12}
    given = ["--checkpoint", stock, "--patient", options["patient"], "--max-new-tokens", 12, "--device", "cpu"]
    answers = [chat.ask(ecg, question, **options) for question in (QUESTION, "Normal?")]
    named = f"{QUESTION} {answers[0]}\nNormal? {answers[1]}\n"
    assert len(answers[0]) > 5 and said("ask", record, QUESTION, "Normal?", *given) == named
    assert said("ask", record, "Normal?", *given) == f"{answers[1]}\n"
    cli.main(["report", f"{record}.hea", *map(str, given), "--verbose"])
    printed = capsys.readouterr()
    assert printed.out == chat.ask(ecg, **options) + "\n"
    assert re.search(r"first token after [\d.]+ s, then [\d.]+ tokens/s; 12 tokens", printed.err)


def test_a_trained_yes_or_no_question_is_answered_with_its_probability(said, stock, record, tmp_path):
    folder = shutil.copytree(stock, tmp_path / "llm")
    add_info(folder, majority_answers={"by_question": {QUESTION: ["no"], "Normal?": ["yes"], "Rhythm?": ["AF"]}})
    given = ["--checkpoint", folder, "--max-new-tokens", 5, "--device", "cpu"]
    chat = ECGChat.from_pretrained(folder, "cpu")
    own = chat.judge(chat.read(record), QUESTION)
    percent = "> 99" if own.probability > 0.99 else f"{100 * own.probability:.0f}"
    line = f"{own.answer} ({percent} %, not calibrated)\n"
    rhythm = chat.ask(chat.read(record), "Rhythm?", max_new_tokens=5)
    assert said("ask", record, QUESTION, "Rhythm?", *given) == f"{QUESTION} {line}Rhythm? {rhythm}\n"
    assert said("ask", record, QUESTION, *given, "--temperature", 0.1) != line, "sampled answers are texts"
    lines = {QUESTION: QuestionMap(0.0, -4.0, 90, 9, 0.1, -2.0), "Normal?": QuestionMap(0.0, 0.2, 90, 50, 0.5, 0.2)}
    calibrated(folder, lines, unsure_below=0.7)
    assert said("ask", record, QUESTION, "Normal?", *given) == (
        f"{QUESTION} no (98 %)\nNormal? unsure, probably yes (55 %; yes is right for 50 of 90 validation ECGs)\n"
    )


def test_an_answer_that_was_cut_off_is_said_to_be(stock, record, monkeypatch, capsys):
    monkeypatch.setattr(ECGChat, "stream", lambda *_, **__: iter(["a", "a b", "a b c"]))
    for allowed, cut in ((3, True), (4, False)):
        for command in (["ask", record, QUESTION], ["report", record]):
            cli.main([*command, "--checkpoint", str(stock), "--max-new-tokens", str(allowed)])
            printed = capsys.readouterr()
            assert printed.out == "a b c\n" and ("cut off after 3 tokens" in printed.err) == cut


def test_a_conversation_remembers_what_was_said(said, stock, record, monkeypatch):
    chat = ECGChat.from_pretrained(stock, "cpu")
    ecg, history = chat.read(record), []
    for question in (QUESTION, "Sure?"):
        history.append((question, chat.ask(ecg, question, history=history, max_new_tokens=5)))
    monkeypatch.setattr(sys, "stdin", io.StringIO("Sure?\n\nnever asked\n"))
    printed = said("ask", record, QUESTION, "-i", "--checkpoint", stock, "--max-new-tokens", 5)
    assert printed == "".join(f"{answer}\n" for _, answer in history)


def test_a_second_ecg_is_compared_with_the_first(said, stock, record, corpus):
    chat, second = ECGChat.from_pretrained(stock, "cpu"), str(corpus / "records500/00000/00002_hr")
    expected = chat.ask([chat.read(record), chat.read(second)], QUESTION, max_new_tokens=5)
    given = [record, QUESTION, "--checkpoint", stock, "--max-new-tokens", 5]
    assert said("ask", *given, "--second", second) == f"{expected}\n" != said("ask", *given)


def test_tokens_are_what_the_stock_tokenizer_reads(said, stock, record):
    chat = ECGChat.from_pretrained(stock, "cpu")
    codes = chat.encode(chat.read(record))
    text = said("tokens", record, "--checkpoint", stock).strip()
    read = AutoTokenizer.from_pretrained(stock)(text, add_special_tokens=False)["input_ids"]
    vocabulary = chat.checkpoint.vocabulary
    assert read == [vocabulary.start_id, *vocabulary.code_ids(codes), vocabulary.end_id]
    assert said("tokens", record, "--codes", "--checkpoint", stock).split() == list(map(str, codes))


def test_one_recording_of_an_hdf5_file(said, stock, record, tmp_path):
    ecg = read_record(record)
    with h5py.File(tmp_path / "exams.hdf5", "w") as file:
        file["tracings"], file["exam_id"] = np.stack([0 * ecg.signal.T, ecg.signal.T]), [7, 8]
    layout = {"sampling_rate": ecg.fs, "unit": "mV", "leads": list(LEADS)}
    (tmp_path / "exams.layout.json").write_text(json.dumps(layout))
    expected = said("tokens", record, "--checkpoint", stock)
    assert said("tokens", tmp_path / "exams.hdf5#8", "--checkpoint", stock) == expected


def test_a_picture_shows_shades_and_reconstruction(said, stock, shared_data, tmp_path):
    record = shared_data / "ptb-xl/records500/00000/00040_hr"
    asked = said("ask", record, QUESTION, "--checkpoint", stock)
    pictures = {}
    for name, options in {"plain": [], "both": ["--reconstruction", "--question", QUESTION]}.items():
        out = tmp_path / "new" / f"{name}.png"
        printed = said("show", record, "--out", out, "--checkpoint", stock, *options)
        pictures[name] = imread(out)
        assert printed == (asked if options else "")
    blue = {name: (p[..., 2] - p[..., 0] > 0.1).sum() for name, p in pictures.items()}
    assert blue["plain"] == 0 and blue["both"] > 1000


def test_where_an_answer_of_yes_or_no_is_from_is_shaded(stock, record, tmp_path, monkeypatch, capsys):
    drawn, encoded = [], []
    prepare = ECGTokenizer.prepare
    monkeypatch.setattr(
        "cardiolect.model.cli.show.draw_ecg_paper", lambda *_, shading, **__: drawn.append(shading) or Figure()
    )
    monkeypatch.setattr(ECGTokenizer, "prepare", lambda *given: encoded.append(1) or prepare(*given))
    expected, options = {}, ["--checkpoint", str(stock), "--reconstruction", "--device", "cpu"]
    for question, answer in (("Is it?", "yes"), ("Is it?", "maybe"), ("Report", "yes")):
        monkeypatch.setattr(ECGChat, "stream", lambda *_, answer=answer, **__: iter([answer]))
        cli.main(["show", record, "--out", str(tmp_path / "x.png"), "--question", question, *options])
        expected[question, answer] = "not shaded: only an answer of yes or no" in capsys.readouterr().err
    assert [shading is not None for shading in drawn] == [True, False, False] and len(encoded) == 3
    assert list(expected.values()) == [False, True, True]


def test_what_was_written_is_said_with_its_extension(stock, record, tmp_path, capsys):
    cli.main(["show", record, "--out", str(tmp_path / "ecg"), "--checkpoint", str(stock)])
    told = capsys.readouterr().err.strip().removeprefix("picture: ")
    assert told == str(tmp_path / "ecg.png") and imread(told).size


def test_a_reconstruction_ends_with_the_last_code(stock, record):
    tokenizer, whole = ECGTokenizer.from_pretrained(stock / "ecg_tokenizer"), read_record(record)
    ecg = replace(whole, signal=whole.signal[:, :4000], good=whole.good[:, :4000])
    codes = tokenizer.encode(ecg.signal[:, :3000], ecg.fs)
    kept = reconstruct(tokenizer, ecg, codes)
    end = round(tokenizer.code_times(len(codes))[-1, 1] * ecg.fs)
    assert kept.shape == ecg.signal.shape and 3000 <= end < 4000
    assert np.isfinite(kept[:, :end]).all() and np.isnan(kept[:, end:]).all()
    rate = tokenizer.config.sampling_rate
    np.testing.assert_allclose(kept[:, :end], resample(tokenizer.decode(codes), rate, ecg.fs)[:, :end])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", "{record}", "{question}", "--checkpoint", "nowhere"], "nowhere: no such folder"),
        (["ask", "{record}", "--checkpoint", "{stock}"], "give a question"),
        (["ask", "{record}", "", "--checkpoint", "{stock}"], "the question is empty"),
        (["ask", "none.edf", "{question}", "--checkpoint", "{stock}"], "record none.edf: no such file"),
        (["ask", "#.h5", "{question}", "--checkpoint", "{stock}"], "record #.h5: no such file"),
        (["tokens", ".", "--checkpoint", "{stock}"], "record .: a folder"),
        (["report", "{record}", "--start", "99", "--checkpoint", "{stock}"], "at least 2.5 s are needed"),
        (["report", "{record}", "--patient", "Jo", "--checkpoint", "{stock}"], "no age, sex, height or weight found"),
        (
            ["report", "{record}", "--patient", "age 56, weight 80 lb", "--checkpoint", "{stock}"],
            "read the weight",
        ),
        (["report", "{record}", "--start", "7.6", "--checkpoint", "{stock}"], "10.0 s long, 2.4 s of it after 7.6"),
        (["ask", "{record}", "{question}", "--checkpoint", "{stock}", "--logit-bias"], "name it with --endpoint"),
        (
            [
                "ask",
                "{record}",
                "{question}",
                "--checkpoint",
                "{stock}",
                "--endpoint",
                "http://127.0.0.1:9",
                "--device",
                "cpu",
            ],
            "--device: not supported with --endpoint",
        ),
        (["serve", "--checkpoint", "{adapters}"], "cardiolect merge"),
        (["demo", "--checkpoint", "none"], "none: no such folder"),
        (["show", "{record}", "--out", "x.wav"], "--out x.wav"),
        (["show", "{record}", "--out", "."], "is a folder"),
        (["show", "{record}", "--out", "x.png", "--question", " ", "--checkpoint", "{stock}"], "question is empty"),
        (["eval", "none.env"], "none.env: no such env file"),
        (["pretrain", "none.env"], "none.env: no such env file"),
        (["tokenizer", "none.env"], "none.env: no such env file"),
        (["merge", "{stock}", "--out", "x"], "holds no adapters"),
        (["merge", "{adapters}", "--out", "{stock}"], "not empty"),
        (["export", "{stock}", "--results", "none", "--out", "x"], "none: no such file"),
    ],
)
def test_what_a_user_can_mend_is_one_line(arguments, message, stock, adapters, record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    filled = [a.format(record=record, question=QUESTION, stock=stock, adapters=adapters) for a in arguments]
    with pytest.raises(UserError) as refused:
        cli.main(filled)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_an_ecg_that_is_too_short_and_a_prompt_that_was_not_trained_are_pointed_out(stock, record, tmp_path, capsys):
    info = json.loads((stock / "cardiolect.json").read_text())
    asked = info | {"stage": "finetune", "settings": {"tasktype": "qa"}}
    (stock / "cardiolect.json").write_text(
        json.dumps(asked | {"majority_answers": {"by_question": {QUESTION: ["no"]}}})
    )
    try:
        for question, lines in ((QUESTION, 1), ("Tell me a joke", 2)):
            cli.main(["ask", str(record), question, "--start", "7.5", "--checkpoint", str(stock)])
            printed = capsys.readouterr()
            assert "2.5 s of ECG; models are trained on 10 s" in printed.err
            assert ("not trained" in printed.out) == (lines == 2)
    finally:
        (stock / "cardiolect.json").write_text(json.dumps(info))
    for command in (["tokens"], ["show", "--out", str(tmp_path / "x.png")]):
        cli.main([*command, str(record), "--start", "7.5", "--checkpoint", str(stock)])
        assert "2.5 s of ECG; models are trained on 10 s" in capsys.readouterr().err


@pytest.mark.parametrize(("trained", "seconds"), [(None, 10), (0, 10), (25, 25)])
def test_as_much_of_a_long_recording_is_read_as_training_took(stock, record, tmp_path, capsys, trained, seconds):
    """10 s were read in silence, whatever the checkpoint was trained on."""
    write_wfdb(tmp_path / "long", np.tile(read_record(record).signal, 4))
    info = json.loads((stock / "cardiolect.json").read_text())
    settings = {} if trained is None else {"record_seconds": trained}
    (stock / "cardiolect.json").write_text(json.dumps(info | {"settings": settings}))
    try:
        for command in (["tokens", "--codes"], ["show", "--out", str(tmp_path / "x.png")]):
            cli.main([*command, str(tmp_path / "long"), "--checkpoint", str(stock)])
            said = capsys.readouterr()
            assert f"The recording is 40 s long; only its first {seconds} s are used." in said.err
            if command[0] == "tokens":
                tokenizer = ECGTokenizer.from_pretrained(stock / "ecg_tokenizer")
                assert len(said.out.split()) == tokenizer.tokens_in(seconds)
    finally:
        (stock / "cardiolect.json").write_text(json.dumps(info))


def test_a_question_is_trained_where_the_checkpoint_learned_its_kind():
    asked = {"stage": "finetune", "settings": {"tasktype": "qa"}, "majority_answers": {"by_question": {QUESTION: []}}}
    assert is_trained(asked, QUESTION) and is_trained(asked, f" {QUESTION}\n")
    assert not is_trained(asked, "Why?") and not is_trained(asked, "Report")
    reports = {"stage": "finetune", "settings": {"tasktype": "report"}}
    assert is_trained(reports, " Report") and not is_trained(reports, QUESTION)
    assert is_trained({}, QUESTION) and is_trained({}, "")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"ecg_tokenizer": None}, "ecg_tokenizer.* is missing"),
        ({"../llm": None}, "which does not exist; put it back or merge"),
        ({"adapter_config.json": "{"}, "adapter_config.json: not JSON"),
        ({"adapter_config.json": "{}"}, "adapter_config.json: does not name a language model"),
        ({"cardiolect.json": "[]"}, "cardiolect.json: does not contain a JSON object"),
    ],
)
def test_a_damaged_checkpoint_is_one_line(damage, message, adapters, tmp_path):
    result, copy = evaluated(tmp_path / "result", adapters), shutil.copytree(adapters.parent, tmp_path / "lora")
    config = copy / "checkpoint/adapter_config.json"
    config.write_text(config.read_text().replace(str(adapters.parent), str(copy)))
    for name, text in damage.items():
        path = copy / "checkpoint" / name
        shutil.rmtree(path) if text is None else path.write_text(text)
    for command, *options in (["export", "--results", str(result)], ["merge"]):
        with pytest.raises(UserError, match=message) as refused:
            cli.main([command, str(copy / "checkpoint"), "--out", str(tmp_path / "out"), *options])
        assert "\n" not in str(refused.value)


def test_a_line_that_is_no_text_is_one_line(stock, record, monkeypatch):
    given = ["ask", record, "--chat", "--checkpoint", str(stock)]
    for errors, message in (
        ("strict", "stdin has a line that is not valid UTF-8"),
        ("surrogateescape", "question is not valid UTF-8"),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff?\n"), "utf-8", errors))
        with pytest.raises(UserError, match=message):
            cli.main(given)


def test_the_command_ends_quietly(tmp_path, monkeypatch):
    talkative = "from cardiolect.model.cli import commands as cli; cli.main = lambda: print('x' * 100_000); cli.run()"
    reader, writer = os.pipe()
    os.close(reader)
    gone = subprocess.run([sys.executable, "-c", talkative], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (gone.returncode, gone.stderr) == (141, "")
    command = [sys.executable, "-m", "cardiolect", "eval", str(tmp_path / "x.env")]
    wrong = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (wrong.returncode, wrong.stderr) == (2, f"error: {tmp_path}/x.env: no such env file\n")
    monkeypatch.setattr(cli, "main", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(SystemExit, match="130"):
        cli.run()


INTERRUPTS = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(name, *_):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
sys.argv = ["cardiolect", "ask", "--list"]
from cardiolect.__main__ import run
run()
"""


@pytest.mark.parametrize(
    ("module", "code"), [("cardiolect.model.cli.commands", -signal.SIGINT), ("cardiolect.model.cli.ask", 130)]
)
def test_ctrl_c_during_the_first_imports_leaves_no_traceback(module, code):
    program = [sys.executable, "-c", INTERRUPTS.format(module=module)]
    ended = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (code, "")


def test_an_extra_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("cardiolect.model.demo.server.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"the demo needs Gradio: pip install -e .\.\[demo\]"):
        cli.main(["demo"])


def test_a_prompt_without_the_patient_that_training_always_had_is_said_to_be_one(stock, record, tmp_path, capsys):
    checkpoint = shutil.copytree(stock, tmp_path / "llm")
    info = json.loads((checkpoint / "cardiolect.json").read_text())
    for share, patient, warned in ((1.0, "", True), (1.0, "age 56", False), (0.5, "", False)):
        info["train_examples_with_patient"] = share
        (checkpoint / "cardiolect.json").write_text(json.dumps(info))
        for command in (["ask", record, QUESTION], ["report", record], ["show", record, "--question", QUESTION]):
            given = ["--checkpoint", str(checkpoint), "--patient", patient]
            given += ["--out", str(tmp_path / "ecg.png")] if command[0] == "show" else ["--max-new-tokens", "2"]
            cli.main([*command, *given])
            assert ("trained with age and sex in every prompt" in capsys.readouterr().err) == warned, command
