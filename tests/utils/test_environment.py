"""The environment that the two start scripts make."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers import ROOT

CPU_INDEX = "https://download.pytorch.org/whl/cpu"

# Stands in for the environment's Python: no torch yet, and a report of pip that is larger than a pipe.
PYTHON = """#!/usr/bin/env bash
[[ "$1" == -c ]] && exit 1
if [[ "$*" == *--dry-run* ]]; then
    echo '{NAME}'
    head -c 1000000 /dev/zero | tr '\\0' '\\n' || exit 1
else
    [[ "$*" == *--index-url* && "$OFFLINE" ]] && exit 1
    echo "$*" >"$LOG"
fi
"""


without_gpu = pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has a GPU")


def install_torch(folder: Path, package: str, offline: str = "") -> tuple[str, str]:
    """``(output, the last command of pip)`` if PyTorch's default build needs ``package``."""
    (folder / "python").write_text(PYTHON.replace("{NAME}", f'"name": "{package}"'))
    (folder / "python").chmod(0o755)
    run = subprocess.run(
        ["bash", "-c", f"set -euo pipefail; source utils/environment.sh; python={folder}/python; install_torch"],
        cwd=ROOT,
        env={"PATH": os.defpath, "LOG": str(folder / "log"), "OFFLINE": offline},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout, (folder / "log").read_text()


@without_gpu
@pytest.mark.parametrize(("package", "cpu_build"), [("nvidia-cublas", True), ("numpy", False)])
def test_without_a_gpu_pytorch_comes_without_cuda_however_long_pips_report_is(package, cpu_build, tmp_path):
    output, command = install_torch(tmp_path, package)
    assert output == ""
    assert (CPU_INDEX in command) == cpu_build


@without_gpu
def test_where_pytorchs_own_index_does_not_answer_the_default_build_is_installed_with_a_line(tmp_path):
    output, command = install_torch(tmp_path, "nvidia-cublas", offline="yes")
    assert output.startswith(f"{CPU_INDEX} does not answer: installing PyTorch with CUDA")
    assert "--index-url" not in command


@pytest.mark.parametrize("script", ["pretrain.sh", "finetune.sh", "eval.sh", "ecg_tokenizer/run_tokenizer.sh"])
@pytest.mark.parametrize(
    ("program", "message"),
    [
        (None, "PYTHON={}: no such program"),
        ("echo torch deepspeed", "PYTHON={} lacks torch deepspeed: pip install -e . in its environment"),
        ("exit 3", "PYTHON={} does not run"),
    ],
)
def test_a_python_that_cannot_train_is_one_line(script, program, message, tmp_path):
    python = tmp_path / "python"
    if program:
        python.write_text(f"#!/usr/bin/env bash\n{program}\n")
        python.chmod(0o755)
    done = subprocess.run(
        ["bash", script], cwd=ROOT, env={"PATH": os.defpath, "PYTHON": str(python)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"error: {message.format(python)}")
