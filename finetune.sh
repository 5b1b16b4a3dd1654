#!/usr/bin/env bash
# bash finetune.sh [env file]    (default env/ft_qa_ptbxl.env)
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
settings="$(realpath -m "${1:-$root/env/ft_qa_ptbxl.env}")"
cd "$root"
python="${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}"
exec "$python" run_main.py finetune "$settings"
