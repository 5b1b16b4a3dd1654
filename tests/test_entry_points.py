"""Every command can be started: what a module imports is there."""

import importlib

import pytest

from tests.helpers import ROOT

COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("bench", "model", "ecg_tokenizer", "data_provider", "utils")
    for path in (ROOT / package).rglob("*.py")
    if package == "bench" or path.name == "__main__.py" or '__name__ == "__main__"' in path.read_text()
)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_finds_what_it_imports(name):
    importlib.import_module(name)
