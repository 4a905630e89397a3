"""Time of the torch backend and of the NumPy simulator on one batch of an MLP.

The network is that of ``c_events.py``: 784-1024-1024-10 with LIF neurons and 8-bit weights, or the
sizes that are given; 128 samples of 25 steps, in which a tenth of the inputs are spikes.  Both
give the same integers, which is checked first.  They take turns; the least time of each counts:
processor time on one thread, then time by the clock on all cores, which both take by themselves.

    python -m examples.benchmarks.torch_batch
    python -m examples.benchmarks.torch_batch --sizes 784,512,512,10 --repeats 20
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from examples.benchmarks.c_events import STEPS, make
from snnc.backends.numpy.simulator import Simulator
from snnc.backends.torch.backend import TorchBackend
from snnc.backends.torch.batches import run
from snnc.backends.torch.network import IntegerNetwork


def measure(calls: list[Callable[[], object]], threads: int, repeats: int) -> list[float]:
    """Least seconds of each call, in turns; at first the threads of the other one still spin."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    torch.set_num_threads(threads)
    least = [float("inf")] * len(calls)
    with threadpool_limits(threads):
        for _ in range(repeats):
            for i, call in enumerate(calls):
                call()
                start = clock()
                call()
                least[i] = min(least[i], clock() - start)
    return least


def main() -> None:
    """Print a line for one thread and one for all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="784,1024,1024,10")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    sizes = tuple(int(n) for n in options.sizes.split(","))
    graph = make(0.1, sizes).graph
    rng = np.random.default_rng(0)
    x = {"x": (rng.random((options.batch, STEPS, sizes[0])) < 0.1).astype(np.int8)}
    with tempfile.TemporaryDirectory() as name:
        TorchBackend().compile(graph).write(Path(name))
        simulator, network = Simulator.load(Path(name)), IntegerNetwork.load(Path(name))
    words = simulator.words()
    want, got = simulator.run(x, record=words), run(network, x, record=words)
    for a, b in zip(want, got, strict=True):
        for word in a:
            np.testing.assert_array_equal(a[word], b[word], word)
    calls: list[Callable[[], object]] = [lambda: simulator.run(x), lambda: run(network, x)]
    for threads in sorted({1, os.cpu_count() or 1}):
        ours, theirs = measure(calls, threads, options.repeats)
        print(
            f"{'-'.join(map(str, sizes))}, batch {options.batch}, {STEPS} steps, "
            f"{threads} thread(s): NumPy {1e3 * ours:.1f} ms, torch {1e3 * theirs:.1f} ms, "
            f"{ours / theirs:.2f} times faster; all words equal"
        )


if __name__ == "__main__":
    main()
