"""Reductions, positions of maxima and tables: definition, proven range and C on every case."""

from __future__ import annotations

import itertools
from math import prod
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.c.backend import CBackend
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.intops import (
    IntArgMax,
    IntEmbedding,
    IntInput,
    IntOutput,
    IntReduce,
    IntTimeSum,
    IntTopK,
)
from snnc.op import Op
from snnc.params import Param
from snnc.passes import run_passes
from snnc.passes.base import Context
from snnc.passes.prove_ranges import ProveRanges
from snnc.types import Clock
from tests.differential.test_sim_vs_c import assert_equal, fan
from tests.intgraphs import ONE, proven, simulator

SHAPE = (3, 1, 4, 2)
AXES = [axes for n in range(1, 5) for axes in itertools.combinations(range(4), n)]
RANGES = pytest.mark.parametrize(("lo", "hi"), [(0, 1), (-3, 2), (-300, 20), (-(1 << 33), 1 << 34)])


def reduced(fn: str, x: np.ndarray) -> np.ndarray:
    """One number of each sample and step, in Python's integers."""
    rows = x.reshape(*x.shape[:2], -1).astype(object)
    function = {"sum": sum, "prod": prod, "max": max, "min": min}[fn]
    return np.array([[function(row.tolist()) for row in sample] for sample in rows])


def test_the_largest_in_falling_order(tmp_path: Path) -> None:
    graph = fan(IntTopK(0, 2), IntTopK(0, 3, True), shape=(3,), lo=-1, hi=1)
    x = np.array(list(itertools.product((-1, 0, 1), repeat=3)))[None]
    values, places = (simulator(graph).run(x)[0][f"out{i}"][0].tolist() for i in range(2))
    rows = x[0].tolist()
    assert values == [sorted(row, reverse=True)[:2] for row in rows]
    assert places == [sorted(range(3), key=lambda i, row=row: -row[i]) for row in rows]
    assert_equal(graph, tmp_path)


@pytest.mark.parametrize("fn", ["sum", "max", "min", "prod"])
def test_reductions_are_those_of_python(fn: str) -> None:
    ops = [IntReduce(fn, axes, keep) for axes in AXES for keep in (False, True)]
    x = np.random.default_rng(0).integers(-3, 4, (2, 3, *SHAPE))
    graph = fan(*ops, shape=SHAPE, lo=-3, hi=3)
    found = simulator(graph).run(x)[0]
    for i, op in enumerate(ops):
        y = found[f"out{i}"].reshape(2, 3, *(1 if a in op.axes else n for a, n in enumerate(SHAPE)))
        for place in np.ndindex(*y.shape[2:]):
            at = tuple(slice(None) if a in op.axes else p for a, p in enumerate(place))
            np.testing.assert_array_equal(y[(..., *place)], reduced(fn, x[(..., *at)]))


@RANGES
def test_c_reduces_alike(tmp_path: Path, lo: int, hi: int) -> None:
    kinds = ["sum", "max", "min"] + ["prod"] * (hi <= 20)
    ops: list[Op] = [IntReduce(fn, axes) for fn in kinds for axes in AXES if fn != "prod"]
    ops += [IntReduce(fn, (3,), True) for fn in kinds]
    ops += [IntArgMax(axis) for axis in range(4)]
    ops += [IntTopK(axis, 2, p) for axis in range(4) for p in (False, True) if SHAPE[axis] > 1]
    assert_equal(fan(*ops, shape=SHAPE, lo=lo, hi=hi), tmp_path, samples=9)


def test_the_first_of_equal_maxima(tmp_path: Path) -> None:
    graph = fan(IntArgMax(0), shape=(3,), lo=-1, hi=1)
    x = np.array(list(itertools.product((-1, 0, 1), repeat=3)))[None]
    found = simulator(graph).run(x)[0]["out0"][0]
    assert found.tolist() == [row.tolist().index(max(row)) for row in x[0]]
    assert_equal(graph, tmp_path)


@pytest.mark.parametrize("fn", ["sum", "max", "min", "prod"])
def test_proven_ends_are_reached(fn: str) -> None:
    g = Graph("ends", 1)
    g.add("a", IntInput((2, 3), Clock.ONCE, -3, 2, 1.0))
    g.add("y", IntReduce(fn, (1,)), "a")
    g.add("out", IntOutput(ONE), "y")
    graph = proven(g)
    rows = np.array(list(itertools.product(range(-3, 3), repeat=3)))
    found = simulator(graph).run(np.stack([rows, rows], 1))[0]["out"]
    assert graph["y"].type.dtype.bounds == (found.min(), found.max())  # type: ignore[union-attr]


def test_a_product_beyond_63_bits_is_refused() -> None:
    g = Graph("wide", 1)
    g.add("a", IntInput((5,), Clock.ONCE, 0, 1 << 13, 1.0))
    g.add("y", IntReduce("prod", (0,)), "a")
    g.add("out", IntOutput(ONE), "y")
    with pytest.raises(CompileError, match="E310"):
        run_passes(g, [ProveRanges()], Context())


def table(tokens: int, features: int, top: int) -> Param:
    return Param(np.random.default_rng(tokens).integers(-top, top + 1, (tokens, features)))


def looked_up(clock: Clock, lo: int = 0) -> Graph:
    g = Graph("tokens", 4)
    g.add("x", IntInput((2, 3), clock, lo, 6, 1.0))
    g.add("small", IntEmbedding(table(7, 5, 100)), "x")
    g.add("large", IntEmbedding(table(9, 1, 1 << 30)), "x")
    for name in ("small", "large"):
        last = name
        if clock is Clock.STEP:
            last = g.add(f"{name}.sum", IntTimeSum(), name).name
        g.add(f"{name}.out", IntOutput(ONE), last)
    return proven(g)


@pytest.mark.parametrize("clock", [Clock.ONCE, Clock.STEP])
def test_rows_of_tables(tmp_path: Path, clock: Clock) -> None:
    graph = looked_up(clock, lo=2)
    entries = table(7, 5, 100).data[2:]
    interval = (int(entries.min()), int(entries.max()))
    assert graph["small"].type.dtype.bounds == interval  # type: ignore[union-attr]
    assert_equal(graph, tmp_path)
    x = np.arange(2, 7).repeat(6).reshape(5, 2, 3)
    found = simulator(looked_up(Clock.ONCE)).run(x)[0]["small.out"]
    np.testing.assert_array_equal(found, table(7, 5, 100).data[x])


@pytest.mark.parametrize("number", [-1, 7])
def test_a_number_outside_the_table_is_refused(tmp_path: Path, number: int) -> None:
    graph = looked_up(Clock.STEP)
    x = np.zeros((1, 2, 2, 3), np.int64)
    x[0, 1, 1, 2] = number
    with pytest.raises(ValueError, match=rf"'x' must be in \[0, 6\], got .*{number}"):
        simulator(graph).run(x)
    backend = CBackend(flags=("-O0",))
    backend.compile(graph).write(tmp_path)
    with pytest.raises(CompileError, match=f"E421.*{number}"):
        backend.run(tmp_path, {"x": x})


def test_a_table_must_have_a_row_for_every_number() -> None:
    g = Graph("tokens", 4)
    g.add("x", IntInput((2,), Clock.ONCE, 0, 7, 1.0))
    g.add("rows", IntEmbedding(table(7, 5, 100)), "x")
    g.add("out", IntOutput(ONE), "rows")
    with pytest.raises(CompileError, match=r"E202.*0 to 7 for a table of 7 rows"):
        run_passes(g, [ProveRanges()], Context())
