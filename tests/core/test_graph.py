import numpy as np
import pytest

from snnc.diagnostics import CompileError
from snnc.graph import Edge, Graph, Value
from snnc.ops import Input, Linear, Output, Pointwise, Sum, TimeSum
from snnc.params import Param
from snnc.types import Clock, Int, TensorType


def small() -> Graph:
    g = Graph("g")
    g.add("x", Input(TensorType((3,))))
    g.add("fc", Linear(Param(np.ones((2, 3), np.float32))), "x")
    return g


def test_iterates_producers_first() -> None:
    g = small()
    g.declare("early", Sum(), (TensorType((2,)),), g["x"].loc)
    g.add("late", Linear(Param(np.ones((2, 2), np.float32))), "fc")
    g.connect(Edge("late", "early", 0))
    assert [n.name for n in g] == ["x", "fc", "late", "early"]


def test_shapes_are_checked_with_the_reason() -> None:
    g = small()
    with pytest.raises(CompileError, match=r"E202.*weight has 3 columns"):
        g.add("bad", Linear(Param(np.ones((2, 3), np.float32))), "fc")


def test_a_loop_without_delay_is_an_error_that_prints_the_cycle() -> None:
    g = small()
    g.declare("loop", Pointwise("add"), (TensorType((2,)),), g["x"].loc)
    g.connect(Edge("fc", "loop", 0))
    g.connect(Edge("loop", "loop", 1))
    with pytest.raises(CompileError, match=r"E203[\s\S]*loop"):
        g.verify()


def test_a_loop_with_delay_is_fine() -> None:
    g = small()
    g.declare("acc", Pointwise("add"), (TensorType((2,)),), g["x"].loc)
    g.connect(Edge("fc", "acc", 0))
    g.connect(Edge("acc", "acc", 1, delay=1))
    g.verify()


def test_clocks_do_not_mix() -> None:
    g = small()
    g.add("sum", TimeSum(), "fc")
    with pytest.raises(CompileError, match="after the last step"):
        g.add("mix", Pointwise("add"), "sum", "fc")
    with pytest.raises(CompileError, match="clock"):
        g.add("twice", TimeSum(), "sum")


def test_redirect_keeps_delays() -> None:
    g = small()
    g.add("out", Output(), Value("fc", delay=2))
    g.add("other", Linear(Param(np.ones((2, 3), np.float32))), "x")
    g.redirect("fc", Value("other"))
    (edge,) = g.in_edges("out")
    assert (edge.src, edge.delay) == ("other", 2)


def test_copies_are_independent() -> None:
    g = small()
    g.copy().remove("fc")
    assert "fc" in g


def test_names_are_unique() -> None:
    g = small()
    with pytest.raises(CompileError, match="E201"):
        g.add("fc", Output(), "x")
    assert g.fresh("fc") == "fc#2"


@pytest.mark.parametrize(
    ("lo", "hi", "name"),
    [(0, 1, "u1"), (0, 0, "u1"), (-1, 0, "i1"), (-1, 1, "i2"), (-128, 127, "i8"), (-129, 0, "i9")],
)
def test_integer_widths(lo: int, hi: int, name: str) -> None:
    assert str(Int(lo, hi)) == name
    assert Clock.STEP == "step"
