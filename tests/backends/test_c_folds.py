"""Weights of few bits take few bits, and give the same sums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snnc.backends.c.backend import CBackend
from snnc.backends.c.network import Network
from snnc.backends.c.plan import Plan
from snnc.graph import Graph
from snnc.intops import IntConv, IntInput, IntLinear, IntNeuron, IntOutput, IntReshape, IntTimeStack
from snnc.params import Param
from snnc.types import Clock
from tests.intgraphs import ONE, proven, simulator
from tests.randomkernels import Builder, lif

CHECKED = ("-std=c99", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")
NATIVE = ("-std=c99", "-O3", "-march=native")
#: Largest weight, and how many words of pairs share one.
FOLDS = [(1, 4), (7, 2), (8, 1)]


def network(top: int, sizes: tuple[int, ...], rows: int = 1) -> Graph:
    """Linear layers of these sizes on one input, all of them for several rows of spikes."""
    rng, graph = np.random.default_rng(top), Graph("folds", 5)
    shape = (rows, 90) if rows > 1 else (90,)
    graph.add("x", IntInput(shape, Clock.STEP, 0, 1, 1.0))
    for size in sizes:
        w = rng.integers(-top, top + 1, (size, 90))
        w[0, :2] = -top, top
        graph.add(f"fc{size}", IntLinear(Param(w.astype(np.int8)), None, 0), "x")
        graph.add(f"stack{size}", IntTimeStack(), f"fc{size}")
        graph.add(f"out{size}", IntOutput(ONE), f"stack{size}")
    return proven(graph)


def assert_same(
    graph: Graph, folder: Path, x: np.ndarray, flags: tuple[str, ...] = CHECKED
) -> None:
    CBackend().compile(graph).write(folder)
    expected = simulator(graph).run({"x": x})[0]
    actual = CBackend(flags=flags).run(folder, {"x": x})[0]
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


def spikes(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(0)
    share = np.array([0, 0.1, 0.5, 1]).reshape(-1, *[1] * len(shape))
    return (rng.random((4, *shape)) < share).astype(np.int64)


@pytest.mark.parametrize(("top", "fold"), FOLDS)
@pytest.mark.parametrize(("rows", "flags"), [(1, NATIVE), (3, CHECKED)])
def test_linear_layers(
    tmp_path: Path, top: int, fold: int, rows: int, flags: tuple[str, ...]
) -> None:
    graph = network(top, (16, 64, 130), rows)
    plan = Plan(graph)
    assert [plan.pairs(graph[f"fc{n}"]).fold for n in (16, 64, 130)] == [1, fold, 1]
    assert_same(graph, tmp_path, spikes((6, *graph["x"].type.shape)), flags)


@pytest.mark.parametrize(("top", "fold"), FOLDS)
def test_flash(top: int, fold: int) -> None:
    """A table has the bits of its weights."""
    graph = network(top, (256,))
    (table,) = (t for t in Network(graph).tables.entries if t.name.endswith("_w"))
    assert table.values.nbytes == 256 * 90 // fold


@pytest.mark.parametrize(("top", "fold"), FOLDS)
def test_windows_of_convolutions(tmp_path: Path, top: int, fold: int) -> None:
    rng, graph = np.random.default_rng(top), Graph("windows", 5)
    b = Builder(rng, graph)
    graph.add("x", IntInput((2, 9, 9), Clock.STEP, 0, 1, 1.0))
    value = "x"
    for width in (8, 64):
        weight = b.param((width, graph[value].type.shape[0], 3, 3), -top, top)
        conv = IntConv(weight, None, 0, (1, 1), (1, 1), (1, 1))
        value = graph.add(f"conv{width}", conv, value).name
        shape = graph[value].type.shape
        value = graph.add(f"lif{width}", IntNeuron(lif(b, shape), shape), value).name
    size = graph[value].type.size
    graph.add("flat", IntReshape((size,)), value)
    graph.add("fc", IntLinear(b.param((9, size), -127, 127), None, 0), "flat")
    graph.add("stack", IntTimeStack(), "fc")
    graph.add("out", IntOutput(ONE), "stack")
    graph = proven(graph)
    assert Plan(graph).windows(graph["conv64"]).fold == fold
    assert_same(graph, tmp_path, spikes((6, 2, 9, 9)))


def test_a_layer_beyond_the_cache(tmp_path: Path) -> None:
    rng, graph = np.random.default_rng(1), Graph("large", 5)
    graph.add("x", IntInput((1100,), Clock.STEP, 0, 1, 1.0))
    w = rng.integers(-7, 8, (2048, 1100)).astype(np.int8)
    graph.add("fc", IntLinear(Param(w), None, 0), "x")
    graph.add("stack", IntTimeStack(), "fc")
    graph.add("out", IntOutput(ONE), "stack")
    graph = proven(graph)
    assert Plan(graph).pairs(graph["fc"]).fold == 2
    assert_same(graph, tmp_path, spikes((5, 1100)), NATIVE)
