"""Constants as exact real numbers: symbolic expressions over stored floats, rounded with proof.

A stored float is an exact binary rational.  Rational expressions are evaluated with fractions;
those with exp, sigmoid, softplus, … with mpmath intervals of growing precision until both ends
round to the same integer.  No float transcendental of any CPU or library decides a result.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

from snnc.exact_functions import (
    NotRationalError,
    Ratio,
    Ratios,
    arithmetic,
    fraction,
    interval,
    ratio,
    ratios,
)
from snnc.params import Param

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_PRECISIONS = (80, 160, 320, 640, 1280)


@dataclass(frozen=True, slots=True)
class Expr:
    """``fn`` of ``args``, or a leaf: an array of floats. Broadcasts like arrays."""

    fn: str
    args: tuple[Expr, ...] = ()
    value: Param | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape after broadcasting all leaves."""
        if self.value is not None:
            return self.value.shape
        return np.broadcast_shapes(*(a.shape for a in self.args))

    @property
    def number(self) -> Fraction | None:
        """The value, if this is a scalar leaf."""
        if self.value is None or self.value.shape != ():
            return None
        return Fraction(float(self.value.data))

    def __add__(self, other: Expr) -> Expr:
        a, b = self.number, other.number
        if a == 0:
            return other
        if b == 0:
            return self
        if self == -other or other == -self:
            return ZERO
        return _folded("add", self, other)

    def __sub__(self, other: Expr) -> Expr:
        return ZERO if self == other else self + -other

    def __neg__(self) -> Expr:
        if self.fn == "neg":
            return self.args[0]
        return _folded("neg", self)

    def __mul__(self, other: Expr) -> Expr:
        for x, y in ((self, other), (other, self)):
            if x.number == 0:
                return ZERO
            if x.number == 1:
                return y
            if x.number == -1:
                return -y
        if other.fn == "neg":
            return -(self * other.args[0])
        if self.fn == "neg":
            return -(self.args[0] * other)
        return _folded("mul", self, other)

    def __truediv__(self, other: Expr) -> Expr:
        if other.number == 1 or self.number == 0:
            return self
        if self == other:
            return ONE
        if self == -other:
            return -ONE
        return _folded("div", self, other)


def leaf(value: Any) -> Expr:
    """A constant: a number or an array of floats."""
    return Expr("leaf", value=Param(np.asarray(value, np.float64)))


#: Functions that ``Expr`` has operators for, which simplify.
_OPERATORS = ("add", "sub", "mul", "div", "neg")


def apply(fn: str, *args: Expr) -> Expr:
    """Any function of ``snnc.kernel.REAL_FUNCTIONS`` on constants."""
    result: Expr = arithmetic(fn, args) if fn in _OPERATORS else _folded(fn, *args)
    return result


def _folded(fn: str, *args: Expr) -> Expr:
    """Fold scalars whose exact result is a float; keep everything else symbolic."""
    numbers = [a.number for a in args]
    if all(n is not None for n in numbers):
        try:
            result = fraction(fn, [n for n in numbers if n is not None])
        except (NotRationalError, ZeroDivisionError):
            return Expr(fn, args)
        as_float = float(result)
        if math.isfinite(as_float) and Fraction(as_float) == result:
            return leaf(as_float)
    return Expr(fn, args)


ZERO = leaf(0.0)
ONE = leaf(1.0)


def rearranged(expr: Expr, shape: tuple[int, ...], change: Callable[[Floats], Floats]) -> Expr:
    """The elements of ``expr``, broadcast to ``shape`` and moved by ``change``.

    >>> floats(rearranged(leaf([1.0, 2.0]) / leaf(4.0), (2,), lambda x: x[::-1])).tolist()
    [0.5, 0.25]
    """
    if expr.value is None:
        return Expr(expr.fn, tuple(rearranged(a, shape, change) for a in expr.args))
    if not expr.shape:
        return expr
    return leaf(change(np.broadcast_to(expr.value.data, shape)))


def nearest(expr: Expr) -> Ints:
    """Round to the nearest integer, ties away from zero.

    >>> nearest(leaf([0.5, -1.5, 2.4])).tolist()
    [1, -2, 2]
    """
    return _integers(expr, _half_away)


