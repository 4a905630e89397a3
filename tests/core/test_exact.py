import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnc.exact import ONE, ZERO, Expr, apply, ceiling, floats, flooring, leaf, nearest, signs
from snnc.exact_functions import fraction

FINITE = st.floats(-30, 30, width=32)


@given(st.lists(FINITE, min_size=1, max_size=6))
def test_decay_is_correctly_rounded(raw: list[float]) -> None:
    a = nearest(apply("sigmoid", leaf(raw)) * leaf(65536.0))
    with mpmath.workdps(60):
        exact = [65536 / (1 + mpmath.exp(-mpmath.mpf(x))) for x in raw]
        assert a.tolist() == [int(mpmath.floor(x + mpmath.mpf("0.5"))) for x in exact]


@given(FINITE, FINITE)
def test_floor_and_ceiling_of_fractions(a: float, b: float) -> None:
    if abs(b) < 1e-6:
        return
    e = leaf(a) / leaf(b)
    lo, hi = int(flooring(e)), int(ceiling(e))
    exact = Fraction(a) / Fraction(b)
    assert lo == math.floor(exact)
    assert hi == math.ceil(exact)
    assert lo <= int(nearest(e)) <= hi


def test_a_threshold_on_the_grid_stays_on_it() -> None:
    assert ceiling(leaf(1.0) / leaf(2.0**-14)) == 1 << 14
    assert ceiling(leaf(0.1) / leaf(0.1)) == 1


def test_boundary_that_no_precision_resolves() -> None:
    half = apply("sigmoid", leaf(0.0))
    assert nearest(half * leaf(65536.0)) == 32768
    log_of_exp = apply("log", apply("exp", leaf(1.0)))
    assert ceiling(log_of_exp) == flooring(log_of_exp) == 1


def test_terms_cancel_exactly() -> None:
    beta = apply("sigmoid", leaf([0.3, 0.7]))
    assert beta - beta == ZERO
    assert beta / beta == ONE
    assert beta + -beta == ZERO


def test_arrays_broadcast_and_share_evaluations() -> None:
    e = apply("softplus", leaf(np.zeros((3, 1)))) + leaf(np.arange(4.0))
    assert e.shape == (3, 4)
    assert floats(e)[0].tolist() == pytest.approx((math.log(2) + np.arange(4.0)).tolist())


def test_signs_are_decided_without_rounding() -> None:
    tiny = leaf(1.0) - apply("tanh", leaf([30.0, 1.0]))
    assert signs(tiny).tolist() == [1, 1]


def test_huge_constants_are_refused() -> None:
    with pytest.raises(OverflowError):
        nearest(leaf(2.0**70))


PLAIN = {"add": 2, "sub": 2, "mul": 2, "div": 2, "neg": 1, "reciprocal": 1, "relu": 1}


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> tuple[Expr, list[Fraction]]:
    """An expression over five rows and scalars, and its values."""
    if depth == 0 or draw(st.booleans()):
        many = draw(st.booleans())
        raw = draw(st.lists(FINITE, min_size=5 if many else 1, max_size=5 if many else 1))
        values = [Fraction(x) for x in (raw if many else raw * 5)]
        return leaf(raw if many else raw[0]), values
    fn = draw(st.sampled_from(sorted(PLAIN)))
    args = [draw(trees(depth=depth - 1)) for _ in range(PLAIN[fn])]
    rows = list(zip(*(values for _, values in args), strict=True))
    if fn in ("div", "reciprocal") and not all(row[-1] for row in rows):
        fn, rows = "neg", [row[:1] for row in rows]
        args = args[:1]
    return Expr(fn, tuple(e for e, _ in args)), [fraction(fn, list(row)) for row in rows]


@given(trees())
def test_many_rows_at_once_are_what_each_is_alone(tree: tuple[Expr, list[Fraction]]) -> None:
    expr, values = tree
    broadcast = expr + leaf(np.zeros(5)) if not expr.shape else expr
    whole = np.broadcast_to(floats(broadcast), 5)
    assert whole.tolist() == [float(v) for v in values]
    assert np.broadcast_to(signs(expr), 5).tolist() == [(v > 0) - (v < 0) for v in values]
    assert np.broadcast_to(flooring(expr), 5).tolist() == [math.floor(v) for v in values]
    assert np.broadcast_to(ceiling(expr), 5).tolist() == [math.ceil(v) for v in values]
    away = [(1 if v >= 0 else -1) * math.floor(abs(v) + Fraction(1, 2)) for v in values]
    assert np.broadcast_to(nearest(expr), 5).tolist() == away


def test_a_divisor_of_zero_in_one_row_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        floats(leaf([1.0, 2.0]) / leaf([4.0, 0.0]))
