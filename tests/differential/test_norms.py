"""Normalizations: the definition against plain Python, C against it, the bound against both."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from snnc.backends.numpy.norms import bit_length, isqrt, scaled
from snnc.intops import IntLayerNorm, IntRMSNorm
from snnc.params import Param
from tests.differential.test_sim_vs_c import assert_equal, fan
from tests.intgraphs import simulator

Norm = IntLayerNorm | IntRMSNorm


def half_away(x: Fraction) -> int:
    size = math.floor(abs(x) + Fraction(1, 2))
    return -size if x < 0 else size


def expected(op: Norm, x: list[int]) -> list[int]:
    """The equations, with fractions and ``math.isqrt``."""
    n = len(x)
    d = [n * v - sum(x) for v in x] if isinstance(op, IntLayerNorm) else x
    t = max(0, max(map(abs, d)).bit_length() + op.lift - op.bits)
    e = [half_away(v * Fraction(2) ** (op.lift - t)) for v in d]
    q = (sum(v * v for v in e) + n // 2) // n
    root = max(1, math.isqrt(q * 4**op.guard + (op.eps >> 2 * t)))
    gain = np.broadcast_to(op.gain.data.reshape(-1), n).tolist()
    offset = [0] * n
    if op.offset is not None:
        offset = np.broadcast_to(op.offset.data.reshape(-1), n).tolist()
    parts = zip(e, gain, offset, strict=True)
    return [half_away(Fraction(v * 2**op.guard * g, root)) + b for v, g, b in parts]


def norms(n: int) -> list[Norm]:
    rng = np.random.default_rng(n)
    gain, offset = Param(rng.integers(-20000, 20000, n)), Param(rng.integers(-99, 99, n))
    one = Param(np.array(1 << 14))
    return [
        IntLayerNorm(1, one, None, 0, 23),
        IntLayerNorm(1, gain, offset, (1 << 60) - 1, 12),
        IntLayerNorm(1, gain, Param(np.array(-7)), 12345, -5, 9, 2),
        IntRMSNorm(1, one, None, 1, 23),
        IntRMSNorm(1, gain, None, 1 << 50, 3),
    ]


def rows(n: int, top: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Constant, one-hot, extreme and random rows."""
    rng = np.random.default_rng(top)
    hot, step = np.zeros(n, np.int64), np.full(n, -top)
    hot[0], step[: n // 2] = top, top
    sizes = 10.0 ** rng.uniform(0, np.log10(top), (30, 1))
    some = (rng.uniform(-1, 1, (30, n)) * sizes).astype(np.int64)
    return np.stack([np.zeros(n, np.int64), np.full(n, top), hot, -hot, step, *some])


@pytest.mark.parametrize("n", [1, 2, 7, 64])
@pytest.mark.parametrize("top", [1, 300, 1 << 40])
def test_definition(n: int, top: int) -> None:
    ops, x = norms(n), rows(n, top)
    graph = fan(*ops, shape=(n,), lo=-top, hi=top)
    outputs, _ = simulator(graph).run(x[:, None])
    for i, op in enumerate(ops):
        assert outputs[f"out{i}"][:, 0].tolist() == [expected(op, row) for row in x.tolist()]
        lo, hi = graph[f"op{i}"].type.dtype.bounds  # type: ignore[union-attr]
        assert lo <= outputs[f"out{i}"].min()
        assert outputs[f"out{i}"].max() <= hi


@pytest.mark.parametrize("top", [1, 300, 1 << 40])
def test_c(tmp_path: Path, top: int) -> None:
    two = Param(np.arange(-6, 6).reshape(3, 4))
    ops = [*norms(4), IntLayerNorm(2, two, None, 7, 23), IntRMSNorm(2, two, two, 7, 23)]
    assert_equal(fan(*ops, shape=(2, 3, 4), lo=-top, hi=top), tmp_path)


@pytest.mark.parametrize("n", [2, 9, 100])
def test_the_bound_is_almost_reached(n: int) -> None:
    """By one element that is not zero, whatever its size."""
    one = Param(np.array(1 << 14))
    ops = [IntLayerNorm(1, one, None, 0, 23), IntRMSNorm(1, one, None, 0, 23)]
    graph = fan(*ops, shape=(n,), lo=-999, hi=999)
    hot = np.zeros((2, 1, n), np.int64)
    hot[:, 0, 0] = 999, -1
    outputs, _ = simulator(graph).run(hot)
    for i in range(2):
        bounds = graph[f"op{i}"].type.dtype.bounds  # type: ignore[union-attr]
        reached = outputs[f"out{i}"].min(), outputs[f"out{i}"].max()
        np.testing.assert_allclose(reached, bounds, rtol=2e-4)


@pytest.mark.parametrize("lift", [-6, -5, -4, 0, 3])
@pytest.mark.parametrize(("eps", "guard"), [(0, 0), (0, 2), (1, 0), (2, 1), (5, 2)])
def test_small_elements_stay_within_the_bound(lift: int, eps: int, guard: int) -> None:
    axis = np.arange(-40, 41, 5)
    x = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    for kind in (IntLayerNorm, IntRMSNorm):
        op = kind(1, Param(np.array(108)), None, eps, lift, 13, guard)
        graph = fan(op, shape=(3,), lo=-40, hi=40)
        y = simulator(graph).run(x[:, None])[0]["out0"]
        lo, hi = graph["op0"].type.dtype.bounds  # type: ignore[union-attr]
        assert lo <= y.min()
        assert y.max() <= hi


def test_parts() -> None:
    roots = np.array([0, 1, 2, (1 << 31) - 1, 1 << 31])
    squares = np.concatenate([roots * roots, np.maximum(roots * roots - 1, 0)])
    assert isqrt(squares).tolist() == [math.isqrt(int(x)) for x in squares]
    numbers = np.array([0, 1, 255, 256, (1 << 62) - 1, 1 << 62])
    assert bit_length(numbers).tolist() == [int(x).bit_length() for x in numbers]
    assert scaled(np.array([5, -5, 5, -7]), np.array([1, 1, -2, 0])).tolist() == [3, -3, 20, -7]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"axes": 2}, "normalizes 2 axes"),
        ({"gain": Param(np.ones(3, np.int64))}, "parameter"),
        ({"eps": -1}, "eps"),
        ({"eps": 1 << 61}, "eps"),
        ({"bits": 31}, "exceed 62 bits"),
        ({"gain": Param(np.array(1 << 40))}, "exceed 62 bits"),
        ({"lift": 24}, "shift of 24 bits"),
        ({"gain": Param(np.array(0.5))}, "integers"),
    ],
)
def test_attributes_that_would_overflow(change: dict[str, object], text: str) -> None:
    right = {"axes": 1, "gain": Param(np.array(1)), "offset": None, "eps": 0, "lift": 0}
    with pytest.raises(Exception, match=text):
        fan(IntLayerNorm(**(right | change)), shape=(4,))  # type: ignore[arg-type]
