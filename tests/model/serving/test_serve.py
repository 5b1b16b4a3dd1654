"""A checkpoint behind stock servers: the prompts are those of training, the answers those of `ECGChat`."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import requests
import torch
from jinja2 import TemplateError
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.import_utils import is_serve_available

from cardiolect.ecg_tokenizer import ECGTokenizer
from cardiolect.model.cli import commands as cli
from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.llm.checkpoint import load_checkpoint, load_language_model, new_checkpoint, save_checkpoint
from cardiolect.model.llm.tiny import train_bpe
from cardiolect.model.prompt.chat_template import chat_messages, set_chat_template
from cardiolect.model.prompt.rendering import render_ecgs, render_prompt
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.model.serving.endpoint import EndpointChat
from cardiolect.model.serving.publish import merge
from cardiolect.model.serving.serve import serve
from cardiolect.model.serving.stock import stock_settings
from cardiolect.utils.errors import UserError
from tests.helpers.language_models import sentencepiece, tiny_language_model
from tests.helpers.servers import LoopbackHandler, LoopbackServer, serving

QUESTION = "Does this ECG show atrial fibrillation?"
SPELLED = "It is <s>: 1</s><start_of_turn>, <0x0A>?"  # special tokens of other kinds than <|...|>
HISTORY = [("", "Sinus rhythm."), ("Is it regular?", "yes")]
WORDS = 12  # of an answer


# Prompts


def byte_level(bos: bool = True):
    tokenizer = train_bpe({QUESTION}, 300)
    if not bos:
        tokenizer.bos_token = None
    return tokenizer


TOKENIZERS = {
    "byte level": byte_level,
    "without beginning of sequence": lambda: byte_level(bos=False),
    "space before the first word": lambda: sentencepiece("first"),
    "space before every text": lambda: sentencepiece("always"),
}


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("ecgs", [1, 2])
@pytest.mark.parametrize("background", ["", "age 56, sex female, height 161.5 cm"])
@pytest.mark.parametrize("question", ["", QUESTION, "Is <|ecg_3|> an <|eos|> or 'it'?\nSo?", SPELLED])
@pytest.mark.parametrize("history", [[], HISTORY, [("What?", "<|ecg_end|>Patient: age 5.\nno")], [("", SPELLED)]])
def test_the_template_writes_the_prompts_of_training(tmp_path, kind, ecgs, background, question, history):
    vocabulary = Vocabulary.extend(TOKENIZERS[kind](), 7)
    assert set_chat_template(vocabulary)
    vocabulary.tokenizer.save_pretrained(tmp_path)
    codes, backgrounds = [np.arange(5), np.array([6, 0])][:ecgs], [background] * ecgs
    rendered = render_ecgs(vocabulary, codes, backgrounds)[0]
    rendered += render_prompt(vocabulary, "qa" if question else "report", question, history)
    messages = [{"role": "system", "content": "Be brief."}, *chat_messages(codes, backgrounds, question, history)]
    served = AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(messages, add_generation_prompt=True)
    assert served["input_ids"] == rendered
    assert rendered.count(vocabulary.tokenizer.bos_token_id) <= 1 and vocabulary.tokenizer.eos_token_id not in rendered


def test_no_template_is_better_than_an_inexact_one():
    joining = Vocabulary.extend(sentencepiece("never"), 7)
    assert not set_chat_template(joining) and joining.tokenizer.chat_template is None


def test_what_people_type_is_understood_and_a_missing_ecg_refused():
    vocabulary = Vocabulary.extend(byte_level(), 7)
    set_chat_template(vocabulary)

    def written(content: str) -> str:
        return vocabulary.tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False)

    ecg = "<|ecg_start|><|ecg_1|><|ecg_end|>"
    assert written(f" {ecg}\n Is it <|eos|>? ") == f"<|bos|>{ecg}Question: Is it < |eos|>?\nAnswer:"
    assert written(ecg) == written(f"{ecg} Report") == f"<|bos|>{ecg}Report:"
    assert written(f"{ecg}Patient: <|eos|>.\n") == f"<|bos|>{ecg}Patient: < |eos|>.\nReport:"
    assert written(f"{ecg}Patient: age 56.\n") == f"<|bos|>{ecg}Patient: age 56.\nReport:"
    put_in = [
        {"role": "user", "content": ecg},
        {"role": "assistant", "content": " <|eos|><|ecg_2|> "},
        {"role": "user", "content": "<|ecg_3|>?"},
    ]
    assert vocabulary.tokenizer.apply_chat_template(put_in, tokenize=False) == (
        f"<|bos|>{ecg}Report: < |eos|>< |ecg_2|>\nQuestion: < |ecg_3|>?\nAnswer:"
    )
    for content, complaint in {
        "Is it regular?": "begin with an ECG",
        f"Look: {ecg}": "begin with an ECG",
        "<|ecg_start|><|ecg_1|>": "end in",
        f"{ecg} compare with {ecg}": "behind the last ECG",
    }.items():
        with pytest.raises(TemplateError, match=complaint):
            written(content)


# Folders


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer_folder):
    """A merged checkpoint whose random answers have different lengths and would hold ECG tokens."""
    model, tokenizer = load_language_model(tiny_language_model(tmp_path_factory.mktemp("serve") / "llm"), "fp32")
    checkpoint = new_checkpoint(model, tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)
    with torch.no_grad():
        torch.manual_seed(4)
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        model.get_input_embeddings().weight[checkpoint.vocabulary.start_id :] *= 2
    folder = tmp_path_factory.mktemp("serve") / "checkpoint"
    save_checkpoint(checkpoint, folder, merge=True)
    return folder


@pytest.fixture(scope="module")
def chat(folder) -> ECGChat:
    return ECGChat(load_checkpoint(folder))


@pytest.fixture(scope="module")
def codes(chat, corpus) -> np.ndarray:
    return chat.encode(ECGChat.read(corpus / "records500/00000/00001_hr"))


def test_stock_generate_gives_the_answers_of_chat(folder, chat, codes):
    words, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    freed = 0
    for question in ("", QUESTION, "What is the rhythm?", "Is it regular?"):
        prompt = words.apply_chat_template(chat_messages([codes], [""], question), return_tensors="pt")
        length = prompt["input_ids"].shape[1]
        said = words.decode(model.generate(**prompt)[0, length:], skip_special_tokens=True).strip()
        assert said == chat.ask(codes, question)
        free = model.generate(**prompt, suppress_tokens=None)[0, length:]
        freed += bool(set(free.tolist()) & set(chat.checkpoint.vocabulary.new_ids))
    assert freed  # else nothing had to be suppressed


def test_older_checkpoints_and_adapters_are_exported(folder, chat, codes, tmp_path, tokenizer_folder):
    older = shutil.copytree(folder, tmp_path / "older")
    (older / "chat_template.jinja").unlink()
    (older / "generation_config.json").unlink()
    (older / "seen_recordings.json").write_text("{}")
    with pytest.raises(UserError, match=rf"cardiolect merge {older} --out FOLDER"):
        stock_settings(older)
    merge(older, tmp_path / "out")
    stock_settings(tmp_path / "out")
    for name in ("chat_template.jinja", "generation_config.json", "model.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (folder / name).read_bytes()
    assert (tmp_path / "out" / "seen_recordings.json").is_file()
    with pytest.raises(UserError, match="not empty"):
        merge(older, tmp_path / "out")
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (damaged / "generation_config.json").write_text('{"suppress_')
    with pytest.raises(UserError, match=r"generation_config.json: damaged; cardiolect merge"):
        stock_settings(damaged)
    merge(damaged, tmp_path / "mended")
    assert stock_settings(tmp_path / "mended") == stock_settings(folder)

    model, tokenizer = load_language_model(tiny_language_model(tmp_path / "base"), "fp32")
    adapted = new_checkpoint(model, tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)
    rows = {"embed_tokens": list(adapted.vocabulary.new_ids)}
    lora = LoraConfig(r=2, target_modules=["q_proj"], trainable_token_indices=rows, init_lora_weights=False)
    adapted.model = get_peft_model(model, lora)
    save_checkpoint(adapted, tmp_path / "adapters", merge=False)
    with pytest.raises(UserError, match="adapters"):
        stock_settings(tmp_path / "adapters")
    merge(tmp_path / "adapters", tmp_path / "merged")
    stock_settings(tmp_path / "merged")
    expected = ECGChat(load_checkpoint(tmp_path / "adapters")).ask(codes, QUESTION, max_new_tokens=WORDS)
    assert ECGChat(load_checkpoint(tmp_path / "merged")).ask(codes, QUESTION, max_new_tokens=WORDS) == expected


def test_what_cannot_be_served_is_one_line(folder, tmp_path):
    with pytest.raises(UserError, match="not a checkpoint"):
        serve(tmp_path)
    if not is_serve_available():
        with pytest.raises(UserError, match="is not installed"):
            serve(folder)
        return
    with pytest.raises(UserError, match="stays on this machine"):
        serve(folder, host="0.0.0.0")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="is not free"):
        serve(folder, port=taken.getsockname()[1])


# The server


@pytest.fixture(scope="module")
def server(folder):
    """`transformers serve` as `serve` starts it, on a free port of this machine."""
    if not is_serve_available():
        pytest.skip('transformers serve is not installed: pip install -e ".[serve]"')
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    call = f"from cardiolect.model.serving.serve import serve; serve({str(folder)!r}, port={port}, device='cpu')"
    with subprocess.Popen([sys.executable, "-c", call], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            try:
                requests.get(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        process.wait(30)
    with socket.create_server(("127.0.0.1", port)):  # nothing is left of it
        pass


@pytest.fixture
def remote(server, folder) -> EndpointChat:
    return EndpointChat.from_pretrained(server, folder)


@pytest.mark.parametrize(
    "question, history, patient",
    [
        (QUESTION, [], ""),
        ("", [], "age 56, sex 1, patient id 17"),
        ("Is it fast?", HISTORY, "age 56"),
    ],
)
def test_the_server_answers_as_chat_does(server, remote, chat, codes, question, history, patient):
    asked = dict(history=history, patient=patient, max_new_tokens=WORDS)
    expected = chat.ask(codes, question, **asked)
    parts = list(remote.stream(codes, question, **asked))
    assert parts[-1] == expected and len(parts) > 1
    body = {"messages": chat_messages([codes], ["age 56" if patient else ""], question, history)}
    if "sex" not in patient:
        reply = requests.post(f"{server}/v1/chat/completions", json={**body, "max_tokens": WORDS}, timeout=60).json()
        assert reply["choices"][0]["message"]["content"].strip() == expected


def test_a_recording_is_encoded_here(remote, chat, corpus):
    record = ECGChat.read(corpus / "records500/00000/00002_hr")
    assert remote.ask(record, QUESTION, max_new_tokens=WORDS) == chat.ask(record, QUESTION, max_new_tokens=WORDS)


def test_two_ecgs_are_compared(remote, chat, codes, corpus):
    both = [codes, ECGChat.read(corpus / "records500/00000/00002_hr")]
    assert remote.ask(both, QUESTION, patient="age 56", max_new_tokens=WORDS) == chat.ask(
        both, QUESTION, patient="age 56", max_new_tokens=WORDS
    )


def test_ten_ask_at_once(remote, chat, codes):
    expected, found = chat.ask(codes, QUESTION, max_new_tokens=WORDS), {}
    threads = [
        threading.Thread(target=lambda k=k: found.update({k: remote.ask(codes, QUESTION, max_new_tokens=WORDS)}))
        for k in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [expected] * 10


def test_the_client_can_say_which_tokens_are_of_ecgs(server, folder, chat, codes):
    """As servers need it that do not read it in the checkpoint."""
    remote = EndpointChat.from_pretrained(server, folder, logit_bias=True)
    assert remote.never == tuple(chat.checkpoint.vocabulary.new_ids)
    assert remote.ask(codes, QUESTION, max_new_tokens=WORDS) == chat.ask(codes, QUESTION, max_new_tokens=WORDS)


def test_another_model_is_refused_with_what_the_server_says(server, folder, codes):
    with pytest.raises(UserError, match=r"answers 400 .*pinned to"):
        EndpointChat.from_pretrained(server, folder, "another").ask(codes)


# The client


class Scripted(LoopbackHandler):
    """Answers every request as the server was told to, and keeps what it was sent."""

    def do_POST(self) -> None:  # noqa: N802
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers.get("Authorization"), sent))
        status, headers, text = self.server.reply
        self.head(status, headers, len(text))
        self.wfile.write(text)


@pytest.fixture
def scripted(folder):
    with serving(LoopbackServer(Scripted)) as server:
        server.asked = []
        yield server


def said(*parts: str) -> bytes:
    events = [
        {"choices": [{"delta": {"role": "assistant"}}]},
        *({"choices": [{"delta": {"content": p}}]} for p in parts),
    ]
    lines = [b": ping", *(b"data: " + json.dumps(event, ensure_ascii=False).encode() for event in events)]
    return b"\r\n\r\n".join([*lines, b'data: {"choices": [], "usage": {}}', b"data: [DONE]", b""])


@pytest.mark.parametrize(
    "end", [b"data: [DONE]", b'data: {"choices": [{"delta": {}, "finish_reason": "length"}]}', b""]
)
def test_an_answer_is_whole_where_the_server_says_so(scripted, folder, codes, end):
    scripted.reply = 200, {}, said(" 60", "°").replace(b"data: [DONE]", end)
    answer = EndpointChat.from_pretrained(scripted.address, folder).stream(codes)
    assert [next(answer), next(answer)] == ["60", "60°"]
    if end:
        assert list(answer) == []
    else:
        with pytest.raises(UserError, match="the answer broke off"):
            next(answer)


def test_a_silent_server_is_waited_for_no_longer_than_was_said(folder, codes):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        chat = EndpointChat(url, ECGTokenizer.from_pretrained(folder / "ecg_tokenizer"), timeout=0.2)
        began = time.monotonic()
        with pytest.raises(UserError, match="no answer in time"):
            chat.ask(codes)
    assert time.monotonic() - began < 60


def test_other_servers_are_asked_the_same_way(scripted, folder, codes):
    scripted.reply = 200, {"Content-Type": "text/event-stream"}, said(" 60", "°", " axis")
    for url in (scripted.address, f"{scripted.address}/", f"{scripted.address}/v1"):
        remote = EndpointChat.from_pretrained(url, folder, "mine", environment={"ENDPOINT_KEY": "secret"})
        assert list(remote.stream(codes, "What?", patient="age 56, name Ann")) == ["60", "60°", "60° axis"]
        path, key, body = scripted.asked[-1]
        assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer secret", "mine")
        assert body["messages"][0]["content"].endswith("<|ecg_end|>Patient: age 56.\nWhat?") and "Ann" not in str(body)


def test_the_command_asks_a_server_that_holds_several(scripted, folder, codes, corpus, chat, capsys, monkeypatch):
    monkeypatch.setenv("ENDPOINT_KEY", "")
    scripted.reply = 200, {"Content-Type": "text/event-stream"}, said(" yes")
    record = str(corpus / "records500/00000/00001_hr")
    cli.main(
        [
            "ask",
            record,
            " Report",
            "--checkpoint",
            str(folder),
            "--endpoint",
            scripted.address,
            "--model",
            "mine",
            "--logit-bias",
            "--max-new-tokens",
            "7",
        ]
    )
    assert capsys.readouterr().out == "yes\n"
    body = scripted.asked[-1][2]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("mine", 7, 0)
    assert set(body["logit_bias"]) == set(map(str, chat.checkpoint.vocabulary.new_ids))
    assert body["messages"] == chat_messages([codes], [""]) and body["messages"][0]["content"].endswith(">Report")


@pytest.mark.parametrize(
    "status, text, message",
    [
        (404, b'{"error": {"message": "no model x"}}', r"answers 404 \(no model x\); check the address and the name"),
        (401, b"", "answers 401; check ENDPOINT_KEY"),
        (307, b"", "answers 307; check the address"),
        (500, b"Internal\nServer Error", r"answers 500 \(Internal Server Error\); see"),
        (200, b'data: {"error": "out of memory"}\n\n', r"broke off \(out of memory\)"),
        (200, b"<html>\n<p>Welcome</p>\n</html>", r"no stream of an answer \(<html> <p>Welcome</p> </html>\); check"),
        (200, b'{"error": {"message": "no such model"}}', r"no stream of an answer \(no such model\)"),
        (200, b'{"choices": [{"message": {"content": "yes"}}]}', r'no stream .*"content": "yes"'),
        (200, b"", r"no stream of an answer \(nothing"),
    ],
)
def test_failures_are_one_line_each(scripted, folder, codes, status, text, message):
    scripted.reply = status, {"Location": "http://127.0.0.1:1/"}, text
    with pytest.raises(UserError, match=message) as caught:
        EndpointChat.from_pretrained(scripted.address, folder, environment={"ENDPOINT_KEY": "secret"}).ask(codes)
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


def test_addresses_that_are_not_safe_or_not_there(folder, codes):
    for url, message in {
        "http://example.org": "only https",
        "file:///etc/passwd": "only https",
        "http://key@127.0.0.1:1": "goes to ENDPOINT_KEY",
        "127.0.0.1:8000": "only https",
        f"https://{'x' * 64}.org": "is no address",
    }.items():
        with pytest.raises(UserError, match=message):
            EndpointChat.from_pretrained(url, folder)
    with pytest.raises(UserError, match="ENDPOINT_KEY has characters that no key has"):
        EndpointChat.from_pretrained("https://example.org", folder, environment={"ENDPOINT_KEY": "secret\n"})
    with pytest.raises(UserError, match="no connection; is a server running there"):
        EndpointChat.from_pretrained("http://127.0.0.1:1", folder).ask(codes)
