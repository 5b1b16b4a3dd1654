"""A run can say which code it is of."""

import subprocess

import pytest

from cardiolect.utils.code_version import code_version


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "cardiolect"\nversion = "7.8"\n')
    return tmp_path


def git(folder, *words) -> str:
    own = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", "-C", folder, *own, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_in_a_checkout_the_commit_and_changes_are_named(tree):
    git(tree, "init", "-q")
    assert code_version(tree) == "7.8, commit unknown", "nothing is committed yet"
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "one")
    commit = git(tree, "rev-parse", "--short=12", "HEAD")
    (tree / "results.txt").write_text("untracked")
    assert code_version(tree) == f"7.8, commit {commit}"
    (tree / "pyproject.toml").write_text('[project]\nversion = "7.9"\n')
    assert code_version(tree) == f"7.9, commit {commit}, with changes"


def test_elsewhere_the_number_is_all(tree, monkeypatch):
    git(tree, "init", "-q")
    (tree / "inside").mkdir()
    (tree / "pyproject.toml").rename(tree / "inside/pyproject.toml")
    assert code_version(tree / "inside") == "7.8", "the checkout of another project"
    (tree / "inside/.git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert code_version(tree / "inside") == "7.8, commit unknown", "without git"
