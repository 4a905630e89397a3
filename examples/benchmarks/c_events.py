"""Instructions per synaptic operation of the emitted C, counted by callgrind.

The network is an MLP 784-1024-1024-10 over 25 steps with random weights up to 63 and the integer
neuron that ``snnc compile`` writes: ``v' = rsh(v * 58982, 16) + i``, a threshold per row, reset by
subtraction.  Thresholds are chosen so that the hidden layers fire as often as the input.  The
script builds the graph from ``snnc.intops``, emits C, compiles it with ``gcc -O2``, compares all
outputs and spikes with the simulator, and counts the instructions inside ``snn_step``.  Such
counts do not depend on the load of the machine.  One synaptic operation is one weight that one
spike adds; silent neurons and the updates of neurons are overhead that is counted, too.

Usage:
    python examples/benchmarks/c_events.py            densities of 1, 5, 10, 20 and 50 percent
    python examples/benchmarks/c_events.py --quick    10 percent alone, for checks
    ... --top 127                                     weights that use all of their 8 bits
    ... --naive                                       also a naive program: 32-bit sums, row by row
    ... --flags=-O3                                   other options of the compiler

Needs gcc and valgrind.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from snnc.backends.c.backend import CBackend
from snnc.backends.numpy.simulator import Simulator
from snnc.graph import Graph
from snnc.intops import IntInput, IntLinear, IntNeuron, IntOutput, IntTimeSum
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param
from snnc.passes.base import Context, run_passes
from snnc.passes.prove_ranges import ProveRanges
from snnc.storage import dump_graph
from snnc.types import Clock

Ints = npt.NDArray[np.int64]
DECAY, BITS = 58982, 16
SIZES = (784, 1024, 1024, 10)
STEPS = 25


@dataclass(frozen=True)
class Case:
    """A network, one sample of shape (1, T, in), and its synaptic operations."""

    graph: Graph
    weights: list[Ints]
    thresholds: list[Ints]
    x: Ints
    synops: int


def make(
    density: float,
    sizes: tuple[int, ...] = SIZES,
    steps: int = STEPS,
    top: int = 63,
    seed: int = 0,
) -> Case:
    """Build the network; every hidden layer fires at about ``density``."""
    rng = np.random.default_rng(seed)
    graph = Graph("mlp", steps)
    value = graph.add("x", IntInput((sizes[0],), Clock.STEP, 0, 1, 1.0)).name
    x = spikes = (rng.random((steps, sizes[0])) < density).astype(np.int64)
    weights, thresholds, synops = [], [], 0
    for i, (fan_in, out) in enumerate(pairwise(sizes)):
        w = np.clip(np.rint(rng.normal(2, top / 3, (out, fan_in))), -top, top).astype(np.int64)
        synops += int(spikes.sum()) * out
        spread = rng.integers(0, 200, out)
        target = density if i < len(sizes) - 2 else 0.2
        theta, spikes = _calibrated(spikes @ w.T, spread, target)
        value = graph.add(f"fc{i}", IntLinear(Param(w.astype(np.int8))), value).name
        value = graph.add(f"lif{i}", IntNeuron(leaky(theta), (out,)), value).name
        weights.append(w)
        thresholds.append(theta)
    graph.add("count", IntTimeSum(), value)
    graph.add("out", IntOutput(Param(np.array(1.0))), "count")
    proven = run_passes(graph, [ProveRanges(steps)], Context())
    return Case(proven, weights, thresholds, x[None], synops)


def leaky(theta: Ints | int) -> Kernel:
    """``v' = rsh(v * DECAY, BITS) + i``, reset by subtraction; ``theta`` broadcasts to neurons."""
    body = (
        Line("m", "mul", ("a", "v")),
        Line("d", "rsh", ("m",), BITS, "half_away"),
        Line("u", "add", ("d", "i")),
        Line("s", "ge", ("u", "theta")),
        Line("r", "add", ("u", "k")),
        Line("w", "select", ("s", "r", "u")),
    )
    consts = (
        Const("a", Param(np.array(DECAY))),
        Const("theta", Param(np.asarray(theta))),
        Const("k", Param(-np.asarray(theta))),
    )
    return Kernel(("i",), (State("v", "w", Param(np.array(0))),), consts, body, ("s",))


def _calibrated(sums: Ints, spread: Ints, density: float) -> tuple[Ints, Ints]:
    """The thresholds, and the spikes (T, out) that they give."""
    lo, hi = 1, 60000
    while lo < hi:
        middle = (lo + hi) // 2
        if _spikes(sums, spread + middle).mean() > density:
            lo = middle + 1
        else:
            hi = middle
    return spread + lo, _spikes(sums, spread + lo)


def _spikes(sums: Ints, theta: Ints) -> Ints:
    v = np.zeros(sums.shape[1], np.int64)
    found = np.zeros_like(sums)
    for t, row in enumerate(sums):
        p = v * DECAY
        u = np.sign(p) * ((np.abs(p) + (1 << (BITS - 1))) >> BITS) + row
        found[t] = u >= theta
        v = u - found[t] * theta
    return found


def check(case: Case, folder: Path, flags: tuple[str, ...]) -> None:
    """Assert that the C in a folder gives the simulator's outputs and spikes."""
    text, blob = dump_graph(case.graph)
    simulator = Simulator(json.loads(text), safetensors.numpy.load(blob))
    expected = simulator.run({"x": case.x}, None, simulator.words())
    actual = CBackend(compiler="gcc", flags=flags).run(
        folder, {"x": case.x}, None, simulator.words()
    )
    for want, have in zip(expected, actual, strict=True):
        for name, value in want.items():
            np.testing.assert_array_equal(have[name], value, err_msg=name)


