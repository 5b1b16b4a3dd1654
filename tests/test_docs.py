"""What README and docs name exists: links, files, modules, commands; the picture is what its script draws."""

import re
import runpy
import shlex
import tomllib
from importlib import import_module

import pytest
import yaml

from cardiolect.model.cli.commands import TOOLS, build_parser
from cardiolect.model.cli.commands import main as cardiolect
from tests.helpers import ROOT

HISTORY = ("LOG.md", "CHANGELOG.md")  # they name what was
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PRESENT = [page for page in PAGES if page.name not in HISTORY]
OTHERS = {"utils/tools.py", "utils/evaluation.py", "cardiolect.json"}  # HeartLLM's files, and a checkpoint's
FOLDERS = r"(?:model|ecg_tokenizer|data_provider|utils|env|bench|tests|docs|cardiolect)"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: page.name)
def test_files_and_modules_exist(page):
    text = page.read_text()
    paths = re.findall(rf"(?<![\w/.-])({FOLDERS}/[\w/]*(?:\.(?:py|sh|env|md|svg|png))?)(?![\w*{{<])", text)
    assert [path for path in paths if path not in OTHERS and "NAME" not in path and not (ROOT / path).exists()] == []
    for name in set(re.findall(r"`(cardiolect\.[\w.]+)", text)) - OTHERS:
        module, found = name.rstrip("."), None
        while found is None:
            try:
                found = import_module(module)
            except ModuleNotFoundError:
                module = module.rpartition(".")[0]
        for attribute in name.rstrip(".").removeprefix(module).split(".")[1:]:
            found = getattr(found, attribute)
    benchmarks = re.findall(r"python -m (bench\.\w+)", text)
    assert [name for name in benchmarks if not (ROOT / f"{name.replace('.', '/')}.py").is_file()] == []


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: page.name)
def test_commands_exist(page):
    known = {*TOOLS, *re.findall(r"\n  (\w+)", build_parser().epilog)}
    used = re.findall(r"(?:^ *|`)cardiolect ([a-z]+)", page.read_text(), flags=re.MULTILINE)
    assert set(used) <= known


def test_examples_and_experiments_name_folders_that_a_reader_may_have():
    files = [*PRESENT, *ROOT.glob("*.sh"), *(path for path in (ROOT / "env").rglob("*") if path.is_file())]
    assert [str(file) for file in files if "../shared" in file.read_text()] == []


def test_the_commands_for_own_recordings_run(corpus, stock, tmp_path, monkeypatch):
    """On recordings in a format each, in a folder and one in it."""
    section = (ROOT / "docs/DATA.md").read_text().partition("## Your own recordings")[2].partition("\n## ")[0]
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("visit1.csv", "visit2.edf", "ward/visit3.dcm"), start=1):
        cardiolect(["convert", str(corpus / f"records500/00000/{number:05}_hr"), f"my_ecgs/{name}"])
    commands = re.findall(r"^cardiolect (.*)", section, flags=re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["inspect", "convert", "show", "report", "prepare", "audit"]
    for command in commands:
        checkpoint = ["--checkpoint", str(stock)] if command.startswith("report") else []
        cardiolect([*shlex.split(command), *checkpoint])
    assert (tmp_path / "converted/ward/visit3.hea").is_file() and (tmp_path / "visit1.png").is_file()
    assert (tmp_path / "data/own/manifest.json").is_file() and (tmp_path / "results/audit_own/audit.html").is_file()


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


def test_the_picture_of_the_datas_way_is_up_to_date():
    drawn = runpy.run_path(str(ROOT / "docs/figures/data_way.py"))
    assert (ROOT / "docs/figures/data_way.svg").read_text() == drawn["page"](drawn["both"]())
