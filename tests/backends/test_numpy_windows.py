"""Convolutions and pools of the definition, and their proven ranges, against plain sums."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.intops import IntConv, IntConvTranspose, IntInput, IntMaxPool, IntOutput, IntSumPool
from snnc.op import Op
from snnc.params import Param
from snnc.types import Clock, Int
from snnc.windows import Sizes
from tests.intgraphs import ONE, proven, simulator

Ints = np.ndarray[Any, np.dtype[np.int64]]


def places(sizes: Sizes) -> Iterator[Sizes]:
    return itertools.product(*map(range, sizes))


def summed(op: IntConv | IntConvTranspose, x: Ints, shape: Sizes) -> Ints:
    """Term after term, by the equations of the operators."""
    y = np.zeros(shape, np.int64)
    weight = op.weight.data.astype(np.int64)
    out, per_group, *kernel = weight.shape
    for o, c, k in itertools.product(range(out), range(per_group), places(tuple(kernel))):
        channel = o // (out // op.groups) * per_group + c
        spread = isinstance(op, IntConvTranspose)
        for place in places(x.shape[1:] if spread else shape[1:]):
            sides = zip(place, k, op.stride, op.dilation, op.padding, strict=True)
            other = tuple(p * s + q * d - pad for p, q, s, d, pad in sides)
            here, there = (other, place) if spread else (place, other)
            inside = zip((*here, *there), (*shape[1:], *x.shape[1:]), strict=True)
            if all(0 <= i < n for i, n in inside):
                y[(o, *here)] += weight[(o, c, *k)] * x[(channel, *there)]
    bias = 0 if op.bias is None else op.bias.data.reshape(-1, *[1] * len(kernel))
    return np.asarray((y << op.shift) + bias)


def windowed(op: IntSumPool | IntMaxPool, x: Ints, shape: Sizes) -> Ints:
    y = np.zeros(shape, np.int64)
    for place in places(shape):
        found = []
        for k in places(op.kernel):
            sides = zip(place[1:], k, op.stride, op.padding, strict=True)
            there = tuple(p * s + q - pad for p, q, s, pad in sides)
            if all(0 <= i < n for i, n in zip(there, x.shape[1:], strict=True)):
                found.append(int(x[(place[0], *there)]))
        y[place] = sum(found) if isinstance(op, IntSumPool) else max(found)
    return y


def drawn(rng: np.random.Generator, rank: int) -> tuple[Op, Sizes]:
    """An operator and the shape of its operand."""
    size = lambda lo, hi: tuple(int(n) for n in rng.integers(lo, hi, rank))  # noqa: E731
    groups = int(rng.integers(1, 3))
    shape = (2 * groups, *size(3, 6))
    kernel, stride = size(1, 4), size(1, 3)
    padding = tuple(int(rng.integers(0, k)) for k in kernel)
    if rng.random() < 0.3:
        return [IntSumPool, IntMaxPool][rng.integers(2)](kernel, stride, padding), shape
    each = int(rng.integers(1, 3))
    weight = Param(rng.integers(-7, 8, (each * groups, 2, *kernel)))
    bias = Param(rng.integers(-9, 10, each * groups)) if rng.random() < 0.5 else None
    shift, dilation = int(rng.integers(3)), size(1, 3)
    if rng.random() < 0.5:
        return IntConv(weight, bias, shift, stride, padding, dilation, groups), shape
    extra = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True))
    op = IntConvTranspose(weight, bias, shift, stride, padding, extra, dilation, groups)
    return op, shape


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_every_window_is_added_term_after_term(rank: int) -> None:
    rng, kinds = np.random.default_rng(rank), set()
    while len(kinds) < 4 or rng.random() < 0.8:
        op, shape = drawn(rng, rank)
        g = Graph("one", 1)
        lo, hi = int(rng.integers(-9, 3)), int(rng.integers(3, 9))
        g.add("x", IntInput(shape, Clock.ONCE, lo, hi, 1.0))
        try:
            g.add("y", op, "x")
        except CompileError:
            continue  # a window larger than its input
        g.add("out", IntOutput(ONE), "y")
        graph = proven(g)
        x = rng.integers(lo, hi + 1, (2, *shape))
        y = simulator(graph).run(x)[0]["out"]
        reference = windowed if isinstance(op, IntSumPool | IntMaxPool) else summed
        for sample, value in zip(x, y, strict=True):
            np.testing.assert_array_equal(value, reference(op, sample, y.shape[1:]))  # type: ignore[arg-type]
        kinds.add(type(op))
        dtype = graph["y"].type.dtype
        assert isinstance(dtype, Int)
        assert y.min() >= dtype.bounds[0]
        assert y.max() <= dtype.bounds[1]


@pytest.mark.parametrize("kind", [IntConv, IntConvTranspose])
def test_the_proven_range_is_reached(kind: type[Op]) -> None:
    """One channel in and out: the witness follows from the signs of the weights it meets."""
    rng = np.random.default_rng(5)
    weight = Param(rng.integers(-7, 8, (1, 1, 3, 2)))
    extra = ((1, 0),) if kind is IntConvTranspose else ()
    op = kind(weight, None, 1, (2, 1), (1, 1), *extra, (1, 2), 1)  # type: ignore[call-arg]
    g = Graph("one", 1)
    g.add("x", IntInput((1, 4, 5), Clock.ONCE, -3, 8, 1.0))
    g.add("out", IntOutput(ONE), g.add("y", op, "x").name)
    graph = proven(g)
    sim = simulator(graph)
    base = np.zeros((1, 1, 4, 5), np.int64)
    units = np.eye(20, dtype=np.int64).reshape(20, 1, 4, 5)
    slope = sim.run(units)[0]["out"] - sim.run(base)[0]["out"]
    dtype = graph["y"].type.dtype
    assert isinstance(dtype, Int)
    highest = np.where(slope > 0, 8, -3) * slope
    lowest = np.where(slope > 0, -3, 8) * slope
    assert dtype.bounds == (lowest.sum(0).min(), highest.sum(0).max())
