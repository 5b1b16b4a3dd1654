#!/usr/bin/env bash
# bash ecg_tokenizer/run_tokenizer.sh [env file]    (default ecg_tokenizer/config.env)
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
settings="$(realpath -m "${1:-$root/ecg_tokenizer/config.env}")"
cd "$root"
source utils/environment.sh
choose_python
[ $# -gt 0 ] || echo "settings: ecg_tokenizer/config.env; bash ecg_tokenizer/run_tokenizer.sh FILE takes others" >&2
exec "$python" run_main.py tokenizer "$settings"
