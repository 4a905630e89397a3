"""Speed of the NumPy simulator against the same program with plain products of int32 matrices.

NumPy has no fast product of integer matrices; the simulator multiplies in floating point where
proven ranges make that exact, three sums in one float64 if they fit, and all steps of a layer that
depends on no past value at once.  The network is net (a) of the C benchmark, an MLP
784-1024-1024-10 of 25 steps.  Processor time of one thread, medians over interleaved rounds; scores
must be equal.

    python -m examples.benchmarks.numpy_speed              a batch of 128
    python -m examples.benchmarks.numpy_speed --density 50
"""

from __future__ import annotations

import argparse
import copy
import itertools
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is there

import numpy as np
import numpy.typing as npt
import torch

import snnc
from examples.benchmarks.c_speed.dense import Steps, calibrated, random_weights
from snnc.backends.numpy.simulator import Simulator

#: How the matrix of a product lies, which NumPy's loops are very sensitive to.
ORDERS = {"(out, in)": "C", "(in, out)": "F"}
SIZES, STEPS = (784, 1024, 1024, 10), 25


def compiled(folder: Path, density: float) -> Simulator:
    """Net (a) as the compiler writes it; its layers fire at about the density."""
    rng = np.random.default_rng(0)
    pairs = itertools.pairwise(SIZES)
    weights = [(random_weights(rng, out, fan_in, 4, 127), None) for fan_in, out in pairs]
    x = spikes(8, density)
    layers, _ = calibrated(weights, x, density)
    snnc.export(Steps(layers), torch.from_numpy(x[:2]).float(), folder / "model.pt", time_axis=1)
    return snnc.compile(folder / "model.pt", folder / "net", target="numpy").simulator


def spikes(samples: int, density: float) -> npt.NDArray[np.uint8]:
    """Inputs (N, T, in)."""
    rng = np.random.default_rng(1)
    return (rng.random((samples, STEPS, SIZES[0])) < density).astype(np.uint8)


def seconds(sim: Simulator, x: npt.NDArray[Any]) -> tuple[float, npt.NDArray[np.int64]]:
    """Processor seconds per sample, and the scores."""
    start = time.thread_time()
    (scores,) = sim.run(x)[0].values()
    return (time.thread_time() - start) / len(x), scores


def with_int32(sim: Simulator, order: str) -> Simulator:
    """The same program with products of int32 matrices."""
    plain = copy.copy(sim)
    weights = {n["name"]: sim.param(n["attributes"]["weight"]) for n in sim.nodes
               if "weight" in n["attributes"]}  # fmt: skip
    plain.packed = {}
    plain.exact = {name: w.astype(np.int32, order=order) for name, w in weights.items()}
    return plain


def main() -> None:
    """Print milliseconds per sample of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=128, help="samples that run together")
    parser.add_argument("--plain", type=int, default=2, help="samples of the slow program")
    parser.add_argument("--density", type=float, default=10, help="spikes, in percent")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    density = options.density / 100
    with tempfile.TemporaryDirectory() as name:
        fast = compiled(Path(name), density)
    plain = {title: with_int32(fast, order) for title, order in ORDERS.items()}
    x = spikes(options.batch, density).astype(np.int64)
    few = x[: options.plain]
    times = []
    for _ in range(options.rounds):
        one, scores = seconds(fast, x)
        row = [one]
        for sim in plain.values():
            other, same = seconds(sim, few)
            if not np.array_equal(scores[: len(few)], same):
                raise SystemExit("the programs differ")
            row.append(other)
        times.append(row)
    found = np.array(times)
    print(f"simulator, batch of {options.batch}: {np.median(found[:, 0]) * 1e3:.2f} ms per sample")
    for title, column in zip(plain, found.T[1:], strict=True):
        ratio = np.median(column / found[:, 0])
        print(f"int32, weights {title}: {np.median(column) * 1e3:.1f} ms per sample, {ratio:.0f}x")


if __name__ == "__main__":
    main()
