"""Clocks of several loops in a row, and what graphs with them must keep."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from snnc.diagnostics import CompileError
from snnc.graph import Graph, Value
from snnc.ops import Hold, Input, Output, Pointwise, Replay, TimeMean, TimeMix, TimeSum
from snnc.params import Param
from snnc.storage import dump_graph, load_graph
from snnc.types import Clock, TensorType, latest

STEP2, END2 = Clock("step2"), Clock("end2")


def test_clocks_are_their_names() -> None:
    assert Clock.of(Clock.STEP, 1) is Clock.STEP
    assert (STEP2.kind, STEP2.phase, str(END2)) == (Clock.STEP, 2, "end2")
    assert copy.deepcopy(STEP2) is STEP2
    assert [c.phase for c in (Clock.ONCE, Clock.STEP, Clock.END)] == [0, 1, 1]


@pytest.mark.parametrize("name", ["", "step1", "step02", "once2", "end0", "step99999", "tick"])
def test_other_names_are_no_clocks(name: str) -> None:
    with pytest.raises(ValueError, match="no clock"):
        Clock(name)


def test_what_is_known_after_a_loop_is_constant_in_later_ones() -> None:
    assert latest((Clock.END, STEP2, Clock.ONCE)) is STEP2
    assert latest((Clock.END, END2)) is END2
    for mix in ((Clock.STEP, STEP2), (Clock.STEP, Clock.END), (STEP2, END2), (Clock.STEP, END2)):
        with pytest.raises(ValueError, match="mixes"):
            latest(mix)


def two_loops() -> Graph:
    g = Graph("two", 4, later_steps=(6,))
    g.add("x", Input(TensorType((3,))))
    g.add("mean", TimeMean(), "x")
    g.add("again", Hold(2), "mean")
    g.add("sum", TimeSum(), "again")
    g.add("y", Output(), "sum")
    return g


def test_storage_keeps_the_steps_of_later_loops() -> None:
    g = two_loops()
    again = load_graph(*dump_graph(g))
    assert (again.phases, again.steps_of(1, 9), again.steps_of(2, 9)) == (2, 9, 6)
    assert str(again) == str(g)
    assert "later_steps" in str(g)


@pytest.mark.parametrize("steps", ["[6, 6]", "[-1]", "6", "[0.5]"])
def test_damaged_steps_of_later_loops(steps: str) -> None:
    text, blob = dump_graph(two_loops())
    wrong = text.replace(b'"later_steps": [\n  6\n ]', b'"later_steps": ' + steps.encode())
    assert wrong != text
    with pytest.raises(CompileError, match="E120"):
        load_graph(wrong, blob)


def test_loops_do_not_read_each_other_step_by_step() -> None:
    g = two_loops()
    with pytest.raises(CompileError, match="steps of two loops"):
        g.add("sum of both", Pointwise("add"), "x", "again")
    with pytest.raises(CompileError, match="known before loop 2"):
        g.add("held", Hold(2), "x")
    g.add("older", Pointwise("neg"), Value("x", 0, 1))
    g.add("replay", Replay(), Value("x", 0, 1))
    assert g.check() == []
    g.add("of another loop", Pointwise("add"), Value("mean", 0, 1), "again")
    assert [d.code for d in g.check()] == ["E204"]


def test_matrix_over_the_steps_is_square() -> None:
    with pytest.raises(CompileError, match="square"):
        two_loops().add("mix", TimeMix(Param(np.zeros((2, 3)))), "x")
    with pytest.raises(CompileError, match="for 2 steps"):
        two_loops().add("mix", TimeMix(Param(np.zeros((2, 2))), Param(np.zeros(3))), "x")


def test_inputs_belong_to_the_first_loop() -> None:
    with pytest.raises(CompileError, match="first loop"):
        Graph("late").add("x", Input(TensorType((3,), clock=STEP2)))
