"""Time of the torch backend and of the NumPy simulator on one batch of 128 samples.

Nets are MLPs by their sizes, built as in ``c_events.py``, in which a tenth of the inputs are
spikes; the convolutional one, the recurrent one and the transformer block of ``c_speed``, which
fire at 10 %, too; and those of ``c_speed`` that were trained on real data.  Each is run by the
simulator, by the torch backend as it comes (neurons, sums of spikes and products of computed
matrices are compiled where a C compiler is found) and by torch alone.  First all of them must give
the same words, of the first samples, and the same outputs, of all.  They take turns; the least time
of each counts: processor time on one thread, then time by the clock on all cores, which needs a
machine that does nothing else.

    python -m examples.benchmarks.torch_batch
    python -m examples.benchmarks.torch_batch 784-512-512-10 convolution --repeats 20
    python -m examples.benchmarks.torch_batch digits-mlp digits-conv speech      needs $SNNC_DATA
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import threadpool_limits

import snnc
from examples.benchmarks.c_events import STEPS, make
from examples.benchmarks.c_speed.case import Case
from examples.benchmarks.c_speed.convolution import convolution
from examples.benchmarks.c_speed.recurrent import recurrent
from examples.benchmarks.c_speed.trained import digits_conv, digits_mlp, spoken_digits
from examples.benchmarks.c_speed.transformer import transformer
from snnc.backends.numpy.simulator import Simulator
from snnc.backends.torch.backend import TorchBackend
from snnc.backends.torch.batches import run
from snnc.backends.torch.network import IntegerNetwork

Inputs = dict[str, npt.NDArray[Any]]
BATCH, DENSITY = 128, 0.1
#: Samples of which all words are compared.
COMPARED = 4
MODELS: dict[str, Callable[[int], Case]] = {
    "convolution": partial(convolution, DENSITY),
    "recurrent": partial(recurrent, DENSITY),
    "transformer": partial(transformer, DENSITY),
    "digits-mlp": digits_mlp,
    "digits-conv": digits_conv,
    "speech": spoken_digits,
}
USUAL = ("784-1024-1024-10", "784-512-512-10", "convolution", "recurrent", "transformer")


def program(net: str, folder: Path) -> tuple[Path, Inputs, int | None]:
    """The folder of a net's program, a batch for it, and steps that this does not tell."""
    if net not in MODELS:
        sizes = tuple(int(n) for n in net.split("-"))
        TorchBackend().compile(make(DENSITY, sizes).graph).write(folder)
        x = np.random.default_rng(0).random((BATCH, STEPS, sizes[0])) < DENSITY
        return folder, {"x": x.astype(np.int8)}, None
    case = MODELS[net](BATCH)
    example = torch.from_numpy(case.x[:2]).float()
    axis = None if case.constant else 1
    snnc.export(case.module, example, folder / "model.pt", time_axis=axis, static=case.constant)
    artifact = snnc.compile(folder / "model.pt", folder / "net", target="numpy,torch")
    steps = artifact.run(case.x[:1]).steps if case.constant else None
    return folder / "net" / "torch", dict(artifact.encode(case.x)), steps


def check(
    simulator: Simulator, networks: list[IntegerNetwork], x: Inputs, steps: int | None
) -> None:
    """Fail if any of them gives something else."""
    words, few = simulator.words(), {name: values[:COMPARED] for name, values in x.items()}
    for inputs, record in ((few, words), (x, [])):
        want = simulator.run(inputs, steps, record)
        for network in networks:
            got = run(network, inputs, steps, record)
            for a, b in zip(want, got, strict=True):
                for word in a:
                    np.testing.assert_array_equal(a[word], b[word], word)


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
    """Print a line for one thread and one for all, of every net."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = ", ".join(MODELS)
    parser.add_argument("nets", nargs="*", metavar="NET", help=f"sizes of an MLP, or of {names}")
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    for net in options.nets or USUAL:
        with tempfile.TemporaryDirectory() as name:
            folder, x, steps = program(net, Path(name))
            simulator, plain = Simulator.load(folder), IntegerNetwork.load(folder, compiler=False)
            network = IntegerNetwork.load(folder)
        assert network.natives, "it is asked for"
        network.natives.after = 0  # at once, as if it had run some times
        check(simulator, [network, plain], x, steps)
        calls: list[Callable[[], object]] = [
            partial(simulator.run, x, steps),
            partial(run, network, x, steps),
            partial(run, plain, x, steps),
        ]
        for threads in sorted({1, os.cpu_count() or 1}):
            numpy, ours, alone = measure(calls, threads, options.repeats)
            print(
                f"{net}, batch {BATCH}, {threads} thread(s): NumPy {1e3 * numpy:.1f} ms, "
                f"torch {1e3 * ours:.1f} ms, {numpy / ours:.2f} times faster "
                f"(without a C compiler {1e3 * alone:.1f} ms, {numpy / alone:.2f} times); "
                "all words equal",
                flush=True,
            )


if __name__ == "__main__":
    main()
