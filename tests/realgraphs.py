"""Small real-valued graphs as a frontend writes them: pointwise state loops, not yet neurons."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import Loc
from snnc.graph import Edge, Graph, Value
from snnc.ops import (
    AvgPool2d,
    BatchNorm,
    Constant,
    Conv2d,
    Input,
    Linear,
    Output,
    Pointwise,
    Repeat,
    Reshape,
    TimeSum,
)
from snnc.params import Param
from snnc.types import FLOAT32, Clock, TensorType


def param(values: object) -> Param:
    return Param(np.asarray(values, np.float32))


def noise(rng: np.random.Generator, *shape: int) -> npt.NDArray[np.float64]:
    """Zero mean, variance 1, the same bits on every machine (no transcendental function)."""
    return rng.integers(-128, 129, shape) / 74


def constant(graph: Graph, value: object) -> str:
    return graph.add(graph.fresh("c"), Constant(Param(np.asarray(value, np.float64)))).name


def pointwise(graph: Graph, name: str, fn: str, *args: str | Value) -> str:
    path = name.rsplit(".", 1)[0]
    return graph.add(graph.fresh(name), Pointwise(fn), *args, loc=Loc(path, "net.py", 7)).name


def lif(
    graph: Graph,
    name: str,
    x: str,
    beta: object = 0.9,
    theta: object = 1.0,
    reset: str = "subtract",
    compare: str = "ge",
) -> str:
    """``v1 = beta*v + x; s = v1 >= theta; v = reset``; returns the name of the spikes."""
    shape = graph[x].type.shape
    b, th = constant(graph, beta), constant(graph, theta)
    leak = graph.fresh(f"{name}.leak")
    graph.declare(leak, Pointwise("mul"), (TensorType(shape),), Loc(name, "net.py", 7))
    v1 = pointwise(graph, f"{name}.add", "add", leak, x)
    s = pointwise(graph, f"{name}.spike", compare, v1, th)
    if reset == "subtract":
        new = pointwise(
            graph, f"{name}.sub", "sub", v1, pointwise(graph, f"{name}.r", "mul", s, th)
        )
    elif reset == "zero":
        keep = pointwise(graph, f"{name}.keep", "sub", constant(graph, 1.0), s)
        new = pointwise(graph, f"{name}.mul", "mul", v1, keep)
    else:
        new = v1
    graph.connect(Edge(b, leak, 0))
    graph.connect(Edge(new, leak, 1, delay=1, init=param(0.0)))
    return s


def projected(name: str, seed: int) -> tuple[Graph, np.random.Generator]:
    """Six spike trains ``x`` and a layer ``fc`` of eight outputs; what follows goes on drawing."""
    rng = np.random.default_rng(seed)
    g = Graph(name, 16)
    g.add("x", Input(TensorType((6,)), 0.0, 1.0, 1.0))
    g.add("fc", Linear(param(noise(rng, 8, 6))), "x")
    return g, rng


def counted(g: Graph, name: str) -> Graph:
    """The graph, with the sum over time of ``name`` as its output."""
    g.add("sum", TimeSum(), name)
    g.add("out", Output(), "sum")
    return g


def mlp(
    sizes: Sequence[int] = (12, 20, 5), static: bool = False, seed: int = 0, **how: object
) -> Graph:
    """Linear-LIF layers; the outputs are spike counts."""
    rng = np.random.default_rng(seed)
    g = Graph("mlp", 16)
    clock = Clock.ONCE if static else Clock.STEP
    g.add("x", Input(TensorType((sizes[0],), FLOAT32, clock), 0.0, 1.0, 1 / 255))
    x = "x"
    for i, (n, m) in enumerate(itertools.pairwise(sizes)):
        w = noise(rng, m, n) * 1.5 / np.sqrt(n)
        g.add(f"fc{i}", Linear(param(w), param(noise(rng, m) * 0.1)), x)
        x = f"fc{i}"
        if static and i == 0:
            x = g.add("repeat", Repeat(), x).name
        x = lif(g, f"lif{i}", x, **how)  # type: ignore[arg-type]
    return counted(g, x)


def residual_conv(seed: int = 0) -> Graph:
    """conv-BN-LIF, conv + spikes - BN - LIF, average pool, linear readout with bias."""
    rng = np.random.default_rng(seed)
    g = Graph("residual", 8)

    def norm(name: str, x: str) -> str:
        var, weight = rng.integers(64, 129, 4) / 128, rng.integers(64, 193, 4) / 128
        mean, bias = noise(rng, 4) * 0.1, noise(rng, 4) * 0.1
        return g.add(name, BatchNorm(*map(param, (mean, var, weight, bias))), x).name

    def conv(name: str, x: str) -> str:
        fan_in = g[x].type.shape[0]
        w = noise(rng, 4, fan_in, 3, 3) / np.sqrt(fan_in * 9)
        return g.add(name, Conv2d(param(w * 2), None, (1, 1), (1, 1)), x).name

    g.add("x", Input(TensorType((2, 8, 8)), 0.0, 1.0, 1.0))
    s1 = lif(g, "lif1", norm("bn1", conv("conv1", "x")), rng.integers(64, 122, (4, 1, 1)) / 128)
    added = pointwise(g, "block.add", "add", conv("conv2", s1), s1)
    s2 = lif(g, "lif2", norm("bn2", added), 0.5, reset="zero")
    g.add("pool", AvgPool2d((2, 2), (2, 2)), s2)
    g.add("flat", Reshape((64,)), "pool")
    g.add("fc", Linear(param(noise(rng, 5, 64) / 8), param(noise(rng, 5))), "flat")
    return counted(g, "fc")


def recurrent(seed: int = 0) -> Graph:
    """``v1 = beta*v + W x + R s[t-1]``: a layer that reads its own last spikes."""
    g, rng = projected("recurrent", seed)
    loop = Linear(param(noise(rng, 8, 8) / 2), param(noise(rng, 8) / 8))
    g.declare("loop", loop, (TensorType((8,)),), Loc("loop", "net.py", 9))
    s = lif(g, "lif", pointwise(g, "lif.in", "add", "fc", "loop"))
    g.connect(Edge(s, "loop", delay=1))
    return counted(g, s)


def compartments(seed: int = 0) -> Graph:
    """``v1 = beta*v + W x``, ``v2 = v1 + G v1``: a layer between a neuron's halves."""
    g, rng = projected("compartments", seed)
    add, leak = Pointwise("add"), constant(g, 0.8)
    g.declare("soma.decayed", Pointwise("mul"), (TensorType((8,)),), Loc("soma", "net.py", 3))
    g.connect(Edge(leak, "soma.decayed", 1))
    pointwise(g, "soma.current", "add", "soma.decayed", "fc")
    g.add("couple", Linear(param(noise(rng, 8, 8) / 8)), "soma.current")
    g.add("soma.v", add, "soma.current", "couple")
    s = pointwise(g, "soma.s", "ge", "soma.v", constant(g, 1.0))
    kept = pointwise(g, "soma.kept", "mul", "soma.v", pointwise(g, "soma.not", "not", s))
    g.connect(Edge(kept, "soma.decayed", 0, delay=1))
    return counted(g, s)


def differences(seed: int = 0) -> Graph:
    """Spikes of two populations, subtracted and multiplied outside of any neuron."""
    rng = np.random.default_rng(seed)
    g = Graph("differences", 16)
    g.add("x", Input(TensorType((6,)), 0.0, 1.0, 1.0))
    for name in ("on", "off"):
        g.add(f"fc.{name}", Linear(param(noise(rng, 8, 6))), "x")
        lif(g, name, f"fc.{name}")
    pointwise(g, "signed", "sub", "on.spike", "off.spike")
    pointwise(g, "gated", "mul", "signed", "fc.on")
    for name in ("signed", "gated"):
        g.add(f"{name}.sum", TimeSum(), name)
        g.add(f"{name}.out", Output(), f"{name}.sum")
    return g
