# Sourced by the scripts in the project's folder, which it is about. Both functions set $python.

fail() { echo "error: $1" >&2; exit 2; }

# $PYTHON, or .venv's, or python3; one line if it is not there or lacks the dependencies.
choose_python() {
    local lacking
    python="${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}"
    command -v "$python" >/dev/null || fail "${PYTHON:+PYTHON=}$python: no such program"
    lacking="$("$python" -c 'from importlib.util import find_spec as find; print(*(n for n in ("torch", "transformers", "deepspeed", "peft", "pydantic_settings", "wfdb") if not find(n)))')" ||
        fail "${PYTHON:+PYTHON=}$python does not run; see the lines above"
    [ -z "$lacking" ] || fail "${PYTHON:+PYTHON=}$python lacks $lacking: pip install -e . in its environment, or name the Python of another with PYTHON="
}

# setup_environment [extra]: creates .venv with the pinned dependencies; does nothing if it was made from this pyproject.toml.
setup_environment() {
    local extra="${1:-}" base stamp
    python="$PWD/.venv/bin/python"
    stamp=".venv/installed-${extra:-base}"
    [ -f "$stamp" ] && cmp -s pyproject.toml "$stamp" && return
    for base in python3.11 python3.12 python3.13 python3; do
        command -v "$base" >/dev/null && "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' && break
        base=""
    done
    [ -n "$base" ] || fail "Python 3.11 or newer is required but was not found"
    echo "installing the dependencies into .venv; this takes some minutes the first time"
    [ -x "$python" ] || "$base" -m venv .venv || fail "could not create a virtual environment: install venv (Debian: apt-get install python3-venv)"
    install_torch || fail "PyTorch could not be installed; see the lines above"
    "$python" -m pip install --quiet --disable-pip-version-check -e ".${extra:+[$extra]}" ||
        fail "the dependencies in pyproject.toml could not be installed; see the lines above"
    cp pyproject.toml "$stamp"
}

# The default torch for Linux includes gigabytes of CUDA; without a GPU, install PyTorch's CPU build if its index answers.
install_torch() {
    local pin report pip=("$python" -m pip install --quiet --disable-pip-version-check) cpu=https://download.pytorch.org/whl/cpu
    pin="$(grep -o 'torch==[0-9.]*' pyproject.toml | head -1)"
    "$python" -c 'import torch' 2>/dev/null && return
    if ! command -v nvidia-smi >/dev/null; then
        # Read whole before it is searched: pip fails if its reader leaves early, and pipefail takes that for "not found".
        report="$("${pip[@]}" --dry-run --ignore-installed --report - "$pin")" || return
        if [[ "$report" == *'"name": "nvidia-'* ]]; then
            "${pip[@]}" --retries 1 --index-url "$cpu" "$pin" 2>/dev/null && return
            echo "$cpu does not answer: installing PyTorch with CUDA, which takes longer and more disk"
        fi
    fi
    "${pip[@]}" "$pin"
}
