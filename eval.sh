#!/usr/bin/env bash
# bash eval.sh [env file]    (default env/test_qa_ptbxl.env)
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
settings="$(realpath -m "${1:-$root/env/test_qa_ptbxl.env}")"
cd "$root"
source utils/environment.sh
choose_python
[ $# -gt 0 ] || echo "settings: env/test_qa_ptbxl.env; bash eval.sh FILE takes others" >&2
exec "$python" run_eval.py "$settings"
