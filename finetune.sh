#!/usr/bin/env bash
# bash finetune.sh [env file]    (default env/ft_qa_ptbxl.env)
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
settings="$(realpath -m "${1:-$root/env/ft_qa_ptbxl.env}")"
cd "$root"
source utils/environment.sh
choose_python
[ $# -gt 0 ] || echo "settings: env/ft_qa_ptbxl.env; bash finetune.sh FILE takes others" >&2
exec "$python" run_main.py finetune "$settings"
