"""Products of computed matrices and softmax: definition, range, and C, word for word."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.intops import IntInput, IntMatmul, IntOutput, IntSoftmax, IntTimeStack
from snnc.params import Param
from snnc.passes.quantize_attention import _table
from snnc.rounding import rsh
from snnc.types import Clock
from tests.differential.test_sim_vs_c import assert_equal, fan
from tests.intgraphs import ONE, proven, simulator

Bounds = tuple[int, int]
SHAPES = [((3, 4), (4, 2)), ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 2)), ((2, 1, 3, 4), (5, 4, 1))]


def product(
    a: tuple[int, ...], b: tuple[int, ...], left: Bounds, right: Bounds, op: IntMatmul | None = None
) -> Graph:
    g = Graph("product", 3)
    g.add("a", IntInput(a, Clock.STEP, *left, 1.0))
    g.add("b", IntInput(b, Clock.STEP, *right, 1.0))
    g.add("y", op or IntMatmul(), "a", "b")
    g.add("stack", IntTimeStack(), "y")
    g.add("out", IntOutput(ONE), "stack")
    return proven(g)


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("shift", [0, 5])
def test_matmul(tmp_path: Path, a: tuple[int, ...], b: tuple[int, ...], shift: int) -> None:
    """The definition with Python's integers; then C."""
    top = 1 << 28
    graph = product(a, b, (-top, top), (-5, top), IntMatmul(shift, "half_away"))
    rng = np.random.default_rng(0)
    x = {"a": rng.integers(-top, top, (2, 3, *a)), "b": rng.integers(-5, top, (2, 3, *b))}
    found = simulator(graph).run(x)[0]["out"]
    for n, t in itertools.product(range(2), range(3)):
        sums = np.matmul(x["a"][n, t].astype(object), x["b"][n, t].astype(object))
        expected = [rsh(int(s), shift, "half_away") for s in sums.reshape(-1)]
        assert found[n, t].reshape(-1).tolist() == expected
    assert_equal(graph, tmp_path, samples=3, steps=3)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((0, 1), (0, 1)),
        ((0, 1), (-7, 9)),
        ((-7, 9), (0, 3)),
        ((-7, 9), (-300, 20)),
        ((2, 3), (1, 1)),
    ],
)
def test_the_range_of_a_matmul_is_reached(left: Bounds, right: Bounds) -> None:
    graph = product((2, 5), (5, 2), left, right)
    corners = list(itertools.product(left, right))
    values = [a * b for a, b in corners]
    worst = [corners[values.index(pick(values))] for pick in (min, max)]
    x = {
        k: np.stack([np.full((1, *graph[k].type.shape), w[i]) for w in worst])
        for i, k in enumerate(("a", "b"))
    }
    found = simulator(graph).run(x)[0]["out"]
    assert (found.min(), found.max()) == graph["y"].type.dtype.bounds  # type: ignore[union-attr]


def test_spikes_and_wide_words_in_c(tmp_path: Path) -> None:
    for i, (left, right) in enumerate([((0, 1), (0, 1)), ((0, 1), (-(1 << 55), 1 << 50))]):
        assert_equal(product((6, 3), (3, 9), left, right), tmp_path / str(i), samples=3, steps=3)


def test_a_product_of_more_than_63_bits() -> None:
    with pytest.raises(CompileError, match="E310"):
        product((2, 4), (4, 2), (0, 1 << 31), (0, 1 << 30))


def weights(op: IntSoftmax, x: list[int], counts: list[bool]) -> list[int]:
    """The equations, for one row."""
    size, table = op.table.data.size, op.table.data.tolist()
    top = max((v for v, c in zip(x, counts, strict=True) if c), default=0)
    e = [0] * len(x)
    for i, (v, c) in enumerate(zip(x, counts, strict=True)):
        if c:
            u = ((top - v) * op.multiplier + (1 << op.shift >> 1)) >> op.shift
            e[i] = table[u % size] >> (u // size)
    return [(v << op.out_bits) // max(1, sum(e)) for v in e]


def softmaxes(n: int) -> list[IntSoftmax]:
    rng = np.random.default_rng(n)
    mask = rng.integers(0, 2, (3, n))
    mask[0], mask[1] = 0, 1
    return [
        IntSoftmax(1, _table(), 9000000, 20),
        IntSoftmax(1, _table(), 1, 0, 15, Param(mask)),
        IntSoftmax(1, Param(np.array([5, 0])), 3, 30, 30, Param(mask[1:2])),
        IntSoftmax(1, _table(), 12345678, 48, 4, Param(mask[:, :1])),
    ]


@pytest.mark.parametrize("n", [1, 2, 33])
@pytest.mark.parametrize("top", [1, 5000, 1 << 50])
def test_softmax(tmp_path: Path, n: int, top: int) -> None:
    ops = softmaxes(n)
    graph = fan(*ops, shape=(3, n), lo=-top, hi=top)
    rng = np.random.default_rng(top)
    sizes = 10.0 ** rng.uniform(0, np.log10(top), (9, 3, 1))
    x = (rng.uniform(-1, 1, (9, 3, n)) * sizes).astype(np.int64)
    x[0], x[1] = top, -top
    found, _ = simulator(graph).run(x[:, None])
    for k, op in enumerate(ops):
        mask = np.ones((3, n)) if op.mask is None else np.broadcast_to(op.mask.data, (3, n))
        expected = [
            [weights(op, row, (m != 0).tolist()) for row, m in zip(sample, mask, strict=True)]
            for sample in x.tolist()
        ]
        assert found[f"out{k}"][:, 0].tolist() == expected
    assert_equal(graph, tmp_path, samples=3, steps=3)


def test_softmax_along_other_axes_and_with_a_computed_mask(tmp_path: Path) -> None:
    g = Graph("masked", 4)
    g.add("x", IntInput((3, 4, 2), Clock.STEP, -999, 999, 1.0))
    g.add("m", IntInput((3, 4, 2), Clock.STEP, -1, 1, 1.0))
    for axis in range(3):
        g.add(f"y{axis}", IntSoftmax(axis, _table(), 9000000, 26), "x", "m")
        g.add(f"stack{axis}", IntTimeStack(), f"y{axis}")
        g.add(f"out{axis}", IntOutput(ONE), f"stack{axis}")
    graph = proven(g)
    assert_equal(graph, tmp_path)
    x = np.random.default_rng(0).integers(-999, 1000, (1, 1, 3, 4, 2))
    mask = np.zeros_like(x)
    mask[..., 1, :] = -1
    found, _ = simulator(graph).run({"x": x, "m": mask})
    assert (found["out1"][:, :, :, 1] == 1 << 15).all()
    assert found["out1"].sum() == 6 << 15  # a row of which nothing counts is 0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"axis": 2}, "axis 2"),
        ({"table": Param(np.array([3, 2, 1]))}, "no power of two"),
        ({"table": Param(np.array([-1]))}, "30 bits"),
        ({"multiplier": 0}, "factor"),
        ({"shift": 60}, "factor"),
        ({"out_bits": 31}, "31 bits"),
        ({"mask": Param(np.array([[2, 1]]))}, "0 and 1"),
        ({"mask": Param(np.array([1, 1, 1]))}, "a mask"),
    ],
)
def test_attributes_that_make_no_softmax(change: dict[str, object], text: str) -> None:
    right = {"axis": 1, "table": Param(np.array([4, 3])), "multiplier": 5, "shift": 3}
    with pytest.raises(CompileError, match=text):
        fan(IntSoftmax(**(right | change)), shape=(3, 2))  # type: ignore[arg-type]
