"""Values that the simulator keeps in less than int64 mean what int64 would."""

from __future__ import annotations

import numpy as np
import pytest

from snnc.backends.numpy.arithmetic import function, select
from snnc.graph import Graph
from snnc.intops import IntInput, IntLinear, IntNeuron, IntOutput, IntTimeSum
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param
from snnc.types import Clock
from tests.intgraphs import ONE, proven, simulator


@pytest.mark.parametrize(("bias", "word"), [(0, np.int32), (1 << 30, np.int32), (-1 << 31, None)])
def test_sums_are_32_bits_only_where_all_on_their_way_is(bias: int, word: type | None) -> None:
    weight = np.array([[127, 127, 127, 127], [-127, 3, -127, 0]], np.int8)
    g = Graph("g")
    g.add("x", IntInput((4,), Clock.STEP, 0, 1, 1.0))
    g.add("fc", IntLinear(Param(weight), Param(np.array([bias, -bias])), 21), "x")
    g.add("sum", IntTimeSum(), "fc")
    g.add("out", IntOutput(ONE), "sum")
    sim = simulator(proven(g))
    assert sim.sums.get("fc") is word
    x = np.random.default_rng(0).integers(0, 2, (5, 9, 4))
    x[0] = 1
    (found,) = sim.run(x)[0].values()
    assert found.dtype == np.int64
    want = ((x @ weight.T.astype(np.int64)) << 21) + np.array([bias, -bias])
    assert np.array_equal(found, want.sum(1))


def test_a_choice_is_the_same_of_flags_and_of_numbers() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(-(1 << 62), 1 << 62, (2, 50, 3))
    for condition in (rng.integers(0, 2, (50, 3)), rng.integers(0, 2, (50, 1)), np.array(1)):
        want = np.where(condition != 0, a, b)
        assert np.array_equal(select(condition, a, b), want)
        assert np.array_equal(select(condition == 1, a, b), want)
        assert np.array_equal(select(3 * condition, a, b[:1]), np.where(condition, a, b[:1]))


def test_flags_count_as_numbers() -> None:
    def line(fn: str) -> dict[str, object]:
        return {"fn": fn, "shift": 2, "rounding": "floor"}

    one, table = np.array([True, True, False]), np.array([7, 9, 11])
    assert function(line("add"))(one, one).tolist() == [2, 2, 0]
    assert function(line("sub"))(~one, one).tolist() == [-1, -1, 1]
    assert function(line("neg"))(one).tolist() == [-1, -1, 0]
    assert function(line("shl"))(one).tolist() == [4, 4, 0]
    assert function(line("lookup"))(one, table).tolist() == [9, 9, 7]
    assert function(line("eq"))(one, np.array([1, 0, 0])).tolist() == [True, False, True]


def test_spikes_are_counted_and_remembered_as_numbers() -> None:
    """Three hundred spikes are no flag, and a state that holds one is added to."""
    body = (
        Line("s", "ge", ("x", "one")),
        Line("sum", "add", ("s", "last")),
        Line("both", "ge", ("sum", "two")),
    )
    consts = (Const("one", Param(np.array(1))), Const("two", Param(np.array(2))))
    kernel = Kernel(("x",), (State("last", "s", Param(np.array(0))),), consts, body, ("both",))
    g = Graph("g")
    g.add("x", IntInput((2,), Clock.STEP, 0, 1, 1.0))
    g.add("n", IntNeuron(kernel, (2,)), "x")
    g.add("sum", IntTimeSum(), "n")
    g.add("out", IntOutput(ONE), "sum")
    x = np.ones((1, 301, 2), np.int64)
    outputs, records = simulator(proven(g, 400)).run(x, record=("n.both", "n.last"))
    assert outputs["out"].tolist() == [[300, 300]]
    assert {r.dtype for r in records.values()} == {np.dtype(np.int64)}
    assert records["n.last"].sum() == 602
