"""The commands of docs/RECIPES.md for a hospital's folder run as they stand, on simulated recordings."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cardiolect.model.cli.commands import main as cardiolect
from tests.helpers import ROOT

RECORDINGS = 20
SHORT = {"MAX_STEPS": 2, "EVAL_STEPS": 2, "WARMUP_STEPS": 1, "DEVICE": "cpu", "BOOTSTRAP_RESAMPLES": 20, "WORKERS": 0}


def commands(heading: str) -> list[str]:
    """Those in the bash blocks of a section, in order, without their comments."""
    section = (ROOT / "docs/RECIPES.md").read_text().partition(f"## {heading}")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```bash\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    lines = (line.partition("  #")[0].strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A folder that looks like the project's, and in which a run may write."""
    for path in ROOT.iterdir():
        if path.name not in ("data", "checkpoints", "results", "llm") and not path.name.startswith("."):
            (tmp_path / path.name).symlink_to(path)
    return tmp_path


def test_a_hospitals_folder_is_looked_at_asked_about_trained_on_and_evaluated(checkout, corpus, monkeypatch):
    monkeypatch.chdir(checkout)
    texts = []
    for number in range(1, RECORDINGS + 1):
        cardiolect(["convert", str(corpus / f"records500/00000/{number:05}_hr"), f"my_ecgs/visit{number}.csv"])
        about = {"ecg_id": f"visit{number}"}
        asked = {"question": "Is there atrial fibrillation?", "answer": [("yes", "no")[number % 2]]}
        texts += [about | asked | {"question_type": "single-verify"}, about | {"report": "Sinus rhythm."}]
    (checkout / "my_texts.json").write_text(json.dumps(texts))
    program = f"{sys.executable} -m cardiolect "
    environment = os.environ | {name: str(value) for name, value in SHORT.items()} | {"PYTHON": sys.executable}
    recipe = [*commands("A hospital's folder"), *commands("A paper's table")[2:]]
    assert len(recipe) == 10 and recipe[5].startswith("bash finetune.sh")
    for command in recipe:
        line = re.sub("^cardiolect ", program, command.replace("python run_eval", f"{sys.executable} run_eval"))
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment, timeout=600)
        assert done.returncode == 0, f"{command}: {done.stdout[-500:]}{done.stderr[-2000:]}"
    table = (checkout / "table.tex").read_text()
    assert "exact match" in table and "content F1" in table
