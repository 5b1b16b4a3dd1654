#!/usr/bin/env bash
# bash test.sh [pytest arguments]: create the environment like quickstart.sh, check the style, run the tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source utils/environment.sh
setup_environment test
"$python" -m ruff check .
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # as many tests as cores at a time; those of a file share their fixtures
"$python" -m pytest -n logical --maxprocesses 8 --dist loadfile "$@"
