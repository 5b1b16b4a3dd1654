#!/usr/bin/env bash
# bash test.sh [pytest arguments]: create the environment like quickstart.sh, check the style, run the tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source utils/environment.sh
setup_environment test
"$python" -m ruff check .
"$python" -m pytest "$@"