def instructions(case: Case, folder: Path, flags: tuple[str, ...]) -> int:
    """Instructions inside ``snn_step`` for the sample, in a folder that ``CBackend`` wrote."""
    np.save(folder / "in.npy", case.x.astype(np.int8))
    sources = ["snn.c", "weights.c", "info.c", "trace.c", "npy.c", "host.c"]
    line = ["gcc", *flags, "-DSNN_TRACE", *sources, "-o", "counted"]
    subprocess.run(line, cwd=folder, check=True)
    return callgrind(folder, "snn_step", "./counted", "in.npy", "out.npy")


def callgrind(folder: Path, function: str, *command: str) -> int:
    """Instructions that a program spends inside one function."""
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=callgrind.out"]
    line = [*tool, f"--toggle-collect={function}", *command]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1])


NAIVE = """
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "naive.h"
static void update(const int32_t *a, int32_t *v, const int32_t *theta, uint8_t *s, int n) {
    for (int j = 0; j < n; j++) {
        const int64_t p = (int64_t)v[j] * DECAY;
        const int32_t m = (int32_t)(((p < 0 ? -p : p) + (1 << (BITS - 1))) >> BITS);
        const int32_t u = (p < 0 ? -m : m) + a[j];
        s[j] = u >= theta[j];
        v[j] = s[j] ? u - theta[j] : u;
    }
}
/* Rows are added out of line, so that gcc -O3 does not fuse that loop with the one over spikes. */
#define LAYER(K, FAN_IN, N)                                                                  \\
    static int32_t a##K[N], v##K[N];                                                         \\
    static uint8_t s##K[N];                                                                  \\
    __attribute__((noinline)) static void row##K(int32_t *restrict a, const int8_t *restrict w) { \\
        for (int j = 0; j < N; j++) { a[j] += w[j]; }                                        \\
    }                                                                                        \\
    static void layer##K(const uint8_t *x) {                                                 \\
        memset(a##K, 0, sizeof a##K);                                                        \\
        for (int i = 0; i < FAN_IN; i++) { if (x[i]) { row##K(a##K, w##K + i * N); } }       \\
        update(a##K, v##K, t##K, s##K, N);                                                   \\
    }
@LAYERS@
__attribute__((noinline)) void naive_step(const uint8_t *x) {
@CALLS@
}
int main(void) {
    static int count[LAST];
    for (int t = 0; t < STEPS; t++) {
        naive_step(input[t]);
        for (int j = 0; j < LAST; j++) { count[j] += SPIKES[j]; }
    }
    for (int j = 0; j < LAST; j++) { printf("%d ", count[j]); }
    return 0;
}
"""


def naive(case: Case, folder: Path, flags: tuple[str, ...]) -> int:
    """Instructions of a program without any of the techniques; its counts are compared, too."""
    x = case.x[0]
    last = len(case.weights) - 1
    lines = [
        f"#define DECAY {DECAY}",
        f"#define BITS {BITS}",
        f"#define STEPS {len(x)}",
        f"#define SPIKES s{last}",
        f"#define LAST {len(case.thresholds[-1])}",
        _array("uint8_t", f"input[{len(x)}][{x.shape[1]}]", x),
    ]
    layers, calls, source = [], [], "x"
    for i, (w, theta) in enumerate(zip(case.weights, case.thresholds, strict=True)):
        out, fan_in = w.shape
        lines.append(_array("int8_t", f"w{i}[{w.size}]", w.T))
        lines.append(_array("int32_t", f"t{i}[{out}]", theta))
        layers.append(f"LAYER({i}, {fan_in}, {out})")
        calls.append(f"    layer{i}({source});")
        source = f"s{i}"
    (folder / "naive.h").write_text("\n".join(lines))
    program = NAIVE.replace("@LAYERS@", "\n".join(layers)).replace("@CALLS@", "\n".join(calls))
    (folder / "naive.c").write_text(program)
    subprocess.run(["gcc", *flags, "naive.c", "-o", "naive"], cwd=folder, check=True)
    printed = subprocess.run([folder / "naive"], capture_output=True, text=True, check=True).stdout
    text, blob = dump_graph(case.graph)
    simulator = Simulator(json.loads(text), safetensors.numpy.load(blob))
    expected = simulator.run({"x": case.x})[0]["out"][0]
    np.testing.assert_array_equal(np.array(printed.split(), np.int64), expected)
    return callgrind(folder, "naive_step", "./naive")


def _array(ctype: str, declarator: str, values: npt.NDArray[Any]) -> str:
    body = ", ".join(map(str, values.reshape(-1).tolist()))
    return f"static const {ctype} {declarator} = {{{body}}};"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="only 10 percent")
    parser.add_argument("--naive", action="store_true", help="also count a naive program")
    parser.add_argument("--flags", default="-O2", help="options of gcc, separated by blanks")
    parser.add_argument("--top", type=int, default=63, help="largest weight, at most 127")
    args = parser.parse_args()
    for tool in ("gcc", "valgrind"):
        if shutil.which(tool) is None:
            parser.error(f"{tool} is not installed")
    flags = ("-std=c99", *args.flags.split())
    print("density  synaptic operations  instructions  per operation" + "    naive" * args.naive)
    for density in (0.1,) if args.quick else (0.01, 0.05, 0.1, 0.2, 0.5):
        case = make(density, top=args.top)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            CBackend().compile(case.graph).write(folder)
            check(case, folder, flags)
            count = instructions(case, folder, flags)
            row = f"{density:7.0%}  {case.synops:19,}  {count:12,}  {count / case.synops:13.3f}"
            if args.naive:
                row += f"  {naive(case, folder, flags) / case.synops:7.3f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
