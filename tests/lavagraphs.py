"""Integer graphs whose cut into Lava processes is delicate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from snnc.diagnostics import Loc
from snnc.graph import Edge, Graph, Value
from snnc.intops import (
    IntInput,
    IntLinear,
    IntNeuron,
    IntOutput,
    IntRepeat,
    IntRescale,
    IntSum,
    IntTimeLast,
    IntTimeMax,
    IntTimeStack,
    IntTimeSum,
)
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param
from snnc.types import Clock
from tests.intgraphs import proven

ONE = Param(np.array(1.0))


def ints(*values: int, shape: tuple[int, ...] | None = None) -> Param:
    """A vector of integers, or with a shape an array of it."""
    return Param(np.array(values, np.int64).reshape(len(values) if shape is None else shape))


def neuron(shape: tuple[int, ...], threshold: int = 9) -> IntNeuron:
    """Integrate, spike, subtract the threshold, leak a quarter; starts at 3."""
    body = (
        Line("u", "add", ("v", "i")),
        Line("s", "ge", ("u", "theta")),
        Line("r", "mul", ("s", "theta")),
        Line("w", "sub", ("u", "r")),
        Line("w3", "mul", ("w", "three")),
        Line("w_next", "rsh", ("w3",), 2, "half_away"),
    )
    consts = (
        Const("theta", ints(threshold, shape=())),
        Const("three", ints(3, shape=())),
    )
    state = State("v", "w_next", ints(3, shape=()))
    return IntNeuron(Kernel(("i",), (state,), consts, body, ("s",)), shape)


def weight(out: int, fan_in: int, seed: int = 0) -> Param:
    """Small random weights."""
    rng = np.random.default_rng(seed)
    return Param(rng.integers(-7, 12, (out, fan_in)).astype(np.int8))


def source(graph: Graph, size: int = 4, name: str = "x", clock: Clock = Clock.STEP) -> str:
    """An input of small integers."""
    return graph.add(name, IntInput((size,), clock, 0, 5, 1.0)).name


def output(graph: Graph, value: str | Value, name: str, kind: type) -> None:
    """Collect a per-step value over time and give it out."""
    graph.add(f"{name} over time", kind(), value)
    graph.add(name, IntOutput(ONE), f"{name} over time")


def recurrent() -> Graph:
    """A layer that reads its own last spikes; those before the first step are given."""
    g = Graph("recurrent", 5)
    source(g)
    g.add("in", IntLinear(weight(3, 4)), "x")
    lif = neuron((3,))
    types = lif.infer((g["in"].type,))
    g.declare("lif", lif, types, Loc("lif"))
    g.add("loop", IntLinear(weight(3, 3, 1)), Value("lif", delay=1, init=ints(1, 0, 1)))
    g.add("both", IntSum(), "in", "loop")
    g.connect(Edge("both", "lif"))
    output(g, "lif", "y", IntTimeSum)
    return g


def feedback() -> Graph:
    """Two layers in a loop: the second feeds the first, three steps later."""
    g = Graph("feedback", 6)
    source(g)
    g.add("in", IntLinear(weight(3, 4)), "x")
    first = neuron((3,))
    g.declare("a", first, first.infer((g["in"].type,)), Loc("a"))
    g.add("ab", IntLinear(weight(2, 3, 2)), "a")
    g.add("b", neuron((2,), 5), "ab")
    g.add("ba", IntLinear(weight(3, 2, 3), ints(1, -1, 2)), Value("b", delay=3))
    g.add("sum", IntSum(), "in", "ba")
    g.connect(Edge("sum", "a"))
    output(g, "a", "ya", IntTimeStack)
    output(g, Value("b", delay=1, init=ints(4, 7)), "yb", IntTimeStack)
    return g


def residual() -> Graph:
    """One layer read by three, at different delays and with different values before the first."""
    g = Graph("residual", 4)
    source(g)
    g.add("fc", IntLinear(weight(3, 4)), "x")
    g.add("lif", neuron((3,)), "fc")
    delayed = Value("lif", delay=2, init=ints(2, 3, 4))
    g.add("skip", IntSum(), "lif", delayed)
    g.add("other", IntSum(), Value("lif", delay=2, init=ints(5, 6, 7)), delayed)
    g.add("twice", IntRescale(ints(2, shape=())), "skip")
    g.add("top", neuron((3,), 3), "twice")
    output(g, "top", "y", IntTimeMax)
    output(g, "other", "z", IntTimeLast)
    output(g, "skip", "seq", IntTimeStack)
    return g


def far_start() -> Graph:
    """What comes before the first spikes is more than int32, and products in float32, hold."""
    g = Graph("far start", 4)
    source(g)
    g.add("fc", IntLinear(weight(3, 4)), "x")
    g.add("lif", neuron((3,)), "fc")
    first = ints((1 << 22) + 1, (1 << 22) + 3, (1 << 33) + 5)
    late = IntLinear(Param(np.array([[127, 3, -5], [-1, 127, 7]])))
    g.add("late", late, Value("lif", delay=2, init=first))
    output(g, "late", "y", IntTimeStack)
    return proven(g)


def static() -> Graph:
    """A static input, projected once, and arithmetic after the last step, in several processes."""
    g = Graph("static", 7)
    source(g, clock=Clock.ONCE)
    g.add("fc", IntLinear(weight(3, 4)), "x")
    g.add("again", IntRepeat(), "fc")
    g.add("lif", neuron((3,)), "again")
    g.add("rate", IntTimeSum(), "lif")
    g.add("head a", IntLinear(weight(2, 3, 5)), "rate")
    g.add("head b", IntLinear(weight(5, 3, 6)), "rate")
    g.add("once", IntOutput(ONE), "fc")
    g.add("a", IntOutput(ONE), "head a")
    g.add("b", IntOutput(ONE), "head b")
    return g


def several_inputs() -> Graph:
    """A static and a per-step input meet; one is read twice."""
    g = Graph("two", 4)
    source(g, 4, "slow", Clock.ONCE)
    source(g, 4, "fast")
    g.add("constant", IntRepeat(), "slow")
    g.add("sum", IntSum(), "constant", "fast")
    g.add("lif", neuron((4,)), "sum")
    g.add("late", neuron((4,)), Value("fast", delay=2))
    output(g, "lif", "y", IntTimeSum)
    output(g, "late", "z", IntTimeSum)
    return g


def wide() -> Graph:
    """Values beyond 32 bits on the wires, and a neuron without dimensions."""
    g = Graph("wide", 3)
    g.add("x", IntInput((), Clock.STEP, -(1 << 40), 1 << 40, 1.0))
    g.add("lif", neuron((), 1 << 38), "x")
    g.add("big", IntRescale(ints((1 << 20) + 1, shape=())), "x")
    output(g, "lif", "y", IntTimeSum)
    output(g, "big", "z", IntTimeStack)
    output(g, "big", "last", IntTimeLast)
    return g


def hostile_names() -> Graph:
    """Names that would be code, paths, options or format directives elsewhere."""
    g = Graph('"""\nimport os', 3)
    source(g, name="file")
    g.add('"""\n', IntLinear(weight(3, 4)), "file")
    g.add("<in0>", neuron((3,)), '"""\n')
    g.add("a,b.c\\", neuron((3,), 2), "<in0>")
    output(g, "a,b.c\\", "../../y", IntTimeSum)
    return g


#: Every graph of this module, by name.
GRAPHS: dict[str, Callable[[], Graph]] = {
    f.__name__: f
    for f in (
        *(recurrent, feedback, residual, far_start),
        *(static, several_inputs, wide, hostile_names),
    )
}
