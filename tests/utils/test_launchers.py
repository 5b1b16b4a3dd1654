"""What launchers on clusters tell a process becomes its rank; half of it, or contradictions, is refused."""

import subprocess
import sys

import pytest

from cardiolect.utils import launchers
from cardiolect.utils.errors import UserError
from tests.helpers import ROOT

STEP = {  # what srun sets
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_NTASKS": "6",
    "SLURM_PROCID": "4",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "4,2",
    "SLURM_STEP_NODELIST": "gpu[007-008]",
    "SLURM_JOB_NODELIST": "cpu1,gpu[007-008]",
}
BATCH = {  # what a batch script and the shell of salloc find
    "SLURM_JOB_ID": "4711",
    "SLURM_NTASKS": "6",
    "SLURM_TASKS_PER_NODE": "4,2",
    "SLURM_JOB_NODELIST": "gpu[007-008]",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
}
OMPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}
HYDRA = {"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}
RANK = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "7"}
ALONE = {"RANK": "0", "WORLD_SIZE": "1"}


@pytest.fixture
def adopted(monkeypatch):
    """The variables of PyTorch that a process with these variables has; empty for a process on its own."""

    def adopt(variables: dict) -> dict:
        environment = dict(variables)
        monkeypatch.setattr(launchers.os, "environ", environment)
        launchers.adopt_ranks()
        launchers.adopt_ranks()  # more than one entry point calls it
        return {name: environment[name] for name in (*launchers.TORCH, "LOCAL_WORLD_SIZE") if name in environment}

    return adopt


def test_a_task_of_srun_is_a_rank(adopted):
    found = adopted(STEP)
    port = int(found.pop("MASTER_PORT"))
    rank = {"RANK": "4", "WORLD_SIZE": "6", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "gpu007"}
    assert found == rank and 1024 < port < 65536
    assert int(adopted({**STEP, "SLURM_PROCID": "5", "SLURM_LOCALID": "1"})["MASTER_PORT"]) == port
    ports = {adopted({**STEP, "SLURM_JOB_ID": str(4711 + i), "SLURM_STEP_ID": "3"})["MASTER_PORT"] for i in range(9)}
    assert len(ports | {str(port)}) == 10, "jobs and steps on one machine must not meet"


@pytest.mark.parametrize(("usable", "threads"), [(1, "1"), (8, "4")])
def test_a_task_has_no_more_threads_than_cores(adopted, monkeypatch, usable, threads):
    """Since SLURM 22.05, srun may bind a task to one core whatever sbatch was asked for."""
    monkeypatch.setattr(launchers, "cores", lambda: usable)
    adopted({**STEP, "SLURM_CPUS_PER_TASK": "4"})
    assert launchers.os.environ["OMP_NUM_THREADS"] == threads


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/job/step\n", {"job/cpu.max": "250000 100000\n", "job/step/cpu.max": "max 100000\n"}, 2.5),
        (
            "4:cpu,cpuacct:/far\n1:name=systemd:/\n",
            {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"},
            0.5,
        ),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, launchers.MOST_CORES),
        (None, {}, launchers.MOST_CORES),
    ],
)
def test_the_cpu_time_that_a_container_grants_limits_the_cores(tmp_path, groups, files, quota):
    if groups:
        (tmp_path / "groups").write_text(groups)
    for name, text in files.items():
        (tmp_path / "mounted" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mounted" / name).write_text(text)
    assert launchers._cpu_quota(tmp_path / "groups", tmp_path / "mounted") == quota
    assert launchers.cores() >= 1


def test_a_process_of_mpirun_is_a_rank(adopted):
    found = adopted(OMPI)
    assert int(found.pop("MASTER_PORT")) == int(adopted({**OMPI, "OMPI_COMM_WORLD_RANK": "0"})["MASTER_PORT"])
    here = {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    assert found == {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", **here}
    found = adopted({**HYDRA, "MASTER_ADDR": "node1"})
    assert {**found, "MASTER_PORT": ""} == {
        "RANK": "3",
        "WORLD_SIZE": "4",
        "MASTER_ADDR": "node1",
        "MASTER_PORT": "",
        **here,
    }
    # In a job of SLURM, the daemons of mpirun are the tasks of srun.
    daemon = {**STEP, "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}
    assert adopted({**daemon, **HYDRA})["RANK"] == "3" and adopted({**daemon, **OMPI})["RANK"] == "1"
    pmi2 = {"PMI_RANK": "4", "PMI_SIZE": "6"}  # of srun itself
    assert adopted({**STEP, **pmi2}) == adopted(STEP)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        BATCH,
        {**BATCH, "SLURM_STEP_ID": "4294967291", "SLURM_STEP_NUM_TASKS": "1"},  # a batch script
        {**BATCH, "SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1"},  # salloc with an interactive step
        {**STEP, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},  # srun --pty bash
        {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"},
        {"WORLD_SIZE": "1", "MASTER_ADDR": "node1"},
    ],
)
def test_a_process_that_no_launcher_started_is_on_its_own(adopted, variables):
    assert not {"RANK", "LOCAL_RANK"} & adopted(variables).keys()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "1"}, "RANK is set, but WORLD_SIZE is not"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is set, but RANK is not"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "LOCAL_RANK and MASTER_ADDR and MASTER_PORT not"),
        ({**RANK, "RANK": "2"}, "RANK=2 and WORLD_SIZE=2 contradict"),
        ({**RANK, "RANK": "one"}, "RANK=one is not a number"),
        ({**RANK, "LOCAL_WORLD_SIZE": "1"}, "LOCAL_RANK=1, but there are 1 ranks on this machine"),
        ({**STEP, "SLURM_PROCID": ""}, "SLURM_PROCID is not"),
        ({**STEP, "SLURM_LOCALID": ""}, "SLURM_LOCALID is not"),
        ({**STEP, "SLURM_PROCID": "6"}, "SLURM_PROCID=6 and SLURM_STEP_NUM_TASKS=6 contradict"),
        ({**BATCH, "SLURM_PROCID": "1"}, "SLURM_PROCID is set, but SLURM_STEP_ID is not"),
        ({"SLURM_STEP_ID": "0", "SLURM_PROCID": "0"}, "SLURM_STEP_NUM_TASKS is not"),
        ({**STEP, "WORLD_SIZE": "8"}, "srun started 6 tasks, but WORLD_SIZE=8"),
        ({**STEP, **ALONE}, "srun started 6 tasks and this is task 4, which contradicts RANK=0"),
        ({**STEP, **RANK, "WORLD_SIZE": "6"}, "this is task 4, which contradicts RANK=1"),
        ({**STEP, **RANK, "GROUP_WORLD_SIZE": "1"}, "srun started 6 tasks"),  # torchrun --standalone in each
        ({**OMPI, **ALONE}, "mpirun started 2 tasks"),
        ({"OMPI_COMM_WORLD_RANK": "0"}, "OMPI_COMM_WORLD_SIZE is not"),
        ({"PMI_SIZE": "2"}, "PMI_RANK is not"),
        ({**OMPI, "OMPI_COMM_WORLD_LOCAL_RANK": ""}, "OMPI_COMM_WORLD_LOCAL_RANK is not"),
        (HYDRA, "MASTER_ADDR is not set"),
    ],
)
def test_half_of_a_launcher_or_two_that_contradict_are_refused_in_one_line(adopted, variables, message):
    with pytest.raises(UserError, match=message) as refused:
        adopted(variables)
    assert "\n" not in str(refused.value)


