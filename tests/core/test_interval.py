"""Interval arithmetic contains every concrete result, and is tight at its ends."""

import itertools

import numpy as np
import pytest

from snnc.interval import Interval, RangeOverflowError

BOUNDS = [(a, b) for a in range(-4, 5) for b in range(a, 5)]


@pytest.mark.parametrize("op", ["__add__", "__sub__", "__mul__"])
def test_exhaustive(op: str) -> None:
    for (a, b), (c, d) in itertools.product(BOUNDS, BOUNDS):
        result = getattr(Interval.of(a, b), op)(Interval.of(c, d))
        values = [getattr(x, op)(y) for x in range(a, b + 1) for y in range(c, d + 1)]
        assert result.bounds == (min(values), max(values))


def test_join_ignores_the_empty_interval() -> None:
    empty, x = Interval.of(1, 0), Interval.of(-3, 4)
    assert empty.join(x).bounds == x.join(empty).bounds == (-3, 4)


def test_bounds_never_wrap() -> None:
    big = Interval.of(0, 1 << 61)
    with pytest.raises(RangeOverflowError):
        _ = big + big
    with pytest.raises(RangeOverflowError):
        _ = big * Interval.of(np.array([-5]), np.array([2]))
