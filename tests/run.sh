#!/usr/bin/env bash
# Set everything up in .venv, then check style and types and run all tests; arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/venv.sh dev,examples,peers
export SNNC_GRAPHS=${SNNC_GRAPHS:-2000} # so many random graphs on NumPy, ONNX Runtime and torch
export OMP_NUM_THREADS=1 # tests are small, and threads that wait for each other busy a core

snnc lava setup --quiet &
ruff check .
ruff format --check .
mypy --strict -p snnc
wait $! # for Lava: its tests are skipped without it
python -m pytest -q -n auto "$@" # one process a core
