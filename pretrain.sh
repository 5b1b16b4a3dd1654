#!/usr/bin/env bash
# bash pretrain.sh [env file]    (default env/pretrain.env)
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
settings="$(realpath -m "${1:-$root/env/pretrain.env}")"
cd "$root"
source utils/environment.sh
choose_python
[ $# -gt 0 ] || echo "settings: env/pretrain.env; bash pretrain.sh FILE takes others" >&2
exec "$python" run_main.py pretrain "$settings"
