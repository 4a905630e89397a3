"""What a function gives of exact numbers: as a ratio, a fraction, or an interval that holds it."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt


class NotRationalError(ArithmeticError):
    """The value has no exact fraction."""


class ConstantError(ArithmeticError):
    """The value of a constant cannot be bounded by intervals, e.g. the floor of an exponential."""


#: Numerator and positive denominator that may have common factors: many times faster than
#: Fraction, which removes them after every operation.
Ratio = tuple[int, int]
#: The same of many numbers: arrays of Python's integers.
Ratios = tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]


def ratio(fn: str, x: list[Ratio]) -> Ratio | None:
    """The commonest of ``arithmetic``; None for anything else."""
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


def ratios(fn: str, x: list[Ratios]) -> Ratios:
    """The same of many numbers; NotRationalError for anything else and where a divisor is 0."""
    if fn == "div":
        (a, b), (c, d) = x
        if not c.all():
            raise NotRationalError(fn)
        sign = np.where(c > 0, 1, -1).astype(object)
        return a * d * sign, b * c * sign
    found: Any = ratio(fn, x)  # type: ignore[arg-type]  # whose sums and products take arrays, too
    if found is None:
        raise NotRationalError(fn)
    above, below = found
    return above, below


def arithmetic(fn: str, x: Sequence[Any]) -> Any:
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


def fraction(fn: str, x: list[Fraction]) -> Fraction:
    """The function of exact numbers; NotRationalError if its value is no fraction."""
    if (plain := arithmetic(fn, x)) is not None:
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


def interval(iv: Any, fn: str, x: list[Any]) -> Any:
    """An interval that holds the function of intervals; ConstantError if there is none."""
    if (plain := arithmetic(fn, x)) is not None:
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
            return _erf(iv, x[0])
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


def _erf(iv: Any, x: Any) -> Any:
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
