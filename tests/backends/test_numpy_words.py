"""Values that the simulator keeps in less than int64 mean what int64 would."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from snnc.backends.numpy.arithmetic import function, kept, select, word
from snnc.graph import Graph
from snnc.intops import IntInput, IntLinear, IntNeuron, IntOutput, IntTimeSum
from snnc.kernel import ROUNDINGS, Const, Kernel, Line, State
from snnc.params import Param
from snnc.rounding import rsh
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


TOP = (1 << 31) - 1
#: Lines, the ranges of their operands, and the word of their value.
EDGES = [
    ("add", [(0, TOP - 1), (0, 1)], (0, TOP), np.int32),
    ("add", [(0, TOP), (0, 1)], (0, TOP + 1), np.int64),
    ("sub", [(-TOP, 0), (0, 1)], (-TOP - 1, 0), np.int32),
    ("neg", [(-TOP - 1, 0)], (0, TOP + 1), np.int64),
    ("mul", [(-1 << 15, 1 << 15), (-1 << 16, (1 << 16) - 1)], (-TOP - 1, TOP + 1), np.int64),
    ("mul", [(0, 1 << 15), (-1 << 16, (1 << 16) - 1)], (-TOP - 1, TOP), np.int32),
    ("shl", [(-1 << 29, (1 << 29) - 1)], (-TOP - 1, TOP), np.int32),
    ("maximum", [(-TOP - 1, 1 << 40), (0, 5)], (0, 1 << 40), np.int64),
    ("minimum", [(-TOP - 1, 1 << 40), (0, 5)], (-TOP - 1, 5), np.int32),
    *(("rsh", [(-TOP - 1, TOP)], (-(1 << 29), 1 << 29), np.int32),) * 5,
    ("rsh", [(-(1 << 40), 1 << 40)], (-(1 << 38), 1 << 38), np.int64),
]


@pytest.mark.parametrize("number", range(len(EDGES)))
def test_words_of_32_bits_hold_all_that_a_line_computes(number: int) -> None:
    fn, ranges, (lo, hi), kind = EDGES[number]
    line = {"fn": fn, "shift": 2, "rounding": ROUNDINGS[number % 5], "lo": lo, "hi": hi}
    args = [np.array(pair, np.int64) for pair in itertools.product(*ranges)]
    args = list(np.array(args).T)
    want = function({**line, "lo": None})(*args)
    for narrow in (False, True):
        given = [kept(x, word(r)) if narrow else x for x, r in zip(args, ranges, strict=True)]
        found = function(line, ranges)(*given)
        assert found.dtype == kind
        assert np.array_equal(found, want)
    if fn == "rsh":
        assert want.tolist() == [rsh(int(x), 2, line["rounding"]) for x in args[0]]


def test_a_choice_between_the_ends_of_a_word_wraps_to_the_right_one() -> None:
    a, b = np.array([TOP, -TOP - 1], np.int32), np.array([-TOP - 1, TOP], np.int32)
    for flag in (np.array([True, True]), np.array([False, False]), np.array([3, 0])):
        found = select(flag, a, b)
        assert found.dtype == np.int32
        assert np.array_equal(found, np.where(flag != 0, a, b))


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