def test_torchrun_and_deepspeed_may_be_the_tasks_of_srun(adopted):
    nodes = {**STEP, "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}
    ranks = {**RANK, "RANK": "5", "WORLD_SIZE": "8"}
    for machines in ("GROUP_WORLD_SIZE", "CROSS_SIZE"):
        assert adopted({**nodes, **ranks, machines: "2"})["RANK"] == "5"


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("node[001-003,007],gpu12", "node001"),
        ("node[7,9-11]", "node7"),
        ("r[1-2]n[05-06].site,b", "r1n05.site"),
        ("10.0.0.1,10.0.0.2", "10.0.0.1"),
    ],
)
def test_the_first_host_of_a_list(nodes, first):
    assert launchers.first_host(nodes) == first


def test_the_number_of_ranks_in_the_settings_must_be_that_of_the_launcher(adopted):
    launched = {**RANK, "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
    for variables, right in (({}, (1, 2, 3)), (launched, (2, 4))):  # 4 is the sum of all machines
        adopted(variables)
        for count in right:
            launchers.check_count(count)
    with pytest.raises(UserError, match="NUM_PROCESSES=1, but the launcher started 2 ranks here, 4 on all machines"):
        launchers.check_count(1)


def test_the_local_rank_that_deepspeed_passes_is_taken_off(adopted):
    adopted(RANK)
    assert launchers.without_local_rank(["run_main.py", "--local_rank=1", "x"]) == ["run_main.py", "x"]
    assert launchers.without_local_rank(["a", "--local-rank", "1"]) == ["a"]
    with pytest.raises(UserError, match="--local_rank=0, but this process is rank 1"):
        launchers.without_local_rank(["--local_rank=0"])
    adopted({})
    assert launchers.without_local_rank(["--local_rank=0", "x"]) == ["x"]
    with pytest.raises(UserError, match="--local_rank=1, but"):
        launchers.without_local_rank(["--local_rank=1"])


def test_a_batch_script_without_srun_knows_of_its_idle_tasks(adopted):
    salloc = {**BATCH, "SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1"}
    for variables, tasks in (({}, 1), (BATCH, 6), (salloc, 6), (STEP, 1), ({**BATCH, **RANK}, 1)):
        adopted(variables)
        assert launchers.idle_slurm_tasks() == tasks


def test_a_command_that_ranks_do_not_share_is_run_by_the_first_only(tmp_path):
    """Otherwise both write the same files at once; and what the first starts is not a rank of this launch."""
    script = tmp_path / "command.py"
    script.write_text(
        "import os\nfrom cardiolect.utils.command_line import run_command\n"
        "run_command(lambda: print('at work', sorted(n for n in os.environ if 'RANK' in n or 'SLURM_STEP' in n)))\n"
    )
    outputs = []
    for number in ("0", "1"):
        step = {**STEP, "SLURM_PROCID": number, "SLURM_LOCALID": number, "SLURM_STEP_NUM_TASKS": "2"}
        env = {"PATH": "", "PYTHONPATH": str(ROOT), **step}
        outputs.append(subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, timeout=300))
    assert [done.returncode for done in outputs] == [0, 0]
    assert [done.stdout for done in outputs] == ["at work []\n", ""]
    assert outputs[0].stderr == "this command is the work of one process; the other 1 of its launcher end\n"
