"""Sums that share a float64 are those of the integers, up to both ends of their fields."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from snnc.backends.numpy import packing
from snnc.backends.numpy.packing import Packed
from snnc.graph import Graph
from snnc.intops import IntInput, IntLinear, IntOutput, IntTimeSum
from snnc.params import Param
from snnc.types import Clock
from tests.intgraphs import ONE, proven, simulator

Array = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
#: Largest size of a sum of which three fit, as the definition of a float64 has it: 54 / 3 bits.
THREE = (1 << 17) - 1


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "COLUMNS", 1)
    monkeypatch.setattr(packing, "WEIGHTS", 1)


def rows_of(bound: int, fields: int, rng: np.random.Generator) -> Array:
    """Rows whose sizes add up to the bound; any field meets any signs of the others."""
    signs = list(itertools.product((1, -1), repeat=min(fields, 5)))
    cuts = np.sort(rng.integers(0, bound + 1, (len(signs) * fields, 6)), 1)
    sizes = np.diff(cuts, axis=1, prepend=0, append=bound)
    w = sizes * rng.choice([-1, 1], sizes.shape)
    for i, row in enumerate(signs):  # whole columns of the packed matrix at one end or the other
        for field, sign in enumerate(row):
            w[field * len(signs) + i] = sign * sizes[i]
    return w


@pytest.mark.parametrize("width", range(2, 19))
@pytest.mark.parametrize("missing", [0, 1])
def test_sums_reach_both_ends_of_their_fields(any_size: None, width: int, missing: int) -> None:
    bound = (1 << width - 1) - 1
    w = rows_of(bound, 54 // width, np.random.default_rng(width))
    w = w[: len(w) - missing]
    packed = Packed.of(w, bound)
    assert packed is not None
    assert packed.matrix.shape == (7, -(-len(w) // (54 // width)))
    x = np.vstack([np.ones((1, 7)), -np.ones((1, 7)), np.sign(w), -np.sign(w), np.zeros((1, 7))])
    x = np.vstack([x, np.random.default_rng(0).integers(-1, 2, (50, 7))])
    for order in (slice(None), slice(None, None, -1)):  # of what is added
        again = Packed.of(w[:, order], bound)
        assert again is not None
        found = again.product(x[:, order].copy(), np.int32)
        assert np.array_equal(found, x.astype(np.int64) @ w.T)
    assert (np.abs(found).max(0) == bound).all()
    assert np.array_equal(packed.product(x[None], np.int64), (x.astype(np.int64) @ w.T)[None])


def test_few_rows_leave_fields_empty(any_size: None) -> None:
    for rows in range(1, 12):
        w = np.arange(rows * 3).reshape(rows, 3) - 10
        packed = Packed.of(w, 255)
        assert packed is not None
        x = np.array([[1.0, -2.0, 3.0], [0.0, 0.0, -1.0]])
        assert np.array_equal(packed.product(x, np.int32), x.astype(np.int64) @ w.T)


def test_a_bound_of_one_more_is_not_packed(any_size: None) -> None:
    w = np.ones((3, 4), np.int64)
    assert Packed.of(w, THREE) is not None
    assert Packed.of(w, THREE + 1) is None


@pytest.mark.parametrize("more", [0, 1])
def test_a_layer_is_packed_as_its_proven_bound_allows(more: int) -> None:
    """127 columns of 128 and one more number, times inputs of up to 8."""
    w = np.full((2048, 128), 128)
    w[:, 0] = (THREE // 8) - 127 * 128 + more
    w[::2] *= -1
    w[1::3, 64:] *= -1
    g = Graph("g")
    g.add("x", IntInput((128,), Clock.STEP, -8, 7, 1.0))
    g.add("fc", IntLinear(Param(w), Param(np.arange(2048)), 3), "x")
    g.add("sum", IntTimeSum(), "fc")
    g.add("out", IntOutput(ONE), "sum")
    sim = simulator(proven(g))
    assert list(sim.packed) == ["fc"] * (1 - more)
    assert [a.dtype for a in sim.exact.values()] == [np.float32] * more
    x = np.random.default_rng(0).integers(-8, 8, (3, 5, 128))
    x[0], x[1, :2] = -8, 7
    (found,) = sim.run(x)[0].values()
    assert np.array_equal(found, (((x @ w.T) << 3) + np.arange(2048)).sum(1))
