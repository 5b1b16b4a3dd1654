"""What LLM_PATH names is found, made once, or refused in one line before a run begins."""

import subprocess
import sys

import pytest

from cardiolect.model.llm import sources
from cardiolect.model.llm.sources import check_source, language_model_folder
from cardiolect.utils.errors import UserError
from tests.helpers import ROOT
from tests.helpers.gguf_files import tiny_llama, write_gguf


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)


def test_a_hub_id_without_a_network_says_how_to_get_the_model():
    for ask in (check_source, language_model_folder):
        with pytest.raises(UserError, match=r"hf download some/Model-1B --local-dir llm/Model-1B`") as caught:
            ask("some/Model-1B")
        assert "\n" not in str(caught.value)


def test_a_missing_folder_is_not_taken_for_a_hub_id(tmp_path):
    (tmp_path / "llm").mkdir()
    for path in ("llm/Llama-3.2-3B", "/no/llm", "a/b/c", "Llama", "../llm/x"):
        with pytest.raises(UserError, match="does not exist"):
            check_source(path)


def test_a_file_must_be_a_gguf_file(tmp_path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UserError, match=r"not a \.gguf file"):
        check_source("model.safetensors")
    check_source(str(tmp_path))


def test_a_folder_of_another_file_is_neither_used_nor_overwritten(tmp_path):
    """`x.gguf` replaced by another file: its folder holds the model of the first."""
    file = write_gguf(tmp_path / "x.gguf", tiny_llama(tied=True))
    assert language_model_folder(file) == tmp_path / "x"
    held = (tmp_path / "x" / "model.safetensors").read_bytes()
    write_gguf(file, tiny_llama(tied=False))
    with pytest.raises(UserError, match=r"exists and was not made from this x\.gguf"):
        language_model_folder(file)
    assert (tmp_path / "x" / "model.safetensors").read_bytes() == held


@pytest.mark.parametrize(("rank", "first"), [(0, True), (1, False), (2, True), (3, False)])
def test_one_rank_of_each_machine_converts_if_they_do_not_share_the_folder(tmp_path, monkeypatch, rank, first):
    """Ranks 2 and 3 are on a second machine; if both converted, one would find the other's folder in its way."""
    done = []
    monkeypatch.setattr(sources, "_converted", lambda file: done.append("convert") or tmp_path)
    monkeypatch.setattr(sources.launch, "rank", lambda: rank)
    monkeypatch.setattr(sources.launch, "sharing_ranks", lambda folder: [0, 1] if rank < 2 else [2, 3])
    monkeypatch.setattr(sources.launch, "barrier", lambda: done.append("wait"))
    (tmp_path / "a.gguf").touch()
    sources.language_model_folder(tmp_path / "a.gguf")
    assert done == ["convert"] * first + ["wait", "convert"]


def test_settings_are_read_without_loading_libraries_that_must_be_quietened_first():
    """huggingface_hub reads whether it shows progress bars when it is imported."""
    words = "import sys, cardiolect.model.entry; print(*{'huggingface_hub', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == []
