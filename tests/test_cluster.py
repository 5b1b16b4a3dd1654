"""The commands of docs/CLUSTER.md, with two machines that are both this one."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.utils.errors import UserError
from cardiolect.utils.settings import read_key
from tests.helpers import ROOT
from tests.helpers.runs import command, one_thread, pretrain_lines, run

OPTIONS = """#!/usr/bin/env bash
# Those of SLURM 22.05, in which the number of cores that sbatch was asked for does not count for srun.
export CORES=1
ends_all=
while [[ $1 == --* ]]; do
    case $1 in
        --kill-on-bad-exit=1) ends_all=1 ;;
        --cpus-per-task=*) CORES=${1#*=} ;;
        *) exit 64 ;;
    esac
    shift
done
[ $ends_all ] || exit 64
"""
SRUN = f"""{OPTIONS}
# Starts two tasks with the variables that srun gives them.
export SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_TASKS_PER_NODE=2 SLURM_STEP_NODELIST=localhost SLURM_NODEID=0
SLURM_PROCID=0 SLURM_LOCALID=0 "$@" & first=$!
SLURM_PROCID=1 SLURM_LOCALID=1 "$@" & second=$!
for task in 1 2; do wait -n || {{ code=$?; kill $first $second 2>/dev/null; wait; exit $code; }}; done
"""
# As srun does, it passes signals on to its tasks, and ends with the highest of their exit codes.
RELAY = f"""{OPTIONS}
SLURM_PROCID=0 "$@" & first=$!
SLURM_PROCID=1 "$@" & second=$!
trap 'kill -USR1 $first $second' USR1
highest=0
for task in $first $second; do
    while code=0; wait $task || code=$?; kill -0 $task 2>/dev/null; do :; done
    [ $code -gt $highest ] && highest=$code
