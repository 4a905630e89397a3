"""Processor time of the torch backend and of the NumPy simulator on one batch of an MLP.

The network is that of ``c_events.py``: 784-1024-1024-10 with LIF neurons and 8-bit weights, or the
sizes that are given; 128 samples of 25 steps, in which a tenth of the inputs are spikes.  Both
give the same integers, which is checked first.  They take turns, on one thread; the least time of
each counts.

    python -m examples.benchmarks.torch_batch
    python -m examples.benchmarks.torch_batch --sizes 784,512,512,10 --repeats 20
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from examples.benchmarks.c_events import STEPS, make
from snnc.backends.numpy.simulator import Simulator
from snnc.backends.torch.backend import TorchBackend
from snnc.backends.torch.batches import run
from snnc.backends.torch.network import IntegerNetwork


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="784,1024,1024,10")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
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
    least = [float("inf"), float("inf")]
    for _ in range(options.repeats):
        for i, call in enumerate((lambda: simulator.run(x), lambda: run(network, x))):
            start = time.thread_time()
            call()
            least[i] = min(least[i], time.thread_time() - start)
    print(
        f"{'-'.join(map(str, sizes))}, batch {options.batch}, {STEPS} steps: "
        f"NumPy {1e3 * least[0]:.1f} ms, torch {1e3 * least[1]:.1f} ms, "
        f"{least[0] / least[1]:.2f} times faster; all words equal"
    )


if __name__ == "__main__":
    main()
