#!/usr/bin/env bash
# The main job: train two networks on handwritten digits, compile them to integer NumPy, C and
# Lava, prove that the three agree bit for bit, and watch Lava read a digit.
# Needs Python 3.11, gcc and git. Writes .venv/, build/ and a Lava environment in ~/.cache/snnc.
set -euo pipefail
cd "$(dirname "$0")/.."

stage() { printf '\n\033[1m%s\033[0m  \033[2m%d:%02d\033[0m\n' "$*" $((SECONDS / 60)) $((SECONDS % 60)); }

stage "An environment for snnc"
. .ci/venv.sh examples
stage "An environment for Lava"
snnc lava setup
lava=${XDG_CACHE_HOME:-$HOME/.cache}/snnc/lava/bin/python

for net in mlp_digits conv_digits; do
    out=build/$net
    mkdir -p "$out"
    stage "$net: train and export"
    python "examples/$net.py" "$out"

    stage "$net: compile"
    snnc compile "$out/model.pt" -o "$out/artifact" --target numpy,c,lava --bits 8 --force

    stage "$net: verify 1000 digits on NumPy and C, 50 on Lava"
    snnc verify "$out/artifact" --data "$out/test.npz" --json > "$out/verify.json"

    stage "$net: a page about it"
    snnc report "$out/artifact" --data "$out/test.npz" --samples 200 -o "$out/report.html"

    stage "$net: run on Lava"
    snnc run "$out/artifact" --data "$out/test.npz" --samples 10 --backend lava \
        --record lif1,lif2 --integers "$out/in.npy" -o "$out/lava.npz"

    stage "$net: the three folders on their own, where snnc is not installed"
    "$lava" "$out/artifact/numpy/run.py" "$out/in.npy" "$out/alone.numpy.npz"
    make -s -C "$out/artifact/c"
    "$out/artifact/c/run" "$out/in.npy" "$out/alone.c.npy"
    "$lava" "$out/artifact/lava/run.py" "$out/in.npy" "$out/alone.lava.npz"
done

stage "What came of it"
python examples/show.py build
stage "Done"