done
exit $highest
"""
STAGE1 = {"TRAIN_FOLDS": "1-8", "VALID_FOLDS": 9, "STEPS": 1, "BATCH_SIZE": 4, "HIDDEN": 16, "EVAL_STEPS": 1}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def srun(tmp_path) -> dict[str, str]:
    """The environment of a SLURM job with two tasks on this machine."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "srun").write_text(SRUN)
    (programs / "srun").chmod(0o755)
    job = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}
    return {**one_thread(), **job, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHON": sys.executable}


def nodes(env_file: Path, folder: Path, program: str = "run_main.py pretrain", **values) -> list[subprocess.Popen]:
    """The torchrun command of the page on two machines, with one rank and a cache of its own on each."""
    page = (ROOT / "docs/CLUSTER.md").read_text()
    line = re.search(rf"^NUM_PROCESSES=8 (torchrun .* {re.escape(program)}) ", page, re.MULTILINE)[1]
    line = line.replace("--nproc-per-node=8", "--nproc-per-node=1").replace("gpu1:29500", f"127.0.0.1:{free_port()}")
    words = [sys.executable, "-m", "torch.distributed.run", "--local-addr=127.0.0.1", *shlex.split(line)[1:], env_file]
    started = []
    for node in range(2):
        env = {**one_thread(), "NUM_PROCESSES": "1", "CACHE_DIR": str(folder / f"cache{node}"), **values}
        with (folder / f"node{node}.log").open("ab") as log:
            started.append(subprocess.Popen(words, cwd=ROOT, env=env, stdout=log, stderr=log))
    return started


def curve(output: Path) -> list[float]:
    return json.loads((output / "loss_curve.json").read_text())


def test_two_machines_train_as_one_and_go_on_after_one_has_died(tmp_path, corpus, tokenizer_folder):
    lines = {**pretrain_lines(corpus, tokenizer_folder), "MAX_STEPS": 12, "EVAL_STEPS": 6}
    one = run("pretrain", tmp_path, "one", **lines, NUM_PROCESSES=2)
    words, two = command("pretrain", tmp_path, "two", **lines)
    first, second = nodes(words[-1], tmp_path)
    saved = two / "resume/checkpoint-6/trainer_state.json"
    deadline = time.monotonic() + 240
    while not saved.exists() and time.monotonic() < deadline and first.poll() is None:
        time.sleep(0.02)
    for process in [psutil.Process(second.pid), *psutil.Process(second.pid).children(recursive=True)]:
        process.kill()
    assert saved.exists(), (tmp_path / "node0.log").read_text()[-3000:]
    assert first.wait(120) != 0 and second.wait(10) != 0 and not (two / "cardiolect.json").exists()
    for folder in two.glob("resume/checkpoint-*"):  # what a later step left would hide that the run goes on from here
        if int(folder.name.split("-")[1]) > 6:
            shutil.rmtree(folder)
    codes = [node.wait(240) for node in nodes(words[-1], tmp_path, RESUME="true")]
    assert codes == [0, 0], (tmp_path / "node0.log").read_text()[-3000:]
    np.testing.assert_allclose(curve(two), curve(one), rtol=1e-5)
    results = [json.loads((output / "cardiolect.json").read_text()) for output in (one, two)]
    assert results[0]["valid_loss"] == pytest.approx(results[1]["valid_loss"], rel=1e-5)
    printed = "".join((tmp_path / f"node{node}.log").read_text() for node in range(2))
    assert printed.count("writing to") == 2, "one rank reports, in each of the two runs"


def test_the_tasks_of_the_sbatch_file_share_the_work(tmp_path, corpus, srun):
    words, output = command("tokenizer", tmp_path, "slurm", DATA_ROOT=corpus, **STAGE1)
    batch = ["bash", "env/cluster/slurm.sh", *words[1:]]
    done = subprocess.run(batch, cwd=ROOT, env=srun, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("training on") == 1 and (output / "model.safetensors").is_file()


@pytest.mark.parametrize(("asked", "cores"), [({"SLURM_CPUS_PER_TASK": "8"}, "8"), ({}, "1")])
def test_the_tasks_of_the_sbatch_file_have_the_cores_that_it_asks_for(tmp_path, srun, asked, cores):
    rank = Path(srun["PATH"].split(":")[0]) / "rank"
    rank.write_text(f'#!/usr/bin/env bash\necho "$CORES" > {tmp_path}/cores$SLURM_PROCID\n')
    rank.chmod(0o755)
    env = {**srun, "PYTHON": str(rank), **asked}
    assert subprocess.run(["bash", "env/cluster/slurm.sh"], cwd=ROOT, env=env, timeout=60).returncode == 0
    assert [(tmp_path / f"cores{task}").read_text().strip() for task in (0, 1)] == [cores, cores]


def test_two_machines_and_the_tasks_of_slurm_evaluate_as_one_process(tmp_path, corpus, checkpoint_folder, srun):
    lines = {
        "TASKTYPE": "qa",
        "DATA_ROOT": corpus,
        "TEST_DATA": corpus / "questions/test.json",
        "CHECKPOINT": checkpoint_folder,
        "CACHE_DIR": tmp_path / "cache",
        "ACCEPT_UNKNOWN_LEAKAGE": "true",
        "PRECISION": "fp32",
        "MAX_NEW_TOKENS": 4,
        "MAX_SAMPLES": 12,
        "WORKERS": 0,
        "FLOORS": "no_ecg",
        "BOOTSTRAP_RESAMPLES": 20,
        "PAGE_EXAMPLES": 0,
    }
    files = {name: tmp_path / f"{name}.env" for name in ("one", "torchrun", "slurm")}
    for name, file in files.items():
        each = {**lines, "OUTPUT_DIR": tmp_path / name}
        file.write_text("".join(f"{key}={value}\n" for key, value in each.items()))
    quiet = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run([sys.executable, "run_eval.py", files["one"]], env=one_thread(), **quiet)
    assert done.returncode == 0, done.stderr[-3000:]
    codes = [node.wait(300) for node in nodes(files["torchrun"], tmp_path, "run_eval.py")]
    assert codes == [0, 0], (tmp_path / "node0.log").read_text()[-3000:]
    done = subprocess.run(["bash", "env/cluster/slurm.sh", "run_eval.py", files["slurm"]], env=srun, **quiet)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("are in") == 1, "one rank reports"
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in files]
    for key in ("conditions", "gap", "samples", "checkpoint"):
        assert results[0][key] == results[1][key] == results[2][key]


RANK = """#!/usr/bin/env bash
# In the place of a rank: saves after a signal, as training does.
[ "$1" = fails ] && exit 1
[ "$1" = stops ] && exit 75
trap 'touch "$2/saved$SLURM_PROCID"; exit 75' USR1
touch "$2/begun$SLURM_PROCID"
for _ in {1..200}; do sleep 0.05; done
"""


@pytest.mark.parametrize(("what", "code"), [("trains", 75), ("fails", 1), ("stops", 75)])
def test_the_sbatch_file_queues_the_job_again_if_its_time_is_over_and_only_then(tmp_path, srun, what, code):
    programs = Path(srun["PATH"].split(":")[0])
    calls = tmp_path / "calls"
    for name, text in {
        "srun": RELAY,
        "scontrol": f'#!/usr/bin/env bash\necho "$@" >> {calls}\n',
        "rank": RANK,
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    env = {**srun, "PYTHON": str(programs / "rank")}
    words = ["bash", "env/cluster/slurm.sh", what, str(tmp_path)]
    job = subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    if what == "trains":
        deadline = time.monotonic() + 30
        while len(list(tmp_path.glob("begun*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        job.send_signal(signal.SIGUSR1)
    printed, _ = job.communicate(timeout=60)
    assert job.returncode == code
    if what == "trains":
        assert calls.read_text() == f"requeue {srun['SLURM_JOB_ID']}\n" and "is queued again" in printed
        assert len(list(tmp_path.glob("saved*"))) == 2
    else:
        assert not calls.exists()


def test_deepspeed_starts_ranks_by_a_hostfile_on_each_machine(tmp_path, corpus):
    """The command for machines that do not reach one another by ssh."""
    page = (ROOT / "docs/CLUSTER.md").read_text()
    line = re.search(r"^NUM_PROCESSES=8 (deepspeed .*--no_ssh .*) run_main.py", page, re.MULTILINE)[1]
    line = line.replace("gpu1", "127.0.0.1").replace("29500", str(free_port()))
    words, output = command("tokenizer", tmp_path, "deepspeed", DATA_ROOT=corpus, **STAGE1)
    (tmp_path / "hostfile").write_text("localhost slots=1\n127.0.0.1 slots=1\n")
    line = line.replace("--hostfile=hostfile", f"--hostfile={tmp_path}/hostfile")
    started = []
    for node in range(2):
        launcher = [sys.executable, "-m", "deepspeed.launcher.runner"]
        options = shlex.split(line.replace("--node_rank=0", f"--node_rank={node}"))[1:]
        with (tmp_path / f"node{node}.log").open("w") as log:
            env = {**one_thread(), "NUM_PROCESSES": "1"}
            started.append(
                subprocess.Popen([*launcher, *options, *words[1:]], cwd=ROOT, env=env, stdout=log, stderr=log)
            )
    codes = [process.wait(300) for process in started]
    printed = "".join((tmp_path / f"node{node}.log").read_text() for node in range(2))
    assert codes == [0, 0], printed[-3000:]
    assert printed.count("training on") == 1 and (output / "model.safetensors").is_file()


def test_stage_1_refuses_unequal_shares_before_ranks_meet_and_shipped_batches_suit_the_sbatch_file(
    tmp_path, monkeypatch
):
    batch = (ROOT / "env/cluster/slurm.sh").read_text()
    tasks = int(re.search(r"^#SBATCH --nodes=(\d+)", batch, re.MULTILINE)[1]) * int(
        re.search(r"--ntasks-per-node=(\d+)", batch)[1]
    )
    monkeypatch.setenv("WORLD_SIZE", str(tasks))
    settings = TokenizerSettings(data_root=[tmp_path], output_dir=tmp_path, batch_size=200)
    with pytest.raises(UserError, match=f"BATCH_SIZE=200: {tasks} ranks take equal shares; multiples are 192 and 208"):
        settings.check()
    files = [
        ROOT / "ecg_tokenizer/config.env",
        *(ROOT / "env").glob("tokenizer*.env"),
        *(ROOT / "env").rglob("tokenizer.env"),
    ]
    sizes = {file: int(read_key(file, "BATCH_SIZE") or tasks) for file in files}
    assert len(sizes) > 5 and not [file for file, size in sizes.items() if size % tasks]
