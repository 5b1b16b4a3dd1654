"""The version of this project that is running: its number and, in a git checkout, the commit."""

import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def code_version(root: Path = ROOT) -> str:
    """For example "0.1.0, commit 926cda3f0b12, with changes"; the number alone outside of a git checkout.

    Changes are those of tracked files.
    """
    project = root / "pyproject.toml"
    if project.is_file():  # the source tree, whatever else is installed
        number = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    else:
        try:
            number = version("cardiolect")
        except PackageNotFoundError:
            number = "unknown version"
    if not (root / ".git").exists():  # a folder above may be another project's checkout
        return number
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    if not commit or changes is None:
        return f"{number}, commit unknown"
    return f"{number}, commit {commit}{', with changes' if changes else ''}"


def _git(root: Path, *words: str) -> str | None:
    """What git prints; None if it fails or is not installed."""
    try:
        return subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
