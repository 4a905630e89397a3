#!/usr/bin/env bash
# The main job: train two networks on handwritten digits, compile them to integer NumPy, C and
# Lava, prove that the three agree bit for bit, and watch Lava read a digit.
# Needs Python 3.11, gcc and git. Everything is written to .venv/ and build/.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/venv.sh examples
bold() { printf '\n\033[1m%s\033[0m\n' "$*"; }

bold "An environment for Lava"
snnc lava setup

for net in mlp_digits conv_digits; do
    out=build/$net
    mkdir -p "$out"
    bold "$net: train and export"
    python "examples/$net.py" "$out"

    bold "$net: compile, verify, run on Lava"
    snnc compile "$out/model.pt" -o "$out/artifact" --target numpy,c,lava --bits 8 --force
    snnc verify "$out/artifact" --data "$out/test.npz" --json > "$out/verify.json"  # Lava: 50
    snnc run "$out/artifact" --data "$out/test.npz" --backend lava --samples 10 \
        --record lif1,lif2 -o "$out/lava.npz"
done

python examples/show.py build
