"""Which parts of a model with an encoder are trained: everything else stays as it was, to the last bit."""

import json
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cardiolect.data_provider.audit.seen import SEEN, read_seen
from cardiolect.ecg_tokenizer.encoders.settings import EncoderSettings
from cardiolect.ecg_tokenizer.encoders.training import train_encoder
from cardiolect.model.training import stages
from cardiolect.model.training.settings import FinetuneSettings
from cardiolect.utils.errors import UserError
from tests.helpers import ROOT
from tests.helpers.language_models import tiny_language_model
from tests.helpers.runs import command, finetune_lines, one_thread

ENCODER = {"REPRESENTATION": "encoder", "ENCODER": "resnet18", "ENCODER_WIDTH": 8, "ENCODER_DEPTH": 1}
TRAINED = {"LABELS": "rhythm", "STEPS": 2, "EVAL_STEPS": 2, "BATCH_SIZE": 4, "CROP_SECONDS": 2, "MAX_TRAIN": 16}
FOLDS = {"TRAIN_FOLDS": "1-8", "VALID_FOLDS": 9, "MAX_VALID": 24}
LLM = {"TUNING": "lora", "LORA_RANK": 2, "MAX_TRAIN": 16, "MAX_STEPS": 3, "EVAL_STEPS": 3, "LEARNING_RATE": 1e-2}


def stage_1(folder: Path, corpus: Path, name: str, **values) -> Path:
    lines = {**ENCODER, **FOLDS, "DATA_ROOT": corpus, "OUTPUT_DIR": folder / name, "WORKERS": 0, **values}
    lines["CACHE_DIR"] = folder / "cache"
    file = folder / f"{name}.env"
    file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    train_encoder(EncoderSettings.load(file))
    return folder / name


@pytest.fixture(scope="module")
def encoder(tmp_path_factory, corpus) -> Path:
    """A ResNet of 64 features, trained for two steps: its batch norms have statistics."""
    return stage_1(tmp_path_factory.mktemp("encoder"), corpus, "scratch", **TRAINED)


@pytest.fixture(scope="module")
def llm(tmp_path_factory) -> Path:
    return tiny_language_model(tmp_path_factory.mktemp("words"))


KEEP = """
import runpy, sys
from safetensors.torch import save_file
from cardiolect.model.training import stages
save = stages.save_checkpoint
def keep(checkpoint, folder, **options):
    state = {name: value.clone() for name, value in checkpoint.model.state_dict().items()}
    save_file(state, f"{folder}.safetensors")
    save(checkpoint, folder, **options)
stages.save_checkpoint = keep
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def tuned(tmp_path, corpus):
    """A function that fine-tunes with the given lines: the folder, the model as it was when it was saved, the log."""
    (tmp_path / "keep.py").write_text(KEEP)

    def tune(name: str, **values) -> tuple[Path, dict[str, torch.Tensor], str]:
        lines = {key: value for key, value in {**finetune_lines(corpus, ""), **LLM, **values}.items() if value != ""}
        (python, *words), output = command("finetune", tmp_path, name, **lines)
        words = [python, str(tmp_path / "keep.py"), *words]
        done = subprocess.run(words, cwd=ROOT, env=one_thread(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return output, load_file(f"{output}.safetensors"), done.stdout

    return tune


def unchanged(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[bool]:
    """Of every parameter and buffer before, whether it is the same to the bit after; rows that were added aside."""
    found = {name: after[name][: len(value)] if value.dim() else after[name] for name, value in before.items()}
    return {torch.equal(value, found[name]) for name, value in before.items()}


def saved(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def stock(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The language model's own weights by the names of its file, without those of adapters."""
    found = {
        name.split("language_model.")[1].removeprefix("base_model.model."): value
        for name, value in state.items()
        if "language_model." in name
    }
    return {
        name.replace("token_adapter.", "").replace("base_layer.", ""): value
        for name, value in found.items()
        if "lora_" not in name and "delta" not in name
    }


def parts(checkpoint: Path) -> dict[str, set[str]]:
    """What is trained and what is frozen, by the checkpoint's own figures."""
    found = json.loads((checkpoint / "cardiolect.json").read_text())["parts"]
    return {word: {name for name, part in found.items() if part[word]} for word in ("trained", "frozen")}


def test_a_projector_alone_and_then_with_adapters(tmp_path, corpus, encoder, llm, tuned):
    """LLaVA's two stages, an ECG as one token."""
    encoder = stage_1(tmp_path, corpus, "one", OBJECTIVE="none", ENCODER_INIT=encoder, ENCODER_TOKENS=1)
    begin = {"LLM_PATH": llm, "TOKENIZER_PATH": encoder, "PROJECTOR": "linear"}
    first, state, log = tuned("first", **begin, TUNING="none", LORA_RANK="")
    assert unchanged(saved(encoder), saved(first / "ecg_tokenizer")) == {True}
    assert unchanged(saved(llm), stock(state)) == {True} == unchanged(saved(llm), saved(first))
    assert parts(first) == {"trained": {"projector"}, "frozen": {"encoder", "language model"}}
    assert "\ntrained: projector 2,080; frozen: encoder 28,656, language model " in log  # 64 features to a width of 32
    second, state, _ = tuned("second", CHECKPOINT=first)
    assert unchanged(saved(encoder), saved(second / "ecg_tokenizer")) == {True}
    assert unchanged(saved(first), stock(state)) == {True}, "adapters leave the weights below them"
    assert unchanged(saved(first), saved(second)) == {True, False}, "merging does not"
    assert parts(second)["trained"] == {"adapters", "rows of ECG tokens", "projector"}
    assert unchanged(*(load_file(folder / "ecg_projector.safetensors") for folder in (first, second))) == {False}


