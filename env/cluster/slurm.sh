#!/usr/bin/env bash
# sbatch env/cluster/slurm.sh run_main.py pretrain env/pretrain.env    (or run_eval.py FILE)
# One task for each GPU; see docs/CLUSTER.md. Options of sbatch, such as --nodes=4, override these lines.
#SBATCH --job-name=cardiolect
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"
export NUM_PROCESSES="$SLURM_NTASKS_PER_NODE" # whatever the env file says for other machines
exec srun --kill-on-bad-exit=1 "${PYTHON:-.venv/bin/python}" "$@"
