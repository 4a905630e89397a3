"""Instructions of the emitted C: counts by callgrind, which do not depend on the machine's load.

They catch what correctness tests cannot: loops that a compiler no longer vectorises.  gcc -O3
does that to the obvious form of the loop over spikes, at ten times the instructions.
"""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import numpy as np
import pytest

from examples.benchmarks.c_events import SIZES, STEPS, Case, check, instructions, leaky, make
from snnc.backends.c.backend import CBackend
from snnc.graph import Graph
from snnc.intops import (
    IntConv,
    IntInput,
    IntLinear,
    IntNeuron,
    IntOutput,
    IntReshape,
    IntSumPool,
    IntTimeSum,
)
from snnc.params import Param
from snnc.types import Clock
from tests.intgraphs import ONE, proven

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or not (shutil.which("gcc") and shutil.which("valgrind")),
    reason="needs gcc for x86-64 and valgrind",
)


def per_operation(folder: Path, level: str, top: int, sizes: tuple[int, ...], steps: int) -> float:
    """Instructions per synaptic operation of an MLP at 10 % density, after a check of its bits."""
    case = make(0.1, sizes, steps, top)
    CBackend().compile(case.graph).write(folder)
    flags = ("-std=c99", level)
    check(case, folder, flags)
    return instructions(case, folder, flags) / case.synops


@pytest.mark.parametrize(
    ("level", "top", "most"),
    [
        pytest.param("-O2", 7, 0.43, marks=pytest.mark.slow),
        ("-O2", 63, 0.45),
        ("-O3", 63, 0.45),
        pytest.param("-O2", 127, 0.56, marks=pytest.mark.slow),
    ],
)
def test_loops_are_vectorised(tmp_path: Path, level: str, top: int, most: float) -> None:
    """Limits are 7 % above what gcc 12 gives; neurons weigh more than in a larger network.

    Weights up to 7 have 4 bits of memory, which have to be taken apart.
    """
    assert per_operation(tmp_path, level, top, (512, 512, 512, 10), 4) <= most


@pytest.mark.slow
def test_half_an_instruction_per_synaptic_operation(tmp_path: Path) -> None:
    assert per_operation(tmp_path, "-O2", 127, SIZES, STEPS) <= 0.5


def convolutions() -> Graph:
    """2x18x18 - 16 (5x5, stride 2) - 16 (3x3) - sums of 2x2 - 16 (3x3) - 32."""
    rng = np.random.default_rng(0)
    graph = Graph("convolutions", 4)
    value = graph.add("x", IntInput((2, 18, 18), Clock.STEP, 0, 1, 1.0)).name
    geometry = (((5, 5), (2, 2), (0, 0)), ((3, 3), (1, 1), (1, 1)), ((3, 3), (1, 1), (0, 0)))
    for i, (kernel, stride, padding) in enumerate(geometry):
        if i == 2:
            value = graph.add("pool", IntSumPool((2, 2), (2, 2), (0, 0)), value).name
        channels = graph[value].type.shape[0]
        w = np.clip(rng.normal(3, 30, (16, channels, *kernel)), -120, 120).astype(np.int8)
        op = IntConv(Param(w), None, 5, stride, padding, (1, 1))
        value = graph.add(f"conv{i}", op, value).name
        shape, theta = graph[value].type.shape, rng.integers(6000, 9000, 16)
        value = graph.add(f"lif{i}", IntNeuron(leaky(theta.reshape(-1, 1, 1)), shape), value).name
    size = graph[value].type.size
    value = graph.add("flat", IntReshape((size,)), value).name
    w = rng.integers(-120, 120, (32, size)).astype(np.int8)
    graph.add("fc", IntLinear(Param(w)), value)
    graph.add("sum", IntTimeSum(), "fc")
    graph.add("out", IntOutput(ONE), "sum")
    return proven(graph)


@pytest.mark.parametrize(("level", "most"), [("-O2", 176_000), ("-O3", 151_000)])
def test_windows_are_vectorised(tmp_path: Path, level: str, most: int) -> None:
    """Instructions for a sample; the limit is 7 % above what gcc 12 gives."""
    x = (np.random.default_rng(1).random((1, 4, 2, 18, 18)) < 0.1).astype(np.int64)
    case = Case(convolutions(), [], [], x, 1)
    CBackend().compile(case.graph).write(tmp_path)
    check(case, tmp_path, ("-std=c99", level))
    assert instructions(case, tmp_path, ("-std=c99", level)) <= most
