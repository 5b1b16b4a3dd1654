"""``cardiolect merge`` and ``export``: answers stay what they were, and a folder says what was measured."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from cardiolect.data_provider.audit.seen import load_seen
from cardiolect.model.cli import commands as cli
from cardiolect.model.inference.chat import ECGChat
from cardiolect.utils.errors import UserError
from tests.helpers.results import evaluated

QUESTION = "Does this ECG show atrial fibrillation?"


def test_merged_adapters_answer_as_before(said, adapters, record, tmp_path):
    out, asked = tmp_path / "merged", ["ask", record, QUESTION, "Normal?", "--max-new-tokens", 12, "--checkpoint"]
    said("merge", adapters, "--out", out)
    before = said(*asked, adapters)
    assert said(*asked, out) == before
    chat = ECGChat.from_pretrained(adapters, "cpu")
    with chat.checkpoint.model.disable_adapter():
        assert chat.ask(chat.read(record), QUESTION, max_new_tokens=12) != before.splitlines()[0]


def test_an_export_that_fails_leaves_nothing_behind(said, adapters, tmp_path, monkeypatch):
    out = tmp_path / "model"

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError):
        patched.setattr("cardiolect.model.serving.publish.model_card", full)
        said("export", adapters, "--out", out)
    assert not out.exists()
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(UserError, match="exists and is not empty"):
        said("export", adapters, "--out", out)
    assert (out / "mine").exists()


def test_an_export_says_what_was_measured_and_nothing_of_this_machine(said, adapters, record, tmp_path, monkeypatch):
    out, result = tmp_path / "my-model", evaluated(tmp_path / "result", adapters)
    said("export", adapters, "--results", result, "--out", out, "--license", "cc-by-4.0")
    card = (out / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "cc-by-4.0" and front["model-index"][0]["name"] == "my-model"
    metrics = {m["name"]: m["value"] for m in front["model-index"][0]["results"][0]["metrics"]}
    assert metrics == {
        "exact match, with ECG": 66.67,
        "exact match, no ECG": 33.33,
        "signal-use gap of exact match": 33.33,
    }
    assert "| exact match | 66.7 | 33.3 |" in card and "### Questions on ptb-xl" in card
    assert re.search(r"gap of exact match: \+33\.3 points \[[-\d.]+, [\d.]+\] against the best floor, no ECG", card)
    for name in ("Intended use", "Limits", "Training"):
        assert f"\n## {name}\n" in card
    assert "Not for clinical diagnosis" in card and "| finetune | ptb-xl | unknown | unknown |" in card
    assert load_seen(out) == {"0123456789abcdef"} and "ptb-xl: unknown" in (out / "LICENSE").read_text()
    for path in out.rglob("*"):
        text = path.read_bytes().decode(errors="ignore") if path.is_file() else ""
        assert str(tmp_path.parent) not in text and "/home/" not in text and str(adapters.parent) not in text, path

    monkeypatch.chdir(out)
    AutoModelForCausalLM.from_pretrained(".")
    Path("ecg.txt").write_text(said("tokens", record, "--checkpoint", "."))
    chat, transformers = re.findall(r"```python\n(.+?)```", card, re.DOTALL)
    exec(chat.replace('"RECORD"', repr(record)), {})
    exec(transformers, {})


def test_results_of_adapters_are_taken_for_what_they_were_merged_into(said, adapters, tmp_path):
    result, merged = evaluated(tmp_path / "result", adapters), tmp_path / "merged"
    said("merge", adapters, "--out", merged)
    said("export", merged, "--results", result, "--out", tmp_path / "out")
    assert "| exact match | 66.7 | 33.3 |" in (tmp_path / "out/README.md").read_text()


def test_an_export_is_ready_to_generate_in_its_precision_and_names_no_folder(said, stock, tmp_path):
    source, out = shutil.copytree(stock, tmp_path / "source"), tmp_path / "out"
    AutoModelForCausalLM.from_pretrained(stock, dtype=torch.bfloat16).save_pretrained(source)
    for name, more in {
        "config.json": {"use_cache": False},
        "tokenizer_config.json": {"name_or_path": "/home/ann/llm", "is_local": True, "local_files_only": True},
    }.items():
        (source / name).write_text(json.dumps(json.loads((source / name).read_text()) | more))
    info = json.loads((source / "cardiolect.json").read_text())
    info["settings"] |= {"precision": "bf16", "data_root": ["C:\\Users\\ann\\ptb-xl"], "cache_dir": "D:\\ann\\cache/"}
    (source / "cardiolect.json").write_text(json.dumps(info))
    said("export", source, "--results", evaluated(tmp_path / "result", source), "--out", out)
    config = json.loads((out / "config.json").read_text())
    assert config["use_cache"] is True and config["dtype"] == "bfloat16"
    with safe_open(out / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.bfloat16}  # noqa: SIM118
    words = json.loads((out / "tokenizer_config.json").read_text())
    assert not {"name_or_path", "is_local", "local_files_only"} & set(words) and "eos_token" in words
    settings = json.loads((out / "cardiolect.json").read_text())["settings"]
    assert settings["data_root"] == ["ptb-xl"] and settings["cache_dir"] == "cache"
    assert not [path for path in out.rglob("*") if path.is_file() and b"\\ann" in path.read_bytes()]


def test_an_export_without_chat_template_says_so(adapters, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("cardiolect.model.llm.saving.set_chat_template", lambda vocabulary: False)
    result, out = evaluated(tmp_path / "result", adapters), tmp_path / "out"
    cli.main(["export", str(adapters), "--results", str(result), "--out", str(out)])
    assert "no chat template is exact" in capsys.readouterr().err and (out / "README.md").is_file()


def test_a_result_of_another_checkpoint_is_not_exported(stock, adapters, tmp_path):
    result = evaluated(tmp_path / "result", stock)
    with pytest.raises(UserError, match="measured on another checkpoint"):
        cli.main(["export", str(adapters), "--results", str(result), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
