"""The environment that the two start scripts make."""

import os
import shutil
import subprocess

import pytest

from tests.helpers import ROOT

# Stands in for the environment's Python: no torch yet, and a report of pip that is larger than a pipe.
PYTHON = """#!/usr/bin/env bash
[[ "$1" == -c ]] && exit 1
if [[ "$*" == *--dry-run* ]]; then
    echo '{NAME}'
    head -c 1000000 /dev/zero | tr '\\0' '\\n' || exit 1
else
    echo "$*" >"$LOG"
fi
"""


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has a GPU")
@pytest.mark.parametrize(("package", "cpu_build"), [('"name": "nvidia-cublas"', True), ('"name": "numpy"', False)])
def test_without_a_gpu_pytorch_comes_without_cuda_however_long_pips_report_is(package, cpu_build, tmp_path):
    (tmp_path / "python").write_text(PYTHON.replace("{NAME}", package))
    (tmp_path / "python").chmod(0o755)
    run = subprocess.run(
        ["bash", "-c", f"set -euo pipefail; source utils/environment.sh; python={tmp_path}/python; install_torch"],
        cwd=ROOT,
        env={"PATH": os.defpath, "LOG": str(tmp_path / "log")},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert ("https://download.pytorch.org/whl/cpu" in (tmp_path / "log").read_text()) == cpu_build
