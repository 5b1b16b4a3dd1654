"""What README and docs name exists: links, files, modules, commands; the picture is what its script draws."""

import re
import runpy
from importlib import import_module

import pytest

from cardiolect.model.cli.commands import TOOLS, build_parser
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
    paths = re.findall(rf"(?<![\w/.-])({FOLDERS}/[\w/]*(?:\.(?:py|sh|env|md|svg))?)(?![\w*{{<])", text)
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


def test_the_picture_of_the_datas_way_is_up_to_date():
    drawn = runpy.run_path(str(ROOT / "docs/figures/data_way.py"))
    assert (ROOT / "docs/figures/data_way.svg").read_text() == drawn["page"](drawn["both"]())
