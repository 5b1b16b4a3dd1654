"""Training through the real entry points: ranks, resume, frozen rows, and a checkpoint that stands alone."""

import json
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainingArguments

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.model.llm.checkpoint import load_checkpoint
from cardiolect.model.llm.tiny import build_tiny_llama, train_bpe
from cardiolect.model.training.muon import muon
from tests.helpers import ROOT
from tests.helpers.gguf_files import tiny_llama, write_gguf
from tests.helpers.language_models import tiny_language_model
from tests.helpers.runs import command, curve, finetune_lines, one_thread, pretrain_lines, run


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_training_compiles_nothing(tmp_path, corpus, tokenizer_folder, monkeypatch, optimizer):
    """A compiled op needs a compiler, and the lock of a run killed while compiling stops all later ones."""
    for cache in ("TORCH_EXTENSIONS_DIR", "TORCHINDUCTOR_CACHE_DIR"):
        monkeypatch.setenv(cache, str(tmp_path / "compiled" / cache))
    lines = pretrain_lines(corpus, tokenizer_folder)
    run("pretrain", tmp_path, "pre", **lines, OPTIMIZER=optimizer, NUM_PROCESSES=2)
    assert not list(tmp_path.glob("compiled/*/*"))


def test_training_follows_the_chosen_schedule(tmp_path, corpus, tokenizer_folder):
    """One cycle of six steps, two of them warm-up, to a peak of 0.001."""
    output = run("pretrain", tmp_path, "pre", **pretrain_lines(corpus, tokenizer_folder), SCHEDULE="one-cycle")
    events = EventAccumulator(str(output / "tensorboard")).Reload()
    rates = [event.value for event in events.Scalars("train/learning_rate")]
    shares = [0.04, 1, 0.853555, 0.500002, 0.146450, 0.000004]
    assert rates == pytest.approx([1e-3 * share for share in shares], rel=1e-4)


def test_muon_trains_the_layers_and_adamw_the_token_tables():
    model = build_tiny_llama(train_bpe({"an ECG"}, 300), layers=1, hidden=16, heads=2, tied=False, seed=0)
    tables = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
    arguments = TrainingArguments(learning_rate=0.5, weight_decay=0.25, use_cpu=True, report_to=[])
    matrices, others = muon(model, tables, 0.125, arguments).param_groups
    assert {id(p) for p in matrices["params"]} == {
        id(p) for name, p in model.named_parameters() if name.endswith("proj.weight")
    }
    assert (matrices["lr"], matrices["weight_decay"]) == (0.125, 0.25)
    # DeepSpeed's own defaults would win if they stood anywhere but in the group.
    assert (others["lr"], others["betas"], others["eps"], others["weight_decay"]) == (0.5, (0.9, 0.95), 1e-10, 0)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_two_ranks_of_zero2_have_the_loss_curve_of_one(tmp_path, corpus, pretrained, optimizer):
    """Rows of unequal answer length, and accumulation: only a loss normalised over the global batch agrees."""
    lines = {**finetune_lines(corpus, pretrained), "TUNING": "full", "ECG_LOSS_WEIGHT": 0.1, "OPTIMIZER": optimizer}
    lines.update(QUESTIONS_PER_ECG=16, MAX_STEPS=15)  # crosses the end of an epoch that fills no whole batch
    one = run("finetune", tmp_path, "one", BATCH_SIZE=4, GRADIENT_ACCUMULATION_STEPS=2, **lines)
    two = run("finetune", tmp_path, "two", BATCH_SIZE=4, NUM_PROCESSES=2, **lines)
    assert len(curve(one)) == 15 and json.loads((one / "cardiolect.json").read_text())["epochs"] > 1
    np.testing.assert_allclose(curve(one), curve(two), rtol=2e-4)
    infos = [json.loads((o / "cardiolect.json").read_text()) for o in (one, two)]
    assert infos[0]["valid_loss"] == pytest.approx(infos[1]["valid_loss"], rel=1e-4)


def test_batches_of_workers_are_those_of_the_rank(tmp_path, corpus, pretrained, tokenizer_folder):
    lines = {**pretrain_lines(corpus, tokenizer_folder), "WORKERS": 2}
    np.testing.assert_allclose(curve(run("pretrain", tmp_path, "pre", **lines)), curve(pretrained), rtol=1e-6)


def test_bad_recordings_are_counted_over_all_ranks(tmp_path, corpus, tokenizer_folder):
    """One in each rank's share: neither rank is above what is allowed, together they are."""
    damaged = shutil.copytree(corpus, tmp_path / "damaged")
    trained_on = [ref for ref in load_database(damaged).values() if ref.fold <= 8]
    for file in (ref.path.with_suffix(".dat") for ref in trained_on[:2]):
        file.write_bytes(file.read_bytes()[:100])
    lines = {**pretrain_lines(damaged, tokenizer_folder), "NUM_PROCESSES": 2, "MAX_BAD_RECORDS": 0.015}
    words, _ = command("pretrain", tmp_path, "pre", **lines)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=one_thread())
    assert done.returncode == 2 and re.search(r"2 recordings could not be read; the first: .*\w", done.stderr)
    assert "Traceback" not in done.stderr


