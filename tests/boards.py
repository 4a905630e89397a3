"""Networks that fit a small microcontroller: dense, recurrent, convolutional."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from examples.benchmarks.c_events import leaky, make
from snnc.backends.c.board import Samples
from snnc.diagnostics import Loc
from snnc.graph import Edge, Graph, Value
from snnc.intops import (
    IntConv,
    IntInput,
    IntLinear,
    IntNeuron,
    IntOutput,
    IntReshape,
    IntSum,
    IntSumPool,
    IntTimeStack,
    IntTimeSum,
)
from snnc.params import Param
from snnc.types import Clock
from tests.intgraphs import ONE, proven, simulator


def _weights(rng: np.random.Generator, *shape: int, spread: float = 20.0) -> Param:
    w = np.clip(np.rint(rng.normal(2, spread, shape)), -127, 127)
    return Param(w.astype(np.int8))


def dense() -> Graph:
    """196-128-128-10."""
    return make(0.1, (196, 128, 128, 10), 25, 127).graph


def recurrent() -> Graph:
    """100-96-20, the hidden layer with itself; a bias, and spikes of every step as output."""
    rng, g = np.random.default_rng(1), Graph("recurrent", 20)
    g.add("x", IntInput((100,), Clock.STEP, 0, 1, 1.0))
    bias = Param(rng.integers(-20, 20, 96))
    g.add("fc", IntLinear(_weights(rng, 96, 100), bias), "x")
    op = IntNeuron(leaky(160), (96,))
    g.declare("lif", op, op.infer((g["fc"].type,)), Loc("lif"))
    g.add("back", IntLinear(_weights(rng, 96, 96, spread=8)), Value("lif", 0, 1))
    g.add("both", IntSum(), "fc", "back")
    g.connect(Edge("both", "lif"))
    g.add("head", IntLinear(_weights(rng, 20, 96)), "lif")
    g.add("lif2", IntNeuron(leaky(300), (20,)), "head")
    g.add("count", IntTimeSum(), "lif2")
    g.add("out", IntOutput(ONE), "count")
    g.add("stack", IntTimeStack(), "lif2")
    g.add("spikes", IntOutput(ONE), "stack")
    return proven(g)


def convolutional() -> Graph:
    """2x12x12, two convolutions with 8 and 16 channels, a pool, and 10 classes."""
    rng, g = np.random.default_rng(2), Graph("conv", 12)
    g.add("x", IntInput((2, 12, 12), Clock.STEP, 0, 1, 1.0))
    g.add("conv1", IntConv(_weights(rng, 8, 2, 3, 3), None, 0, (1, 1), (1, 1), (1, 1), 1), "x")
    g.add("lif1", IntNeuron(leaky(70), (8, 12, 12)), "conv1")
    g.add("pool", IntSumPool((2, 2), (2, 2), (0, 0)), "lif1")
    g.add("conv2", IntConv(_weights(rng, 16, 8, 3, 3), None, 0, (2, 2), (0, 0), (1, 1), 1), "pool")
    g.add("lif2", IntNeuron(leaky(150), (16, 2, 2)), "conv2")
    g.add("flat", IntReshape((64,)), "lif2")
    g.add("fc", IntLinear(_weights(rng, 10, 64)), "flat")
    g.add("lif3", IntNeuron(leaky(200), (10,)), "fc")
    g.add("count", IntTimeSum(), "lif3")
    g.add("out", IntOutput(ONE), "count")
    return proven(g)


NETWORKS: dict[str, Callable[[], Graph]] = {
    "dense": dense,
    "recurrent": recurrent,
    "conv": convolutional,
}


@functools.cache
def network(name: str) -> Graph:
    """One of ``NETWORKS``, made once."""
    return NETWORKS[name]()


@functools.cache
def samples(name: str, count: int = 2) -> Samples:
    """Random spikes at 10 % for it, with what the definition gives."""
    graph = network(name)
    node = next(n for n in graph if isinstance(n.op, IntInput))
    rng = np.random.default_rng(5)
    x = (rng.random((count, graph.steps, *node.type.shape)) < 0.1).astype(np.int64)
    sim = simulator(graph)
    outputs, words = sim.run({node.name: x}, None, sim.words())
    return Samples({node.name: x}, outputs, words, graph.steps)
