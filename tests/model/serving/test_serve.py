"""A checkpoint behind stock servers: the prompts are those of training, the answers those of `ECGChat`."""

import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.import_utils import is_serve_available

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.llm.checkpoint import load_checkpoint, load_language_model, new_checkpoint
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.prompt.chat_template import chat_messages
from cardiolect.model.serving.endpoint import EndpointChat
from cardiolect.model.serving.publish import merge
from cardiolect.model.serving.serve import servable_settings, serve
from cardiolect.utils.errors import UserError
from tests.helpers.language_models import tiny_language_model

QUESTION = "Does this ECG show atrial fibrillation?"
HISTORY = [("", "Sinus rhythm."), ("Is it regular?", "yes")]
WORDS = 12  # of an answer


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
        servable_settings(older)
    merge(older, tmp_path / "out")
    servable_settings(tmp_path / "out")
    for name in ("chat_template.jinja", "generation_config.json", "model.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (folder / name).read_bytes()
    assert (tmp_path / "out" / "seen_recordings.json").is_file()
    with pytest.raises(UserError, match="not empty"):
        merge(older, tmp_path / "out")
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (damaged / "generation_config.json").write_text('{"suppress_')
    with pytest.raises(UserError, match=r"generation_config.json: damaged; cardiolect merge"):
        servable_settings(damaged)
    merge(damaged, tmp_path / "mended")
    assert servable_settings(tmp_path / "mended") == servable_settings(folder)

    model, tokenizer = load_language_model(tiny_language_model(tmp_path / "base"), "fp32")
    adapted = new_checkpoint(model, tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)
    rows = {"embed_tokens": list(adapted.vocabulary.new_ids)}
    lora = LoraConfig(r=2, target_modules=["q_proj"], trainable_token_indices=rows, init_lora_weights=False)
    adapted.model = get_peft_model(model, lora)
    save_checkpoint(adapted, tmp_path / "adapters", merge=False)
    with pytest.raises(UserError, match="adapters"):
        servable_settings(tmp_path / "adapters")
    merge(tmp_path / "adapters", tmp_path / "merged")
    servable_settings(tmp_path / "merged")
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
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="is in use"):
        serve(folder, port=taken.getsockname()[1])
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="device cuda: PyTorch finds no CUDA device"):
            serve(folder, port=0, device="cuda")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"])
@pytest.mark.parametrize("damage", ["halved", "gone"])
def test_a_damaged_checkpoint_is_named_before_the_server_starts(folder, tmp_path, name, damage):
    if not is_serve_available():
        pytest.skip('transformers serve is not installed: pip install -e ".[serve]"')
    copy = shutil.copytree(folder, tmp_path / "copy")
    content = (copy / name).read_bytes()
    (copy / name).unlink()
    if damage == "halved":
        # In the middle of a template's statement, wherever half of the file may be.
        half = content.index(b"%}", len(content) // 2) if name.endswith("jinja") else len(content) // 2
        (copy / name).write_bytes(content[:half])
    with pytest.raises(
        UserError, match=r"missing or damaged|has no weights|holds adapters, or lacks its chat template"
    ):
        serve(copy, port=0)


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
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (130, 0)  # 0: the signal was ignored where the tests were started
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
    assert remote.suppressed == tuple(chat.checkpoint.vocabulary.new_ids)
    assert remote.ask(codes, QUESTION, max_new_tokens=WORDS) == chat.ask(codes, QUESTION, max_new_tokens=WORDS)


def test_another_model_is_refused_with_what_the_server_says(server, folder, codes):
    with pytest.raises(UserError, match=r"answered 404 .*the model 'another' does not exist; this server has '"):
        EndpointChat.from_pretrained(server, folder, "another").ask(codes)


def test_openais_own_client_is_answered_as_by_openai(server, folder, chat, codes):
    import openai

    client = openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0)
    assert [model.id for model in client.models.list()] == [folder.name]
    messages = chat_messages([codes], [""], QUESTION)
    expected = chat.ask(codes, QUESTION, max_new_tokens=WORDS)
    for name in (folder.name, str(folder)):
        reply = client.chat.completions.create(model=name, messages=messages, max_tokens=WORDS, temperature=0)
        assert reply.choices[0].message.content.rstrip() == expected  # and no space in front
    stream = client.chat.completions.create(
        model=folder.name, messages=messages, max_tokens=WORDS, temperature=0, stream=True
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text.rstrip() == expected
    without_end = [{"role": "user", "content": "Why? <|ecg_start|><|ecg_1|>"}]
    for options, error, words in (
        ({"model": "another", "messages": messages}, openai.NotFoundError, "this server has"),
        ({"model": folder.name, "messages": []}, openai.BadRequestError, "messages must be a list"),
        ({"model": folder.name, "messages": messages, "n": 2}, openai.BadRequestError, "n: not supp"),
        ({"model": folder.name, "messages": without_end}, openai.BadRequestError, "ECG"),
    ):
        with pytest.raises(error, match=words):
            client.chat.completions.create(**options, max_tokens=3)
    for path in ("load_model", "reset"):
        assert requests.post(f"{server}/{path}", json={"model": str(folder)}, timeout=60).status_code == 404
    for raw in ("{", "[]"):
        reply = requests.post(f"{server}/v1/chat/completions", data=raw, timeout=60)
        assert reply.status_code == 400 and reply.json()["error"]["type"] == "invalid_request_error"


def test_the_tokens_of_an_answer_have_the_log_probabilities_of_the_model(server, folder, chat, codes):
    import openai

    client = openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0)
    messages = chat_messages([codes], [""], QUESTION)
    asked = {"model": folder.name, "messages": messages, "max_tokens": WORDS, "temperature": 0}
    choice = client.chat.completions.create(**asked, logprobs=True, top_logprobs=3).choices[0]
    assert client.chat.completions.create(**asked).choices[0].logprobs is None
    tokens = choice.logprobs.content
    assert "".join(token.token for token in tokens) == choice.message.content
    assert all(bytes(token.bytes).decode() == token.token for token in tokens)
    for token in tokens:
        best = token.top_logprobs
        assert len(best) == 3 and best[0].logprob == token.logprob >= best[1].logprob >= best[2].logprob
        assert not any("<|ecg" in other.token for other in best)

    prompt = chat._prompt(chat._prepared(codes), [""], QUESTION, (), WORDS)
    logits = chat.checkpoint.model(torch.tensor([[*prompt.prefix, *prompt.question]])).logits[0, -1].float()
    logits[list(chat.checkpoint.vocabulary.new_ids)] = -torch.inf
    assert tokens[0].logprob == pytest.approx(logits.log_softmax(-1).max().item(), abs=1e-4)
