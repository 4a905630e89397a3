"""Proven ranges contain everything that can happen, and are not wider than they must be."""

import itertools

import numpy as np
import pytest

from snnc.diagnostics import CompileError, Loc
from snnc.graph import Edge, Graph, Value
from snnc.interval import Interval
from snnc.intops import IntInput, IntLinear, IntNeuron, IntOutput, IntTimeLast, IntTimeSum
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param
from snnc.passes import Context, ProveRanges
from snnc.passes.layer_ranges import linear
from snnc.types import Clock, Int
from tests.intgraphs import ONE, proven


def integer_lif(decay: int, theta: int, soft: bool = True) -> Kernel:
    def const(name: str, value: int) -> Const:
        return Const(name, Param(np.int64(value)))

    reset = Line("r", "sub", ("v1", "theta")) if soft else Line("r", "copy", ("zero",))
    return Kernel(
        ("x",),
        (State("v", "v2", Param(np.int64(0))),),
        (const("a", decay), const("theta", theta), const("zero", 0)),
        (
            Line("m", "mul", ("a", "v")),
            Line("d", "rsh", ("m",), 4, "half_away"),
            Line("v1", "add", ("d", "x")),
            Line("s", "ge", ("v1", "theta")),
            reset,
            Line("v2", "select", ("s", "r", "v1")),
        ),
        ("s",),
    )


def driven(kernel: Kernel, lo: int, hi: int, steps: int = 0) -> Graph:
    g = Graph("g")
    g.add("x", IntInput((1,), Clock.STEP, lo, hi, 1.0))
    g.add("n", IntNeuron(kernel, (1,)), "x")
    g.add("sum", IntTimeSum(), "n")
    g.add("out", IntOutput(Param(np.float64(1))), "sum")
    return ProveRanges(steps).run(g, Context())


def reachable(decay: int, theta: int, soft: bool, lo: int, hi: int, steps: int) -> set[int]:
    """All membranes after any number of steps up to ``steps``, by enumeration."""
    seen = frontier = {0}
    for _ in range(steps):
        new = set()
        for v, x in itertools.product(frontier, range(lo, hi + 1)):
            p = decay * v
            v1 = (p + 8 >> 4 if p >= 0 else -(8 - p >> 4)) + x
            new.add((v1 - theta if soft else 0) if v1 >= theta else v1)
        frontier = new - seen
        seen = seen | new
        if not frontier:
            break
    return seen


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("decay", [0, 8, 13, 15])
@pytest.mark.parametrize(("lo", "hi"), [(-3, 5), (0, 4), (-6, -1), (-1, 20)])
def test_contains_and_meets_every_reachable_state(decay: int, lo: int, hi: int, soft: bool) -> None:
    graph = driven(integer_lif(decay, 7, soft), lo, hi)
    (state,) = graph["n"].op.kernel.states  # type: ignore[attr-defined]
    seen = reachable(decay, 7, soft, lo, hi, 400)
    assert state.lo <= min(seen)
    assert max(seen) <= state.hi
    assert min(seen) - state.lo <= 8
    assert state.hi - max(seen) <= 8
    assert graph.max_steps == 1 << 16


def test_an_integrator_is_proven_for_a_number_of_steps() -> None:
    graph = driven(integer_lif(16, 7), -3, 5)
    (state,) = graph["n"].op.kernel.states  # type: ignore[attr-defined]
    assert graph.max_steps == 4096
    assert state.lo == -3 * 4096
    assert driven(integer_lif(16, 7), -3, 5, steps=100).max_steps == 100


def test_a_positive_integrator_with_reset_is_bounded_for_ever() -> None:
    graph = driven(integer_lif(16, 7, soft=False), 0, 5)
    assert graph.max_steps == 1 << 16
    assert graph["n"].op.kernel.states[0].hi == 6  # type: ignore[attr-defined]


def test_rows_are_bounded_by_their_own_weights() -> None:
    g = Graph("g")
    g.add("x", IntInput((3,), Clock.STEP, 0, 1, 1.0))
    g.add("fc", IntLinear(Param(np.array([[5, -2, 1], [-7, -1, 0]], np.int8)), None, 2), "x")
    g.add("sum", IntTimeSum(), "fc")
    g.add("out", IntOutput(Param(np.float64(1))), "sum")
    graph = ProveRanges(10).run(g, Context())
    assert graph["fc"].type.dtype.bounds == (-32, 24)  # type: ignore[union-attr]
    assert graph["sum"].type.dtype.bounds == (-320, 240)  # type: ignore[union-attr]


