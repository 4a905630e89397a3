"""``snn_run``: layers in turn give the words of steps in turn."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from snnc.backends.c import packing, pairs, stages
from snnc.backends.c.backend import CBackend
from snnc.backends.c.network import Network
from snnc.graph import Graph, Value
from snnc.intops import (
    IntInput,
    IntLinear,
    IntNeuron,
    IntOutput,
    IntSum,
    IntTimeLast,
    IntTimeStack,
    IntTimeSum,
)
from snnc.params import Param
from snnc.types import Clock
from tests.backends.test_c_vectors import FLAGS
from tests.differential.test_random_graphs import FAST, difference
from tests.intgraphs import ONE, proven
from tests.randomgraphs import loop, random_graph
from tests.randomkernels import Builder, lif

TCC = shutil.which("tcc") is not None
BLOCKS = CBackend(
    compiler="tcc" if TCC else "", flags=("-std=c99", "-w", "-O0", "-DSNN_TRACE_BLOCKS")
)
CHECKED = CBackend(
    flags=(
        *("-std=c99", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror"),
        *("-fsanitize=undefined", "-fno-sanitize-recover=all", "-DSNN_TRACE_BLOCKS"),
    )
)

WIDE = [
    ("avx2", ("-mavx2",), {"avx2"}),
    ("avx512", ("-mavx512bw", "-mavx512vl"), {"avx512bw", "avx512vl"}),
    (
        "avx512-vnni",
        ("-mavx512bw", "-mavx512vl", "-mavx512vnni"),
        {"avx512bw", "avx512vl", "avx512_vnni"},
    ),
]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of three steps for layers of any size, columns in tiles."""
    monkeypatch.setattr(stages, "DENSE", 0)
    monkeypatch.setattr(stages, "BLOCKS", (3,))
    monkeypatch.setattr(packing, "LARGE", 0)
    monkeypatch.setattr(packing, "_TILE", (8, 8))
    monkeypatch.setattr(packing, "HELD", 16 * 5)


def layered(seed: int, widths: tuple[int, ...] = (7, 16, 32, 48)) -> Graph:
    """Dense populations in a row, with feedback, skips and delays at random."""
    rng = np.random.default_rng(seed)
    b = Builder(rng, Graph("layered", 7))
    sizes = rng.choice(widths, 5)
    found = [b.graph.add("x", IntInput((int(sizes[0]),), Clock.STEP, 0, 1, 1.0)).name]

    def linear(value: str | Value, fan_in: int, out: int) -> str:
        top = int(rng.choice([3, 127]))
        bias = b.param((out,), -50, 50) if rng.integers(2) else None
        op = IntLinear(b.param((out, fan_in), -top, top), bias, int(rng.integers(3)))
        return b.graph.add(b.name("fc"), op, value).name

    for i in range(1, len(sizes)):
        out, name = int(sizes[i]), f"lif{i}"
        total = linear(found[-1], int(sizes[i - 1]), out)
        back = int(rng.integers(5))
        if i > 1 and rng.integers(2):
            skipped = int(rng.integers(i - 1))
            late = Value(found[skipped], 0, int(rng.integers(3)))
            other = linear(late, int(sizes[skipped]), out)
            total = b.graph.add(b.name("sum"), IntSum(), total, other).name
        if back == 0:
            late = Value(name, 0, int(rng.integers(1, 3)))
            loop(b, total, name, lif(b, (out,)), late, lambda v, n=out: linear(v, n, n))
        else:
            b.graph.add(name, IntNeuron(lif(b, (out,)), (out,)), total)
        found.append(name)
    b.graph.add("count", IntTimeSum(), found[-1])
    b.graph.add("counts", IntOutput(ONE), "count")
    b.graph.add("stack", IntTimeStack(int(rng.integers(3))), found[int(rng.integers(1, 4))])
    b.graph.add("sequence", IntOutput(ONE), "stack")
    b.graph.add("last", IntTimeLast(), found[1])
    b.graph.add("end", IntOutput(ONE), "last")
    return proven(b.graph)


@pytest.mark.usefixtures("small")
def test_layers_in_turn_give_all_words() -> None:
    dense = 0
    for seed in range(16):
        graph = layered(seed)
        dense += len(Network(graph).blocks.stages.dense)
        assert difference(graph, seed, BLOCKS) == "", seed
    assert dense > 25


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("kind", "dense"), [(0, 35), (1, 0), (2, 0), (2, 35)])
def test_columns_and_products_of_vectors(
    monkeypatch: pytest.MonkeyPatch, kind: int, dense: int
) -> None:
    """Products from so many percent of spikes on."""
    name, flags, needs = WIDE[kind]
    if not needs <= FLAGS:
        pytest.skip(f"this processor lacks {name}")
    monkeypatch.setattr(stages, "BLOCKS", (6,))
    options = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *flags)
    backend = CBackend(
        compiler="gcc", flags=(*options, "-DSNN_TRACE_BLOCKS", f"-DSNN_DENSE={dense}u")
    )
    graph = layered(dense, (64, 75, 256, 512))
    assert Network(graph).blocks.stages.dense
    assert difference(graph, 0, backend) == ""


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("flags", "many"), [((), 2), ((), 5), (("-mavx2",), 5)])
def test_tiles_of_large_layers(
    monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], many: int
) -> None:
    """Sums of more than 16 bits, of whole columns or of parts: 30 percent of the inputs spike."""
    if flags and "avx2" not in FLAGS:
        pytest.skip("this processor lacks avx2")
    monkeypatch.setattr(pairs, "_MANY", many)
    b = Builder(np.random.default_rng(many), Graph("heavy", 7))
    b.graph.add("x", IntInput((400,), Clock.STEP, 0, 1, 1.0))
    weight = b.param((64, 400), -127, 127)
    heavy = Param(np.abs(weight.data).clip(90))
    for name, value in (("first", heavy), ("second", weight)):
        op = IntLinear(value, b.param((64,), -9, 9), 1)
        b.graph.add(name, op, "x")
        b.graph.add(f"{name}_lif", IntNeuron(lif(b, (64,)), (64,)), name)
        b.graph.add(f"{name}_count", IntTimeSum(), f"{name}_lif")
        b.graph.add(f"{name}_out", IntOutput(ONE), f"{name}_count")
    graph = proven(b.graph)
    plan = Network(graph).plan
    found = plan.pairs(graph["first"])
    assert found is not None
    assert found.tile == 8
    compiler = "gcc" if flags else BLOCKS.compiler
    backend = CBackend(compiler=compiler, flags=(*BLOCKS.flags, *flags))
    assert difference(graph, 0, backend) == ""
    assert difference(graph, 1, CBackend(compiler=compiler, flags=(*FAST.flags, *flags))) == ""


@pytest.mark.usefixtures("small")
def test_random_graphs_in_blocks() -> None:
    for seed in range(3000, 3015):
        assert difference(random_graph(seed), seed, BLOCKS) == "", seed


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", [4])
def test_blocks_under_sanitizers(seed: int) -> None:
    assert difference(layered(seed), seed, CHECKED) == ""
