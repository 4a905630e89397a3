"""Random stacks of linear layers and the neurons that read them, some of which read themselves."""

from __future__ import annotations

import numpy as np

from snnc.diagnostics import Loc
from snnc.graph import Edge, Graph, Value
from snnc.intops import IntInput, IntLinear, IntNeuron, IntOutput, IntReshape, IntTimeStack
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param
from snnc.types import Clock
from tests.intgraphs import ONE, proven
from tests.randomkernels import Builder

#: Outputs beside the ends of vectors and tiles, ranges of weights, and largest inputs.
_SIZES = (1, 3, 32, 63, 64, 65, 130, 511, 513, 700)
_WEIGHTS = (
    (-127, 127),
    (-128, 127),
    (-90, 9),
    (0, 255),
    (100, 255),
    (-255, 0),
    (-1, 1),
    (-999, 999),
)
_TOPS = (1, 1, 2, 7, 8)


def spiking_stack(seed: int) -> Graph:
    """Three layers; every spike is an output."""
    rng = np.random.default_rng(seed)
    b = Builder(rng, Graph(f"stack{seed}", 9))
    rows, size = int(rng.choice([1, 1, 3])), int(rng.choice([5, 64, 70, 129]))
    shape: tuple[int, ...] = (rows, size) if rows > 1 else (size,)
    x = b.graph.add("x", IntInput(shape, Clock.STEP, 0, int(rng.choice(_TOPS)), 1.0)).name
    for i in range(3):
        if len(shape) > 1 and rng.integers(2):
            shape = (rows * shape[-1],)
            x = b.graph.add(f"flat{i}", IntReshape(shape), x).name
        x, shape = _layer(b, x, shape, i)
        b.graph.add(f"all{i}", IntTimeStack(), x)
        b.graph.add(f"out{i}", IntOutput(ONE), f"all{i}")
    return proven(b.graph)


def _layer(b: Builder, x: str, shape: tuple[int, ...], i: int) -> tuple[str, tuple[int, ...]]:
    rng, out = b.rng, int(b.rng.choice(_SIZES))
    lo, hi = _WEIGHTS[rng.integers(len(_WEIGHTS))]
    weight = b.param((out, shape[-1]), lo, hi)
    bias = b.param((out,), -50, 50) if rng.integers(2) else None
    b.graph.add(f"f{i}", IntLinear(weight, bias, int(rng.integers(3))), x)
    own: tuple[IntLinear, Value] | None = None
    shape = (*shape[:-1], out)
    if len(shape) == 1 and rng.integers(2):
        init = b.param((out,), 0, 1) if rng.random() < 0.2 else None
        layer = IntLinear(b.param((out, out), -90, 99), None, int(rng.integers(2)))
        own = layer, Value(f"n{i}", delay=int(rng.choice([1, 1, 1, 2])), init=init)
    _neuron(b, f"f{i}", f"n{i}", shape, own)
    return f"n{i}", shape


def _neuron(
    b: Builder,
    arriving: str,
    name: str,
    shape: tuple[int, ...],
    own: tuple[IntLinear, Value] | None,
) -> None:
    """Neurons of which some fire now and then; ``own``: what they read of their own spikes."""
    g = b.graph
    top = 2 + shape[-1] * int(b.rng.choice([2, 50, 5000]))
    theta = Const("theta", b.param((*(1,) * (len(shape) - 1), shape[-1]), 1, top))
    state = State("v", init=Param(np.zeros(shape, np.int8)), next="r")
    inputs = ("a", "b") if own else ("a",)
    body = [Line("m", "rsh", ("v",), 1, b.rounding()), Line("u", "add", ("m", "a"))]
    body.append(Line("w", "add", ("u", "b")) if own else Line("w", "copy", ("u",)))
    body += [Line("s", "gt", ("w", "theta")), Line("r", "select", ("s", "m", "w"))]
    op = IntNeuron(Kernel(inputs, (state,), (theta,), tuple(body), ("s",)), shape)
    types = (g[arriving].type,) * len(inputs)
    g.declare(name, op, op.infer(types), Loc(name))
    g.connect(Edge(arriving, name))
    if own:
        g.add(f"own.{name}", *own)
        g.connect(Edge(f"own.{name}", name, 1))
