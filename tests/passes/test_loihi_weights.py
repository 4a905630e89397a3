"""What may lie between Loihi's populations: layers of all kinds, residual paths, loops, delays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import snnc
from snnc.backends.float_sim import FloatSimulator
from snnc.backends.lava.stock.legalise import legalise
from snnc.diagnostics import CompileError
from snnc.graph import Edge, Graph, Value
from snnc.ops import (
    AvgPool1d,
    Concat,
    Conv1d,
    DelayLinear,
    Input,
    Linear,
    MaxPool2d,
    Neuron,
    Output,
    Reshape,
    Slice,
    Sum,
    TimeStack,
    TimeSum,
    Transpose,
)
from snnc.params import Param
from snnc.passes import Context, run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.types import TensorType
from tests.intgraphs import simulator
from tests.kerneltext import kernel
from tests.models import model_file
from tests.passes.test_fit_loihi import LIF, chain
from tests.realgraphs import param
from tests.stockgraphs import emulated

SIZE = 12


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def linear(rows: int, columns: int, seed: int, size: float = 2.0, bias: bool = False) -> Linear:
    weight = rng(seed).normal(size=(rows, columns)) * size / np.sqrt(columns) + 0.05
    return Linear(param(weight), param(rng(seed + 9).normal(size=rows) * 0.1) if bias else None)


def fires(g: Graph, name: str, *inputs: str | Value, shape: tuple[int, ...] = (SIZE,)) -> str:
    """A population of one input, or of a sum."""
    add = g.add(f"{name}.sum", Sum(), *inputs).name if len(inputs) > 1 else inputs[0]
    return g.add(name, Neuron(kernel(LIF, beta=0.9, theta=1.0), shape), add).name


def residual(g: Graph, x: str) -> str:
    """Spikes are added to weighted ones; two populations share a layer."""
    g.add("shared", linear(SIZE, SIZE, 1, bias=True), x)
    a, b = fires(g, "a", "shared"), fires(g, "b", g.add("wide", linear(SIZE, SIZE, 2), x).name)
    g.add("more", linear(SIZE, SIZE, 3), a)
    return fires(g, "c", "more", b, "shared")


def feedback(g: Graph, x: str) -> str:
    """Spikes come back two steps later, and their weighted sum one step later."""
    a = fires(
        g,
        "a",
        g.add("fc", linear(SIZE, SIZE, 1), x).name,
        g.add("z", linear(SIZE, SIZE, 2), x).name,
    )
    g.add("back", linear(SIZE, SIZE, 3, 0.5), Value(a, 0, 2))
    g.add("again", linear(SIZE, SIZE, 4, 0.5), a)
    g.connect(Edge("back", "a.sum", 2))
    g.connect(Edge("again", "a.sum", 3, 0, 1))
    return a


def delays(g: Graph, x: str) -> str:
    """Every synapse has a delay of its own."""
    g.add("fc", linear(SIZE, SIZE, 1), x)
    a = fires(g, "a", "fc")
    late = DelayLinear(
        param(rng(4).normal(size=(SIZE, 30)) * 0.4),
        Param(rng(5).integers(0, SIZE, 30)),
        Param(rng(6).integers(0, 5, 30)),
    )
    return fires(g, "b", g.add("late", late, a).name)


def moves(g: Graph, x: str) -> str:
    """Convolutions along one axis, pools, concatenation, and what rearranges."""
    g.add("rows", Reshape((2, 6)), x)
    g.add("mean", AvgPool1d((2,), (1,)), "rows")
    g.add(
        "conv", Conv1d(param(rng(1).normal(size=(4, 2, 3)) * 0.7), None, (1,), (1,), (1,)), "mean"
    )
    a = fires(g, "a", "conv", shape=(4, 5))
    g.add("image", Reshape((1, 4, 5)), a)
    g.add("max", MaxPool2d((2, 2), (2, 2), (0, 0)), "image")
    g.add("flat", Reshape((4,)), "max")
    g.add("turned", Transpose((1, 0)), a)
    g.add("part", Slice(0, 0, 2), "turned")
    g.add("few", Reshape((8,)), "part")
    g.add("all", Concat(0), "flat", "few")
    return fires(g, "b", g.add("fc", linear(SIZE, 12, 7), "all").name)


NETS: dict[str, Callable[[Graph, str], str]] = {
    f.__name__: f for f in (residual, feedback, delays, moves)
}


def network(make: Callable[[Graph, str], str]) -> Graph:
    g = Graph("net", 15)
    g.add("x", Input(TensorType((SIZE,)), 0.0, 1.0, 1.0))
    last = make(g, "x")
    g.add("head", linear(4, SIZE, 8, bias=True), last)
    g.add("sum", TimeSum(), "head")
    g.add("out", Output(), "sum")
    g.add("stack", TimeStack(), last)
    g.add("spikes", Output(), "stack")
    return g


def lowered(graph: Graph) -> tuple[Graph, Graph]:
    ctx = Context()
    passes = integer_pipeline(profile="loihi", max_steps=64, stock=True)
    program = run_passes(graph, passes, ctx)
    assert ctx.fake_quantized is not None
    return program, ctx.fake_quantized


@pytest.mark.parametrize("name", NETS)
def test_close_to_the_floats_and_exact_on_stock_processes(name: str) -> None:
    graph = network(NETS[name])
    program, real = lowered(graph)
    x = (rng(3).random((6, 15, SIZE)) < 0.4).astype(np.int64)
    ints, _ = simulator(program).run(x)
    made, _ = FloatSimulator(real).run(x.astype(float))
    floats, _ = FloatSimulator(graph).run(x.astype(float))
    factor = program["out"].op.scale.data  # type: ignore[attr-defined]
    np.testing.assert_allclose(ints["out"] * factor, made["out"], rtol=1e-9, atol=1e-9)
    assert np.array_equal(ints["spikes"], made["spikes"])
    assert 0.02 < ints["spikes"].mean() < 0.98
    assert (ints["spikes"] == floats["spikes"]).mean() > 0.93
    on_lava = emulated(legalise(program), x)
    assert all(np.array_equal(on_lava[k], ints[k]) for k in ints)


def test_a_delayed_bias_is_refused() -> None:
    g = Graph("net", 4)
    g.add("x", Input(TensorType((SIZE,)), 0.0, 1.0, 1.0))
    g.add("fc", linear(SIZE, SIZE, 1, bias=True), "x")
    fires(g, "a", Value("fc", 0, 1))
    g.add("stack", TimeStack(), "a")
    g.add("out", Output(), "stack")
    with pytest.raises(CompileError, match="a bias is delayed"):
        lowered(g)


def test_weights_behind_weights_are_refused() -> None:
    g = Graph("net", 4)
    g.add("x", Input(TensorType((SIZE,)), 0.0, 1.0, 1.0))
    fires(g, "a", g.add("fc", linear(SIZE, SIZE, 3), "x").name)
    g.add("first", linear(SIZE, SIZE, 1), "a")
    g.add("second", linear(SIZE, SIZE, 2), "first")
    g.add("sum", TimeSum(), "second")
    g.add("out", Output(), "sum")
    with pytest.raises(CompileError, match=r"weights read first\.scaled, which are neither spikes"):
        lowered(g)


@pytest.mark.parametrize("encoder", ["rate", "latency", "sigma-delta"])
def test_encoders_stay_on_the_host(encoder: str, tmp_path: Path) -> None:
    """They have no weights; the populations behind them are the chip's."""
    path = model_file(tmp_path, chain(kernel(LIF, beta=0.9, theta=1.0)))
    options = {"encode": encoder, "lava_mode": "stock", "target": "lava"}
    artifact = snnc.compile(path, tmp_path / "net", **options)  # type: ignore[arg-type]
    assert artifact.manifest.profile == "loihi"
    x = rng(0).random((6, 30))
    report = artifact.verify(x, backends=["numpy"])
    assert report.quantized_spikes["n0"] == 1.0
    assert (report.spikes["n0"] or 0) > 0.9
    plan = legalise(artifact.graph())
    assert [p.node for p in plan.populations] == ["n0", "head"]
    encoded = artifact.encode(x)
    spikes = np.repeat(encoded["x"][:, None], 20, 1)
    want, _ = artifact.simulator.run(encoded, 20)
    static = emulated(plan, spikes, static=True)
    assert all(np.array_equal(static[k], want[k]) for k in want)
