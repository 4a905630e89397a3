"""The convolutional network of the NIR paper on N-MNIST recordings, in floats and integers.

The data are not in the repository; see ``tests/realdata.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.passes.base import run_passes
from snnc.passes.pipeline import integer_pipeline
from tests.intgraphs import simulator
from tests.nirfiles import read, same_in_c
from tests.realdata import real_files

Array = npt.NDArray[Any]

#: As sinabs computes, whose neurons fire several times in a step, and as its chips do.
READINGS = ["exporter=sinabs", "exporter=sinabs,spikes=one"]


def frames(count: int, bins: int = 300) -> tuple[Array, Array]:
    """N-MNIST recordings as counts per millisecond, (N, 300, 2, 34, 34), and labels."""
    d = np.load(real_files("nmnist", "nmnist_test_first50.npz"))
    x = np.zeros((count, bins, 2, 34, 34), np.int64)
    for i in range(count):
        s = slice(d["offset"][i], d["offset"][i + 1])
        t = np.minimum(d["t"][s] // 1000, bins - 1)
        np.add.at(x[i], (t, d["p"][s], d["y"][s], d["x"][s]), 1)
    return x, d["label"][:count]


@pytest.mark.parametrize("reading", READINGS)
def test_cnn_sinabs_on_nmnist(tmp_path: Path, reading: str) -> None:
    x, labels = frames(2)
    path = real_files("nir_paper", "02_cnn", "cnn_sinabs.nir")
    graph = read(path, f"{reading},readout=sum,input_hi={x.max()}").graph
    real, _ = FloatSimulator(graph, np.float32).run(x)
    np.testing.assert_array_equal(real["output"].argmax(1), labels)
    program = run_passes(graph, integer_pipeline())
    sim = simulator(program)
    outputs, words = sim.run({"input": x}, None, ["12.s", "10.v"])
    np.testing.assert_array_equal(outputs["output"].argmax(1), labels)
    assert words["12.s"].sum() > 500
    same_in_c(program, tmp_path, {"input": x}, outputs, words)


@pytest.mark.slow
@pytest.mark.parametrize("reading", READINGS)
def test_accuracy_of_cnn_sinabs_on_nmnist(reading: str) -> None:
    """The paper reports 97.1 to 98.5 % on the whole test set."""
    x, labels = frames(50)
    path = real_files("nir_paper", "02_cnn", "cnn_sinabs.nir")
    graph = read(path, f"{reading},readout=sum,input_hi={x.max()}").graph
    program = run_passes(graph, integer_pipeline())
    sim, real = simulator(program), FloatSimulator(graph, np.float32)
    hits, same = 0, 0
    for i in range(0, 50, 5):
        part, truth = x[i : i + 5], labels[i : i + 5]
        integers = sim.run({"input": part})[0]["output"].argmax(1)
        floats = real.run(part)[0]["output"].argmax(1)
        hits += int((floats == truth).sum())
        same += int((integers == floats).sum())
    assert hits >= 48
    assert same >= 48