def test_an_encoder_that_was_adapted_first_stays_frozen_below_an_mlp(tmp_path, corpus, encoder, llm, tuned):
    adapted = stage_1(tmp_path, corpus, "adapted", **TRAINED, ENCODER_INIT=encoder, ENCODER_TOKENS=3)
    assert False in unchanged(saved(encoder), saved(adapted))
    output, state, log = tuned("llm", LLM_PATH=llm, TOKENIZER_PATH=adapted, PROJECTOR="mlp")
    assert unchanged(saved(adapted), saved(output / "ecg_tokenizer")) == {True}
    assert unchanged(saved(llm), stock(state)) == {True}
    assert parts(output)["frozen"] == {"encoder", "language model"} and "projector" in log
    assert [each["stage"] for each in json.loads((output / "cardiolect.json").read_text())["corpora"]] == [
        *["tokenizer"] * 2,
        "finetune",
    ]


def test_end_to_end_trains_the_encoder_but_not_the_statistics_of_its_batch_norms(tmp_path, corpus, encoder, llm, tuned):
    whole = stage_1(tmp_path, corpus, "whole", OBJECTIVE="none", ENCODER_INIT=encoder, ENCODER_FROZEN="false")
    assert unchanged(saved(encoder), saved(whole)) == {True}
    output, _, _ = tuned("llm", LLM_PATH=llm, TOKENIZER_PATH=whole, PRECISION="bf16")
    before, after = saved(whole), saved(output / "ecg_tokenizer")
    statistics = {name: value for name, value in before.items() if "running_" in name or "num_batches" in name}
    assert statistics and unchanged(statistics, after) == {True}
    assert not any(
        torch.equal(value.to(after[name]), after[name])
        for name, value in before.items()
        if name.endswith("conv.weight")
    )
    assert parts(output)["frozen"] == {"language model"}


def test_what_cannot_be_trained_is_refused(tmp_path, corpus, encoder, llm):
    with pytest.raises(UserError, match=r"ENCODER_INIT: .* holds another encoder: width is 8 there, and 16 here"):
        stage_1(tmp_path, corpus, "wide", **TRAINED, ENCODER_INIT=encoder, ENCODER_WIDTH=16)
    with pytest.raises(UserError, match=r"ENCODER_INIT: .* does not exist"):
        stage_1(tmp_path, corpus, "nowhere", **TRAINED, ENCODER_INIT=tmp_path / "x")
    for lines, message in (
        ({"LLM_PATH": "tiny", "TOKENIZER_PATH": encoder}, "LLM_PATH=tiny .* needs TUNING=full"),
        ({"LLM_PATH": llm, "TOKENIZER_PATH": encoder, "CHECKPOINT_FORMAT": "adapter"}, "needs TUNING=lora"),
    ):
        file = tmp_path / "x.env"
        lines = {**finetune_lines(corpus, ""), "OUTPUT_DIR": tmp_path / "x", "TUNING": "none", **lines}
        del lines["CHECKPOINT"]
        file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        with pytest.raises(UserError, match=message):
            FinetuneSettings.load(file)


def test_what_the_first_encoder_has_seen_is_passed_on(tmp_path, corpus, encoder):
    before = read_seen(encoder)
    random = read_seen(stage_1(tmp_path, corpus, "copy", OBJECTIVE="none", ENCODER_INIT=encoder))
    assert before.marks == random.marks and before.marks
    later = stage_1(tmp_path, corpus, "later", **{**TRAINED, "TRAIN_FOLDS": 7, "MAX_VALID": 4}, ENCODER_INIT=encoder)
    assert before.marks < read_seen(later).marks and not read_seen(later).unknown
    (encoder / SEEN).rename(encoder / "away")
    try:
        with pytest.raises(UserError, match="ACCEPT_UNKNOWN_LEAKAGE=true"):
            stage_1(tmp_path, corpus, "unknown", **TRAINED, ENCODER_INIT=encoder)
        found = stage_1(tmp_path, corpus, "unknown", **TRAINED, ENCODER_INIT=encoder, ACCEPT_UNKNOWN_LEAKAGE="true")
        assert "encoder that training started from" in read_seen(found).unknown
    finally:
        (encoder / "away").rename(encoder / SEEN)


def test_codes_have_no_projector_to_train_alone(tmp_path, corpus, checkpoint_folder):
    file = tmp_path / "x.env"
    lines = {**finetune_lines(corpus, checkpoint_folder), "OUTPUT_DIR": tmp_path / "x", "TUNING": "none"}
    lines |= {"CACHE_DIR": tmp_path / "cache", "WORKERS": 0}
    file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    with pytest.raises(UserError, match="TUNING=none: the ECGs are codes, which have no projector"):
        stages.finetune(FinetuneSettings.load(file))
