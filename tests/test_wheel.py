"""A wheel holds the whole project under one import name, and works without the source tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.helpers import ROOT

PACKAGES = ("model", "ecg_tokenizer", "data_provider", "utils")
DATA = {
    "cardiolect/data_provider/texts/reasoning/wordings.json",
    *(f"cardiolect/{path.relative_to(ROOT).as_posix()}" for path in ROOT.glob("data_provider/texts/*/textbook/*.md")),
    "cardiolect/model/demo/page.css",
    "cardiolect/model/evaluation/card.md",
    "cardiolect/model/evaluation/page.html",
    "cardiolect/model/llm/plain_text.txt",
    # The built-in checkpoint and its example, as the tree holds them.
    *(path.relative_to(ROOT).as_posix() for path in (ROOT / "cardiolect/builtin").rglob("*") if path.is_file()),
}


def run(code: str, folder: Path, path: Path | None = None) -> subprocess.CompletedProcess:
    """Python code in a process of its own, with ``path`` before what is installed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy of the tree, because setuptools leaves files where it builds."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for package in ("cardiolect", *PACKAGES):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    done = run(f"from setuptools import build_meta; build_meta.build_wheel({str(out)!r})", tree)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    ZipFile(wheel).extractall(folder)
    return folder


def test_the_only_import_name_is_cardiolect(wheel):
    top = {name.split("/")[0] for name in ZipFile(wheel).namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"cardiolect"}


def test_every_module_and_the_package_data_are_in_the_wheel(wheel):
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "cardiolect").rglob("*.py")}
    for package in PACKAGES:
        modules |= {f"cardiolect/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / package).rglob("*.py")}
    held = {name for name in ZipFile(wheel).namelist() if name.startswith("cardiolect/")}
    assert held == modules | DATA


def test_the_wheel_alone_offers_what_the_readme_imports(unpacked, tmp_path):
    code = (
        "import sys; from cardiolect import ECGChat, ECGTokenizer, read_record;"
        "print(*(module.__file__ for name, module in sys.modules.items() if name.split('.')[0] == 'cardiolect'))"
    )
    done = run(code, tmp_path, path=unpacked)
    assert done.returncode == 0, done.stderr[-2000:]
    files = [Path(name) for name in done.stdout.split()]
    assert unpacked / "cardiolect/model/inference/chat.py" in files
    assert [file for file in files if not file.is_relative_to(unpacked)] == []


def test_the_wheel_alone_reads_its_example_and_answers(unpacked, tmp_path):
    code = "from cardiolect import ECGChat; print(ECGChat.read('example').seconds)"
    if (ROOT / "cardiolect/builtin/cardiolect.json").is_file():
        code += "; print(ECGChat.from_pretrained(device='cpu').ask(ECGChat.read('example'), max_new_tokens=3))"
    done = run(code, tmp_path, path=unpacked)
    assert done.returncode == 0 and done.stdout.startswith("10.0\n"), done.stderr[-2000:]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_folders_of_the_tree_are_not_packages_of_their_own(package, unpacked, tmp_path):
    done = run(f"import {package}", tmp_path, path=unpacked)
    assert done.returncode and f"ModuleNotFoundError: No module named '{package}'" in done.stderr
