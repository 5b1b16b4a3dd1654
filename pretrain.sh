#!/usr/bin/env bash
# bash pretrain.sh [env file]    (default env/pretrain.env)
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
settings="$(realpath -m "${1:-$root/env/pretrain.env}")"
cd "$root"
source utils/environment.sh
choose_python
exec "$python" run_main.py pretrain "$settings"
