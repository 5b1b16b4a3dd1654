"""A checkpoint says how its prompts are written, and keeps the chat template that its language model came with."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.inference.generation import generate_texts
from cardiolect.model.llm.checkpoint import Checkpoint, load_checkpoint, load_language_model, new_checkpoint
from cardiolect.model.llm.checkpoint_folder import fingerprint
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.llm.tiny import build_tiny_llama
from cardiolect.model.prompt.chat_template import chat_messages
from cardiolect.model.prompt.rendering import make_prompt
from cardiolect.model.serving.publish import merge
from cardiolect.model.serving.serve import is_servable
from cardiolect.model.training import stages
from cardiolect.model.training.settings import FinetuneSettings
from cardiolect.utils.errors import UserError
from tests.helpers.chat_templates import CHATML, FAMILIES, family, tokenizer_with
from tests.helpers.prompts import prompt_about
from tests.helpers.runs import finetune_lines, run

CODES = np.arange(9, dtype=np.uint16)
HISTORY = [("", "Sinus rhythm."), ("Why?", "no")]


def language_model(folder: Path, words) -> Path:
    model = build_tiny_llama(words, layers=2, hidden=32, heads=2, tied=False, seed=1)
    with torch.no_grad():  # answers that depend on the prompt
        torch.manual_seed(4)
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def made(llm: Path, tokenizer_folder: Path, prompt: str) -> Checkpoint:
    checkpoint = new_checkpoint(*load_language_model(llm, "fp32"), ECGTokenizer.from_pretrained(tokenizer_folder), 0)
    checkpoint.use_prompt(prompt)
    return checkpoint


@pytest.mark.parametrize("name", ["ChatML", "Gemma", "Phi-3"])
def test_stock_generate_ends_and_answers_as_chat_does(tmp_path, tokenizer_folder, name):
    checkpoint = made(language_model(tmp_path / "llm", family(name)), tokenizer_folder, "chat")
    end, head = checkpoint.vocabulary.stop_ids[0], checkpoint.model.get_output_embeddings().weight
    prompt = prompt_about(checkpoint.vocabulary, CODES, "age 56", "qa", "Is it so?")
    ids = torch.tensor([[*prompt.prefix, *prompt.question]])
    usual = checkpoint.model.generate(ids, max_new_tokens=8, do_sample=False, eos_token_id=None)[0, -1].item()
    with torch.no_grad():  # what the model writes sooner or later now ends an answer
        head[[usual, end]] = head[[end, usual]]
    save_checkpoint(checkpoint, tmp_path / "saved", merge=True)
    words, model = (cls.from_pretrained(tmp_path / "saved") for cls in (AutoTokenizer, AutoModelForCausalLM))
    chat, lengths = ECGChat(load_checkpoint(tmp_path / "saved")), set()
    for question in ("", "Is it so?", "What is the rhythm?", "Why?", "Is it fast (b)?"):
        for history in ([], HISTORY):
            messages = chat_messages([CODES], ["age 56"], question, history)
            prompt = words.apply_chat_template(messages, return_tensors="pt")
            written = model.generate(**prompt, max_new_tokens=24)[0, prompt["input_ids"].shape[1] :]
            answer = chat.ask(CODES, question, history=history, patient="age 56", max_new_tokens=24)
            assert words.decode(written, skip_special_tokens=True).strip() == answer
            ecg = chat.representation.prepared("1", CODES)
            asked = make_prompt(
                chat.checkpoint.vocabulary, [ecg], ["age 56"], "qa" if question else "report", question, history
            )
            generated = next(generate_texts(model, chat.checkpoint.vocabulary, [asked], 24, 1))[1]
            assert generated.text == answer
            assert len(written) == 24 or written[-1] == end
            lengths.add(len(written))
    assert len(lengths) > 1 and min(lengths) < 24


def test_a_pretrained_checkpoint_is_fine_tuned_either_way(tmp_path, tokenizer_folder):
    """Pretraining writes a template of its own making, and must not lose that of the language model."""
    llm = language_model(tmp_path / "llm", tokenizer_with(*FAMILIES["ChatML"]))
    base = AutoTokenizer.from_pretrained(llm)
    question = [{"role": "user", "content": "What is an ECG?"}]
    save_checkpoint(made(llm, tokenizer_folder, "plain"), tmp_path / "pretrained", merge=True)
    for source in (tmp_path / "pretrained", llm):
        model, words = load_language_model(source, "fp32")
        assert words.chat_template == CHATML
        checkpoint = new_checkpoint(model, words, ECGTokenizer.from_pretrained(tokenizer_folder), 0)
        checkpoint.use_prompt("chat")
        save_checkpoint(checkpoint, tmp_path / "chat", merge=True)
        loaded = load_checkpoint(tmp_path / "chat")
        assert loaded.info["prompt"] == "chat" and loaded.vocabulary.chat == checkpoint.vocabulary.chat
        served = AutoTokenizer.from_pretrained(tmp_path / "chat")
        assert served.apply_chat_template(question)["input_ids"] == base.apply_chat_template(question)["input_ids"]
        loaded.use_prompt("plain")  # and back: nothing of the chat stays
        save_checkpoint(loaded, tmp_path / "plain", merge=True)
        for file in ("chat_template.jinja", "generation_config.json", "base_chat_template.jinja"):
            assert (tmp_path / "plain" / file).read_text() == (tmp_path / "pretrained" / file).read_text()


def test_a_checkpoint_of_older_versions_is_plain_and_a_lost_or_other_template_is_noticed(tmp_path, tokenizer_folder):
    llm, saved = language_model(tmp_path / "llm", family("ChatML")), tmp_path / "saved"
    save_checkpoint(made(llm, tokenizer_folder, "chat"), saved, merge=True)
    info, before = json.loads((saved / "cardiolect.json").read_text()), fingerprint(saved)
    (saved / "base_chat_template.jinja").write_text(CHATML.replace("good", "bad"))
    assert fingerprint(saved) != before
    (saved / "base_chat_template.jinja").unlink()
    with pytest.raises(UserError, match=f"{saved}: PROMPT=chat: the language model has no chat template") as error:
        load_checkpoint(saved)
    assert "\n" not in str(error.value)
    for prompt, says in (("HTML", "must be plain or chat"), (["chat"], "must be plain or chat")):
        (saved / "cardiolect.json").write_text(json.dumps(info | {"prompt": prompt}))
        with pytest.raises(UserError, match=says):
            load_checkpoint(saved)
    del info["prompt"]
    (saved / "cardiolect.json").write_text(json.dumps(info))
    assert load_checkpoint(saved).vocabulary.chat is None


def test_fine_tuning_decides_and_adapters_are_merged_with_their_prompt(tmp_path, corpus, tokenizer_folder):
    llm = language_model(tmp_path / "llm", family("ChatML"))
    lines = {**finetune_lines(corpus, ""), "LLM_PATH": llm, "TOKENIZER_PATH": tokenizer_folder, "PROMPT": "chat"}
    lines |= {"MAX_STEPS": 2, "MAX_TRAIN": 20, "CHECKPOINT_FORMAT": "adapter", "LORA_RANK": 2}
    adapters = run("finetune", tmp_path, "chat", **lines)
    assert json.loads((adapters / "cardiolect.json").read_text())["prompt"] == "chat"
    assert "apply_chat_template" not in (adapters / "README.md").read_text()
    merge(adapters, tmp_path / "merged")
    assert is_servable(tmp_path / "merged") and "apply_chat_template" in (tmp_path / "merged/README.md").read_text()
    asked = [ECGChat.from_pretrained(f, "cpu").ask(CODES, "Is it so?") for f in (adapters, tmp_path / "merged")]
    assert asked[0] == asked[1]


def test_a_model_without_a_template_is_refused_before_any_work(tmp_path, tokenizer_folder, monkeypatch):
    monkeypatch.setattr(stages, "load_splits", lambda *arguments, **options: {})
    llm = language_model(tmp_path / "llm", tokenizer_with(None))
    settings = FinetuneSettings(
        tasktype="qa",
        data_root=[tmp_path],
        output_dir=tmp_path / "out",
        cache_dir=tmp_path / "cache",
        llm_path=str(llm),
        tokenizer_path=tokenizer_folder,
        prompt="chat",
    )
    with pytest.raises(UserError, match="PROMPT=chat: the language model has no chat template of its own"):
        stages.finetune(settings)


def test_a_change_of_prompt_between_two_fine_tunings_is_printed(tmp_path, tokenizer_folder, monkeypatch, capsys):
    checkpoint = made(language_model(tmp_path / "llm", family("ChatML")), tokenizer_folder, "chat")
    checkpoint.info["stage"] = "finetune"
    save_checkpoint(checkpoint, tmp_path / "chat", merge=True)
    monkeypatch.setattr(stages, "load_splits", lambda *arguments, **options: {})
    folders = {"data_root": [tmp_path], "output_dir": tmp_path / "out", "cache_dir": tmp_path / "cache"}
    with pytest.raises(KeyError, match="train"):  # there is no data
        stages.finetune(
            FinetuneSettings(tasktype="qa", checkpoint=tmp_path / "chat", accept_unknown_leakage=True, **folders)
        )
    assert "PROMPT=plain, but CHECKPOINT was fine-tuned with PROMPT=chat" in capsys.readouterr().out
