"""The source tree keeps its shape: imports run down one line and in no circle, and files and folders stay small."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers import ROOT

# A module imports from its own room and from rooms further down. Rooms of one row do not know each other.
LINE = (
    ("tests",),
    ("run_main", "run_eval", "cardiolect"),
    ("bench",),
    ("tests.helpers.ishne", "tests.helpers.scp", "tests.helpers.xml_files"),  # writers of formats; bench damages files
    ("model.entry",),
    ("model.demo",),
    ("model.cli",),
    ("model.comparison",),
    ("model.all_settings",),
    ("model.training", "model.serving"),
    ("model.evaluation",),
    ("model.inference",),
    ("model.llm",),
    ("model.prompt",),
    ("ecg_tokenizer",),
    ("data_provider",),
    ("utils",),
)
# Imports against the line that are still there; one that is gone leaves this list.
NOT_YET: set[tuple[str, str]] = set()
PACKAGES = ("model", "ecg_tokenizer", "data_provider", "utils")  # imported through cardiolect
FOLDERS = ("tests", "bench", "cardiolect", *PACKAGES)
MOST_LINES = 400
MOST_ENTRIES = 12


class Import(NamedTuple):
    """One imported module, or one name imported from a module."""

    module: str  # "" in `from . import name`
    name: str | None
    dots: int  # of a relative import
    in_function: bool


def imports(node: ast.AST, in_function: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, None, 0, in_function) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (Import(child.module or "", alias.name, child.level, in_function) for alias in child.names)
        else:
            yield from imports(child, in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def dotted(path: Path) -> str:
    """``model.prompt`` for model/prompt/__init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = [*sorted(ROOT.glob("*.py")), *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]
TREES = {dotted(path): ast.parse(path.read_text()) for path in FILES}
IMPORTS = {module: list(imports(tree)) for module, tree in TREES.items()}


def imported(module: str, in_functions: bool) -> set[str]:
    """The modules of this project that a module imports; ``from package import submodule`` imports the submodule."""
    found = set()
    for each in IMPORTS[module]:
        if in_functions or not each.in_function:
            names = (f"{each.module}.{each.name}", each.module)
            found |= set([short for name in names if (short := name.removeprefix("cardiolect.")) in IMPORTS][:1])
    return found


def room_of(module: str) -> tuple[int, str]:
    """The row on the line and the name of a module's room, the innermost one."""
    found = [(row, room) for row, rooms in enumerate(LINE) for room in rooms if f"{module}.".startswith(f"{room}.")]
    if found:
        return max(found, key=lambda place: len(place[1]))
    pytest.fail(f"{module} has no place on the line of imports; give its folder one in LINE")


def test_imports_run_down_the_line_only():
    against = set()
    for module in IMPORTS:
        for other in imported(module, in_functions=True):
            (row, room), (other_row, other_room) = room_of(module), room_of(other)
            if room != other_room and row >= other_row:
                against.add((module, other))
    assert against == NOT_YET


def test_evaluation_does_not_know_the_simulator():
    """The true findings of a simulated ECG come with its corpus, so what is scored could be any corpus."""
    known, found = set(), [module for module in IMPORTS if module.startswith("model.evaluation.")]
    while found:
        module = found.pop()
        new = imported(module, in_functions=False) - known
        known |= new
        found += new
    assert [module for module in sorted(known) if module.startswith("data_provider.simulator")] == []


def test_tasks_are_looked_up_not_compared():
    """What depends on the task is a field of `model.prompt.tasks.Task`."""
    compared = [
        (module, part.value)
        for module, tree in TREES.items()
        if module.startswith("model.")
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and part.value in ("qa", "report", "instruct")
    ]
    assert compared == []


def test_no_imports_run_in_a_circle():
    """Imports inside functions run later, so they close no circle."""
    try:
        TopologicalSorter({module: imported(module, in_functions=False) for module in IMPORTS}).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_every_import_of_our_packages_is_absolute_through_cardiolect():
    others = [
        (module, each.module or "." * each.dots)
        for module, found in IMPORTS.items()
        for each in found
        if each.dots or each.module.split(".")[0] in PACKAGES
    ]
    assert others == []


def test_no_file_is_long():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


@pytest.mark.parametrize("folder", ["model", "data_provider"])
def test_a_folder_is_seen_at_a_glance(folder):
    files = (path for path in (ROOT / folder).rglob("*.py") if path != ROOT / folder / "__init__.py")
    entries = {path.relative_to(ROOT / folder).parts[0] for path in files}
    assert len(entries) <= MOST_ENTRIES, sorted(entries)


def test_the_formatter_lays_out_every_line():
    switches = [f"# fmt: {word}" for word in ("skip", "off")]
    assert [str(path.relative_to(ROOT)) for path in FILES if any(each in path.read_text() for each in switches)] == []
