"""Constants as exact real numbers: symbolic expressions over stored floats, rounded with proof.

A stored float is an exact binary rational.  Rational expressions are evaluated with fractions;
those with exp, sigmoid, softplus, … with mpmath intervals of growing precision until both ends
round to the same integer.  No float transcendental of any CPU or library decides a result.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

from snnc.params import Param

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_PRECISIONS = (80, 160, 320, 640, 1280)


class NotRationalError(ArithmeticError):
    """The value has no exact fraction."""


class ConstantError(ArithmeticError):
    """The value of a constant cannot be bounded by intervals, e.g. the floor of an exponential."""


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
    result: Expr = _arithmetic(fn, args) if fn in _OPERATORS else _folded(fn, *args)
    return result


def _folded(fn: str, *args: Expr) -> Expr:
    """Fold scalars whose exact result is a float; keep everything else symbolic."""
    numbers = [a.number for a in args]
    if all(n is not None for n in numbers):
        try:
            result = _fraction(fn, [n for n in numbers if n is not None])
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
    return _integers(expr, math.ceil)


def flooring(expr: Expr) -> Ints:
    """Round down.

    >>> int(flooring(apply("exp", leaf(1.0)) * leaf(1000.0)))
    2718
    """
    return _integers(expr, math.floor)


def floats(expr: Expr) -> Floats:
    """The nearest float64 of every element (exact for fractions, else to within one ulp)."""
    if expr.value is not None:
        return expr.value.data

    def one(row: Floats) -> float:
        try:
            above, below = _exact(expr, row)
            return above / below
        except NotRationalError:
            with mpmath.workprec(160):
                x = _mp_interval(expr, row, 160)
                return float(mpmath.mpf(x.mid))

    return _mapped(expr, one).astype(np.float64)


def signs(expr: Expr) -> Ints:
    """-1, 0 or 1 of every element, decided exactly."""

    def one(row: Floats) -> int:
        try:
            x, _ = _exact(expr, row)
        except NotRationalError:
            for precision in _PRECISIONS:
                interval = _mp_interval(expr, row, precision)
                if interval.a > 0 or interval.b < 0:
                    return 1 if interval.a > 0 else -1
            return 0
        return (x > 0) - (x < 0)

    return _mapped(expr, one).astype(np.int64)


def _half_away(x: Fraction) -> int:
    return math.floor(x + Fraction(1, 2)) if x >= 0 else -math.floor(-x + Fraction(1, 2))


def _integers(expr: Expr, rounding: Callable[[Fraction], int]) -> Ints:
    def one(row: Floats) -> int:
        try:
            return rounding(Fraction(*_exact(expr, row)))
        except NotRationalError:
            return _certified(expr, row, rounding)

    out = _mapped(expr, one)
    if any(abs(int(v)) >= 1 << 62 for v in out.reshape(-1)):
        raise OverflowError("an integer constant exceeds 62 bits")
    return out.astype(np.int64)


def _certified(expr: Expr, row: Floats, rounding: Callable[[Fraction], int]) -> int:
    ends = (0, 1)
    for precision in _PRECISIONS:
        x = _mp_interval(expr, row, precision)
        ends = (rounding(_as_fraction(x.a)), rounding(_as_fraction(x.b)))
        if ends[0] == ends[1]:
            return ends[0]
    # Agreement to 1280 bits with a rounding boundary: the value is the boundary itself.
    return rounding(_as_fraction(_mp_interval(expr, row, _PRECISIONS[-1]).mid))


def _as_fraction(x: Any) -> Fraction:
    mantissa, exponent = mpmath.mpf(x).man_exp
    sign = -1 if x < 0 else 1
    return sign * Fraction(int(abs(mantissa))) * Fraction(2) ** int(exponent)


def _mapped(expr: Expr, one: Callable[[Floats], Any]) -> npt.NDArray[np.object_]:
    """Evaluate once per distinct combination of leaf values."""
    leaves: list[Floats] = []
    _collect(expr, leaves)
    shape = expr.shape
    columns = [np.broadcast_to(x, shape).reshape(-1) for x in leaves]
    rows, inverse = np.unique(np.stack(columns, 1), axis=0, return_inverse=True)
    values = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        values[i] = one(row)
    return values[inverse.reshape(-1)].reshape(shape)


def _collect(expr: Expr, out: list[Floats]) -> None:
    if expr.value is not None:
        out.append(expr.value.data)
    for arg in expr.args:
        _collect(arg, out)


#: Numerator and positive denominator that may have common factors: many times faster than
#: Fraction, which removes them after every operation.
_Ratio = tuple[int, int]


def _exact(expr: Expr, leaves: Floats) -> _Ratio:
    queue = iter(leaves.tolist())

    def visit(e: Expr) -> _Ratio:
        if e.value is not None:
            leaf: float = next(queue)
            return leaf.as_integer_ratio()
        args = [visit(a) for a in e.args]
        if (plain := _ratio(e.fn, args)) is not None:
            return plain
        found = _fraction(e.fn, [Fraction(*x) for x in args])
        return found.numerator, found.denominator

    return visit(expr)


def _ratio(fn: str, x: list[_Ratio]) -> _Ratio | None:
    """The commonest of ``_arithmetic``; None for anything else."""
    match fn, x:
        case "add", [(a, b), (c, d)]:
            return a * d + c * b, b * d
        case "sub", [(a, b), (c, d)]:
            return a * d - c * b, b * d
        case "mul", [(a, b), (c, d)]:
            return a * c, b * d
        case "div", [(a, b), (c, d)] if c:
            return (a * d, b * c) if c > 0 else (-a * d, -b * c)
        case "neg", [(a, b)]:
            return -a, b
    return None


def _arithmetic(fn: str, x: Sequence[Any]) -> Any:
    """What fractions, intervals and expressions compute alike; None for anything else."""
    match fn:
        case "add":
            return x[0] + x[1]
        case "sub":
            return x[0] - x[1]
        case "mul":
            return x[0] * x[1]
        case "div":
            return x[0] / x[1]
        case "neg":
            return -x[0]
        case "reciprocal":
            return 1 / x[0]
        case "square":
            return x[0] ** 2
        case "abs":
            return abs(x[0])
    return None


def _fraction(fn: str, x: list[Fraction]) -> Fraction:
    if (plain := _arithmetic(fn, x)) is not None:
        return Fraction(plain)
    zero_at = {"exp": 1, "expm1": 0, "tanh": 0, "sin": 0, "cos": 1, "log1p": 0, "erf": 0}
    match fn:
        case "relu":
            return max(x[0], Fraction(0))
        case "maximum":
            return max(x)
        case "minimum":
            return min(x)
        case "floor":
            return Fraction(math.floor(x[0]))
        case "ceil":
            return Fraction(math.ceil(x[0]))
        case "round":
            return Fraction(round(x[0]))
        case "trunc":
            return Fraction(math.trunc(x[0]))
        case "wrap" if x[1] > 0:
            return x[0] - 2 * x[1] * math.ceil((x[0] - x[1]) / (2 * x[1]))
        case "where":
            return x[1] if x[0] != 0 else x[2]
        case "ge" | "gt" | "le" | "lt" | "eq" | "ne":
            return Fraction(getattr(operator, fn)(x[0], x[1]))
        case "and" | "or" | "not":
            true = [v != 0 for v in x]
            return Fraction(not true[0] if fn == "not" else all(true) if fn == "and" else any(true))
        case "pow" if x[1].denominator == 1 and abs(x[1]) <= 64:
            return x[0] ** int(x[1])
        case "sqrt" if x[0] >= 0:
            root = Fraction(math.isqrt(x[0].numerator), math.isqrt(x[0].denominator))
            if root * root == x[0]:
                return root
        case "sigmoid" if x[0] == 0:
            return Fraction(1, 2)
        case "log" if x[0] == 1:
            return Fraction(0)
    if fn in zero_at and x[0] == 0:
        return Fraction(zero_at[fn])
    raise NotRationalError(fn)


def _mp_interval(expr: Expr, row: Floats, precision: int) -> Any:
    """An mpmath interval that contains the value."""
    iv = mpmath.iv
    old, iv.prec = iv.prec, precision
    try:
        queue = iter(row)

        def visit(e: Expr) -> Any:
            if e.value is not None:
                return iv.mpf(float(next(queue)))
            return _mp_apply(iv, e.fn, [visit(a) for a in e.args])

        return visit(expr)
    finally:
        iv.prec = old


def _mp_apply(iv: Any, fn: str, x: list[Any]) -> Any:
    if (plain := _arithmetic(fn, x)) is not None:
        return plain
    match fn:
        case "exp" | "log" | "sqrt" | "sin" | "cos":
            return getattr(iv, fn)(x[0])
        case "expm1":
            return iv.exp(x[0]) - 1
        case "log1p":
            return iv.log(1 + x[0])
        case "sigmoid":
            return 1 / (1 + iv.exp(-x[0]))
        case "softplus":
            return iv.log(1 + iv.exp(x[0]))
        case "tanh":
            e = iv.exp(-2 * x[0])
            return (1 - e) / (1 + e)
        case "pow":
            return iv.exp(x[1] * iv.log(x[0]))
        case "erf":
            return _mp_erf(iv, x[0])
        case "maximum" | "minimum":
            pick = max if fn == "maximum" else min
            return iv.mpf([pick(x[0].a, x[1].a), pick(x[0].b, x[1].b)])
        case "relu":
            return iv.mpf([max(x[0].a, 0), max(x[0].b, 0)])
        case "where" if x[0].a > 0 or x[0].b < 0 or x[0].a == x[0].b == 0:
            return x[2] if x[0].b == 0 else x[1]
        case "ge" | "gt" | "le" | "lt" if x[0].a > x[1].b or x[0].b < x[1].a:
            return iv.mpf(int((x[0].a > x[1].b) == (fn in ("ge", "gt"))))
    raise ConstantError(f"{fn!r} of an irrational constant cannot be decided")


def _mp_erf(iv: Any, x: Any) -> Any:
    """``2/sqrt(pi) * sum of (-1)**n x**(2n+1) / (n! (2n+1))``; the rest is below the last term."""
    reach = max(abs(mpmath.mpf(x.a)), abs(mpmath.mpf(x.b)))
    if reach > 8:
        raise ConstantError("'erf' of a constant beyond 8 cannot be decided")
    term, total, n = x, x, 0
    while True:
        n += 1
        term = -term * x * x / n
        total = total + term / (2 * n + 1)
        size = mpmath.mpf(abs(term).b)
        # from n > x**2 on terms shrink, so that what is left of the sum is below the last one
        if n > reach * reach + 1 and size < mpmath.mpf(2) ** (-iv.prec):
            rest = iv.mpf([-size, size])
            return (total + rest) * 2 / iv.sqrt(iv.pi)