def test_too_wide_a_sum_is_an_error_not_a_wrap() -> None:
    g = Graph("g")
    g.add("x", IntInput((1,), Clock.STEP, 0, 1 << 40, 1.0))
    g.add("fc", IntLinear(Param(np.array([[1 << 20]])), None, 10), "x")
    g.add("sum", IntTimeSum(), "fc")
    g.add("out", IntOutput(Param(np.float64(1))), "sum")
    with pytest.raises(CompileError, match="E310"):
        ProveRanges().run(g, Context())


def test_what_is_read_a_step_later_is_proven_before_its_reader() -> None:
    def consts(**values: int) -> tuple[Const, ...]:
        return tuple(Const(k, Param(np.array(v))) for k, v in values.items())

    inside = (Line("a", "maximum", ("i", "low")), Line("kept", "minimum", ("a", "high")))
    past = IntNeuron(Kernel(("i",), (), consts(low=-100, high=100), inside, ("kept",)), (2,))
    share = (Line("more", "add", ("d", "one")), Line("q", "div", ("i", "more")))
    quotient = IntNeuron(Kernel(("i", "d"), (), consts(one=1), share, ("q",)), (2,))
    g = Graph("late", 4)
    g.add("x", IntInput((2,), Clock.STEP, 0, 5, 1.0))
    g.declare("past", past, past.infer((g["x"].type,)), Loc("past"))
    g.add("share", quotient, "x", Value("past", delay=1))
    g.connect(Edge("x", "past"))
    g.add("last", IntTimeLast(), "share")
    g.add("y", IntOutput(ONE), "last")
    assert proven(g)["share"].type.dtype == Int(0, 5)


def test_a_sum_that_is_too_wide_names_the_operand_that_shows_it() -> None:
    g = Graph("wide", 4)
    g.add("x", IntInput((3,), Clock.STEP, -(1 << 40), 1 << 50, 1.0))
    weight = np.array([[1, 1, 0], [30000, -30000, 20000]], np.int16)
    g.add("fc", IntLinear(Param(weight)), "x")
    g.add("last", IntTimeLast(), "fc")
    g.add("y", IntOutput(ONE), "last")
    with pytest.raises(CompileError, match="E310") as e:
        proven(g)
    assert "row 1 sums up to 5.63e+19" in str(e.value)
    assert "above 0 at their upper end (2), those below 0 at their lower (1)" in str(e.value)


@pytest.mark.parametrize("choose", [True, False])
def test_what_is_replaced_by_its_change_is_bounded_by_what_replaces_it(choose: bool) -> None:
    """``v + (x - v)``, where ``x - v`` is large enough or always, is x: no sum over the steps."""
    change = Line("d", "select", ("far", "by", "zero")) if choose else Line("d", "copy", ("by",))
    kernel = Kernel(
        ("x",),
        (State("v", "v2", Param(np.int64(0))),),
        (Const("zero", Param(np.int64(0))), Const("least", Param(np.int64(3)))),
        (
            Line("by", "sub", ("x", "v")),
            Line("far", "ge", ("by", "least")),
            change,
            Line("v2", "add", ("v", "d" if choose else "by")),
        ),
        ("d",),
    )
    (state,) = driven(kernel, -5, 9)["n"].op.kernel.states  # type: ignore[attr-defined]
    assert (state.lo, state.hi) == (-5, 9)


@pytest.mark.parametrize("size", [1, 1 << 12, 1 << 14, 1 << 15, 1 << 40, 1 << 44, 1 << 45])
def test_sums_of_layers_are_exact_whatever_computes_them(size: int) -> None:
    """Small ones are added in single precision, larger ones in double, the largest as integers."""
    rng = np.random.default_rng(size)
    weight = rng.integers(-127, 128, (9, 5), np.int8)
    x = Interval(-rng.integers(0, size, 5) - 1, rng.integers(0, size, 5) | 1)
    g = Graph("g")
    g.add("x", IntInput((5,), Clock.STEP, 0, 1, 1.0))
    node = g.add("fc", IntLinear(Param(weight)), "x")
    found = linear(node, [x], 1)
    ends = [
        [
            sorted((int(w) * int(lo), int(w) * int(hi)))
            for w, lo, hi in zip(row, x.lo, x.hi, strict=True)
        ]
        for row in weight
    ]
    assert found.lo.tolist() == [sum(low for low, _ in row) for row in ends]
    assert found.hi.tolist() == [sum(high for _, high in row) for row in ends]