def test_two_ranks_train_the_tokenizer_of_one(tmp_path, corpus):
    """Shares of one batch, also where measurements are missing: the gradient is that of the whole batch."""
    table = tmp_path / "measurements.csv"
    header, *rows = (corpus / "measurements.csv").read_text().splitlines()
    table.write_text("\n".join([header, *rows[::3]]) + "\n")
    lines = {
        "DATA_ROOT": corpus,
        "TRAIN_FOLDS": "1-8",
        "VALID_FOLDS": 9,
        "STEPS": 6,
        "BATCH_SIZE": 6,
        "HIDDEN": 16,
        "MEASUREMENTS_DATA": table,
        "MEASUREMENTS": "rr_interval,qt_interval",
        "LEAD_DROPOUT": 0.3,
        "MUON_LEARNING_RATE": 1e-3,
    }
    one, two = (run("tokenizer", tmp_path, f"on{n}", **lines, NUM_PROCESSES=n) for n in (1, 2))
    weights = [load_file(folder / "model.safetensors") for folder in (one, two)]
    for name in weights[0]:
        # Muon orthogonalises in bf16, where the last bit of a gradient shows; without averaging 3e-3 are between them.
        torch.testing.assert_close(weights[1][name], weights[0][name], rtol=0, atol=3e-4)
    prdns = [json.loads((folder / "metrics.json").read_text())["prdn"] for folder in (one, two)]
    assert prdns[0] == pytest.approx(prdns[1], rel=1e-4)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_killed_run_resumes_to_the_loss_of_the_unbroken_one(tmp_path, corpus, pretrained, optimizer):
    lines = {**finetune_lines(corpus, pretrained), "TUNING": "full", "MAX_STEPS": 12, "BATCH_SIZE": 4}
    lines["OPTIMIZER"] = optimizer
    unbroken = run("finetune", tmp_path, "unbroken", **lines)
    words, killed = command("finetune", tmp_path, "killed", **lines)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(words, cwd=ROOT, env=one_thread(), **quiet)
    saved = killed / "resume/checkpoint-6/trainer_state.json"
    deadline = time.time() + 120
    while not saved.exists() and time.time() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert saved.exists() and not (killed / "cardiolect.json").exists()
    # What a later step left behind would make this test pass without resuming from the middle.
    for folder in (killed / "resume").glob("checkpoint-*"):
        if int(folder.name.split("-")[1]) > 6:
            shutil.rmtree(folder)
    run("finetune", tmp_path, "killed", **lines)
    np.testing.assert_allclose(curve(killed), curve(unbroken), rtol=1e-5)
    weights = [AutoModelForCausalLM.from_pretrained(f).state_dict() for f in (unbroken, killed)]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=1e-4, atol=1e-6)


def test_in_full_tuning_text_rows_stay_to_the_bit_and_ecg_rows_move(tmp_path, corpus, pretrained):
    tuned = run("finetune", tmp_path, "full", **finetune_lines(corpus, pretrained), TUNING="full", ECG_LOSS_WEIGHT=1)
    before, after = (load_checkpoint(p) for p in (pretrained, tuned))
    first = before.vocabulary.start_id
    old, new = (c.model.get_input_embeddings().weight for c in (before, after))
    assert torch.equal(old[:first], new[:first])
    assert not torch.equal(old[first:], new[first:])


def test_adapters_of_a_gguf_file_load_on_the_folder_that_was_made_from_it(tmp_path, corpus, tokenizer_folder):
    file = write_gguf(tmp_path / "llm.gguf", tiny_llama())
    lines = {**pretrain_lines(corpus, tokenizer_folder), "LLM_PATH": file, "TUNING": "lora", "LORA_RANK": 4}
    trained = run("pretrain", tmp_path, "adapter", CHECKPOINT_FORMAT="adapter", **lines)
    config = json.loads((trained / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "llm")
    assert load_checkpoint(trained).info["base_model"] == "llm.gguf"


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_lora_trains_adapters_and_ecg_rows_of_embedding_and_head_only(tmp_path, corpus, tokenizer_folder, tied):
    base = tiny_language_model(tmp_path / "llm", tied=tied)
    lines = {**pretrain_lines(corpus, tokenizer_folder), "LLM_PATH": base, "TUNING": "lora", "LORA_RANK": 4}
    lines["PRETRAIN_OBJECTIVE"] = "multiscale"
    merged = load_checkpoint(run("pretrain", tmp_path, "merged", **lines))
    adapter = load_checkpoint(run("pretrain", tmp_path, "adapter", CHECKPOINT_FORMAT="adapter", **lines))
    stock = AutoModelForCausalLM.from_pretrained(base)
    first = merged.vocabulary.start_id
    tables = {
        "embedding": lambda m: m.get_input_embeddings().weight,
        "head": lambda m: m.get_output_embeddings().weight,
    }
    for table in tables.values():
        assert torch.equal(table(merged.model)[:first], table(stock)[:first])
    fresh_head = tables["head"](merged.model)[first:].std(0)
    assert torch.isfinite(fresh_head).all()
    ids = torch.tensor([merged.vocabulary.code_ids(np.arange(30))])
    with torch.no_grad():
        torch.testing.assert_close(merged.model(ids).logits, adapter.model(ids).logits, rtol=1e-4, atol=1e-4)
    stages = {"merged": tmp_path / "merged", "adapter": tmp_path / "adapter"}
    for name, checkpoint in stages.items():  # both kinds go on to stage 3
        extra = {"CHECKPOINT_FORMAT": name, "LORA_RANK": 4}
        run("finetune", tmp_path, f"ft_{name}", **finetune_lines(corpus, checkpoint, "report"), **extra)


def test_the_tiny_checkpoint_is_a_stock_model(pretrained):
    checkpoint = load_checkpoint(pretrained)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(pretrained), AutoTokenizer.from_pretrained(pretrained)
    ids = tokenizer("<|bos|><|ecg_start|><|ecg_1|><|ecg_2|><|ecg_end|>Report:", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert torch.equal(model(ids).logits, checkpoint.model(ids).logits)
    assert not [p for p in pretrained.iterdir() if p.suffix in (".pt", ".bin", ".pth", ".pkl")]