def ceiling(expr: Expr) -> Ints:
    """Round up."""
    return _integers(expr, lambda above, below: -(-above // below))


def flooring(expr: Expr) -> Ints:
    """Round down.

    >>> int(flooring(apply("exp", leaf(1.0)) * leaf(1000.0)))
    2718
    """
    return _integers(expr, operator.floordiv)


def floats(expr: Expr) -> Floats:
    """The nearest float64 of every element (exact for fractions, else to within one ulp)."""
    if expr.value is not None:
        return expr.value.data

    def certified(row: Floats) -> float:
        with mpmath.workprec(160):
            x = _mp_interval(expr, row, 160)
            return float(mpmath.mpf(x.mid))

    return _mapped(expr, operator.truediv, certified).astype(np.float64)


def signs(expr: Expr) -> Ints:
    """-1, 0 or 1 of every element, decided exactly."""

    def certified(row: Floats) -> int:
        for precision in _PRECISIONS:
            interval = _mp_interval(expr, row, precision)
            if interval.a > 0 or interval.b < 0:
                return 1 if interval.a > 0 else -1
        return 0

    return _mapped(expr, lambda above, _: (above > 0) - (above < 0), certified).astype(np.int64)


def _half_away(above: int, below: int) -> int:
    size = (2 * abs(above) + below) // (2 * below)
    return size if above >= 0 else -size


def _integers(expr: Expr, rounding: Callable[[int, int], int]) -> Ints:
    out = _mapped(expr, rounding, lambda row: _certified(expr, row, rounding))
    if any(abs(int(v)) >= 1 << 62 for v in out.reshape(-1)):
        raise OverflowError("an integer constant exceeds 62 bits")
    return out.astype(np.int64)


def _certified(expr: Expr, row: Floats, rounding: Callable[[int, int], int]) -> int:
    ends = (0, 1)
    for precision in _PRECISIONS:
        x = _mp_interval(expr, row, precision)
        ends = (rounding(*_as_ratio(x.a)), rounding(*_as_ratio(x.b)))
        if ends[0] == ends[1]:
            return ends[0]
    # Agreement to 1280 bits with a rounding boundary: the value is the boundary itself.
    return rounding(*_as_ratio(_mp_interval(expr, row, _PRECISIONS[-1]).mid))


def _as_ratio(x: Any) -> Ratio:
    mantissa, exponent = mpmath.mpf(x).man_exp
    sign = -1 if x < 0 else 1
    return (sign * Fraction(int(abs(mantissa))) * Fraction(2) ** int(exponent)).as_integer_ratio()


def _mapped(
    expr: Expr, rational: Callable[[int, int], Any], other: Callable[[Floats], Any]
) -> npt.NDArray[np.object_]:
    """Evaluate once per distinct combination of leaf values: ``rational`` of what is a ratio."""
    leaves: list[Floats] = []
    _collect(expr, leaves)
    shape = expr.shape
    columns = [np.broadcast_to(x, shape).reshape(-1) for x in leaves]
    rows, inverse = np.unique(np.stack(columns, 1), axis=0, return_inverse=True)
    values = np.empty(len(rows), object)
    try:
        values[:] = list(map(rational, *_ratios(expr, rows)))
    except NotRationalError:
        for i, row in enumerate(rows):
            values[i] = _value(expr, row, rational, other)
    return values[inverse.reshape(-1)].reshape(shape)


def _value(
    expr: Expr, row: Floats, rational: Callable[[int, int], Any], other: Callable[[Floats], Any]
) -> Any:
    try:
        ratio = _exact(expr, row)
    except NotRationalError:
        return other(row)
    return rational(*ratio)


def _collect(expr: Expr, out: list[Floats]) -> None:
    if expr.value is not None:
        out.append(expr.value.data)
    for arg in expr.args:
        _collect(arg, out)


def _ratios(expr: Expr, rows: Floats) -> tuple[list[int], list[int]]:
    """Numerators and positive denominators of (count, leaves) values at once, if all are plain."""
    queue = iter(rows.T)

    def visit(e: Expr) -> Ratios:
        if e.value is None:
            return ratios(e.fn, [visit(a) for a in e.args])
        column = next(queue)[: len(rows) if e.shape else 1].tolist()
        found = np.array([x.as_integer_ratio() for x in column], object).reshape(-1, 2)
        return found[:, 0], found[:, 1]

    above, below = (np.broadcast_to(x, len(rows)).tolist() for x in visit(expr))
    return above, below


def _exact(expr: Expr, leaves: Floats) -> Ratio:
    queue = iter(leaves.tolist())

    def visit(e: Expr) -> Ratio:
        if e.value is not None:
            leaf: float = next(queue)
            return leaf.as_integer_ratio()
        args = [visit(a) for a in e.args]
        if (plain := ratio(e.fn, args)) is not None:
            return plain
        found = fraction(e.fn, [Fraction(*x) for x in args])
        return found.numerator, found.denominator

    return visit(expr)


def _mp_interval(expr: Expr, row: Floats, precision: int) -> Any:
    """An mpmath interval that contains the value."""
    iv = mpmath.iv
    old, iv.prec = iv.prec, precision
    try:
        queue = iter(row)

        def visit(e: Expr) -> Any:
            if e.value is not None:
                return iv.mpf(float(next(queue)))
            return interval(iv, e.fn, [visit(a) for a in e.args])

        return visit(expr)
    finally:
        iv.prec = old
