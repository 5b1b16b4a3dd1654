#!/usr/bin/env bash
# sbatch env/cluster/slurm.sh run_main.py pretrain env/pretrain.env    (or run_eval.py FILE)
# One task for each GPU; see docs/CLUSTER.md. Options of sbatch, such as --nodes=4, override these lines.
#SBATCH --job-name=cardiolect
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"
export NUM_PROCESSES="$SLURM_NTASKS_PER_NODE" # whatever the env file says for other machines
time_is_over=
# Since SLURM 22.05, srun gives each task one core unless it is told the number again.
srun --kill-on-bad-exit=1 ${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"} "${PYTHON:-.venv/bin/python}" "$@" &
step=$!
trap 'time_is_over=1; kill -USR1 $step 2>/dev/null || true' USR1 # srun passes it on to the ranks
while
    code=0
    wait $step || code=$?
    kill -0 $step 2>/dev/null # a signal ends `wait`, but not the step
do :; done
# 75: a step is saved. scancel and errors queue nothing again.
if [ $code = 75 ] && [ $time_is_over ]; then
    echo "the time is over: job $SLURM_JOB_ID is queued again"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
