"""Operators that move elements: the definition against index arithmetic, and C against both."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from snnc.graph import Graph
from snnc.intops import (
    IntConcat,
    IntExpand,
    IntInput,
    IntLinear,
    IntOutput,
    IntPad,
    IntSlice,
    IntTake,
    IntTimeSum,
    IntTranspose,
    IntUpsample,
)
from snnc.op import Op
from snnc.params import Param
from snnc.types import Clock
from tests.differential.test_sim_vs_c import assert_equal, fan
from tests.intgraphs import ONE, proven, simulator

SHAPE = (3, 1, 4, 2)
MOVES: dict[str, Op] = {
    **{f"transpose{p}": IntTranspose(p) for p in itertools.permutations(range(4))},
    "first axis": IntSlice(0, 1, 3),
    "every other": IntSlice(2, 0, 4, 2),
    "last element": IntSlice(3, 1, 2),
    "expand": IntExpand((2, 3, 5, 4, 2)),
    "take": IntTake(2, Param(np.array([3, 0, 0, 2, 1, 3]))),
    "upsample": IntUpsample((3, 1, 2)),
    "upsample the last axis": IntUpsample((3,)),
    "take of the last axis": IntTake(3, Param(np.array([1]))),
}


def source(op: Op, place: tuple[int, ...]) -> tuple[int, ...]:
    """Which element of the operand becomes element ``place`` of the result."""
    match op:
        case IntTranspose(perm):
            found = [0] * len(perm)
            for i, p in enumerate(perm):
                found[p] = place[i]
            return tuple(found)
        case IntSlice(axis, start, _, step):
            return (*place[:axis], start + step * place[axis], *place[axis + 1 :])
        case IntTake(axis, index):
            return (*place[:axis], int(index.data[place[axis]]), *place[axis + 1 :])
        case IntUpsample(factor):
            times = (*[1] * (len(place) - len(factor)), *factor)
            return tuple(i // n for i, n in zip(place, times, strict=True))
    own = place[len(place) - len(SHAPE) :]
    return tuple(min(i, n - 1) for i, n in zip(own, SHAPE, strict=True))


@pytest.mark.parametrize("name", MOVES)
def test_every_element_comes_from_its_place(name: str) -> None:
    graph = fan(MOVES[name], shape=SHAPE, lo=-99, hi=99)
    x = np.random.default_rng(0).integers(-99, 100, (2, 3, *SHAPE))
    y = simulator(graph).run(x)[0]["out0"]
    assert y.shape == (2, 3, *graph["op0"].type.shape)
    for place in np.ndindex(*y.shape[2:]):
        there = source(MOVES[name], place)
        np.testing.assert_array_equal(y[(..., *place)], x[(..., *there)])


@pytest.mark.parametrize(("lo", "hi"), [(0, 1), (-300, 20), (-(1 << 33), 1 << 34)])
def test_c_moves_them_too(tmp_path: Path, lo: int, hi: int) -> None:
    assert_equal(fan(*MOVES.values(), shape=SHAPE, lo=lo, hi=hi), tmp_path)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("highs", [(1, 1, 1), (1, 300, 1 << 34)])
def test_joins_of_different_words_and_clocks(
    tmp_path: Path, axis: int, highs: tuple[int, ...]
) -> None:
    g = Graph("join", 5)
    clocks = (Clock.STEP, Clock.ONCE, Clock.STEP)
    for i, (hi, clock) in enumerate(zip(highs, clocks, strict=True)):
        shape = [2, 3, 4]
        shape[axis] = i + 1
        g.add(f"x{i}", IntInput(tuple(shape), clock, -hi if i else 0, hi, 1.0))
    g.add("join", IntConcat(axis), "x0", "x1", "x2", "x0")
    g.add("sum", IntTimeSum(), "join")
    g.add("out", IntOutput(ONE), "sum")
    assert_equal(proven(g), tmp_path)


def test_moved_spikes_stay_events(tmp_path: Path) -> None:
    """Behind every move the spikes are listed again, and a layer adds up the list."""
    g = Graph("events", 5)
    g.add("x", IntInput((4, 6), Clock.STEP, 0, 1, 1.0))
    g.add("turned", IntTranspose((1, 0)), "x")
    g.add("part", IntSlice(0, 1, 6, 2), "turned")
    g.add("taken", IntTake(0, Param(np.array([2, 2, 0]))), "part")
    g.add("both", IntConcat(1), "taken", "part")
    weight = np.random.default_rng(1).integers(-9, 10, (5, 8))
    g.add("fc", IntLinear(Param(weight)), "both")
    g.add("sum", IntTimeSum(), "fc")
    g.add("out", IntOutput(ONE), "sum")
    graph = proven(g)
    assert_equal(graph, tmp_path)
    assert graph["both"].type.dtype.bounds == (0, 1)  # type: ignore[union-attr]
    code = (tmp_path / "snn.c").read_text()
    assert "snn_append_16(" in code.split("IntLinear")[1]


@pytest.mark.parametrize(("lo", "hi"), [(0, 1), (5, 9), (-300, -2), (-(1 << 33), 1 << 34)])
def test_zeros_around_the_elements(tmp_path: Path, lo: int, hi: int) -> None:
    ends = [((0, 1, 2, 0), (3, 0, 1, 0)), ((0, 0, 0, 0), (0, 0, 0, 2)), ((0,) * 4, (0,) * 4)]
    graph = fan(*(IntPad(*e) for e in ends), shape=SHAPE, lo=lo, hi=hi)
    x = np.random.default_rng(0).integers(lo, hi + 1, (2, 3, *SHAPE))
    found = simulator(graph).run(x)[0]
    for i, (before, after) in enumerate(ends):
        y = found[f"out{i}"]
        inside = tuple(slice(b, b + n) for b, n in zip(before, SHAPE, strict=True))
        np.testing.assert_array_equal(y[(slice(None), slice(None), *inside)], x)
        assert y.shape[2:] == tuple(map(sum, zip(before, SHAPE, after, strict=True)))
        assert np.abs(y).sum() == np.abs(x).sum()
    assert_equal(graph, tmp_path)
