"""Intervals of integers, element by element, with exact bounds.

Bounds are int64 arrays.  Every operation first estimates its result in float64; an estimate
beyond 2**62 raises ``RangeOverflowError``, so that a bound never wraps silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.params import Param
from snnc.rounding import rsh

Ints = npt.NDArray[np.int64]
_LIMIT = float(1 << 62)


class RangeOverflowError(ArithmeticError):
    """A bound does not fit 63 bits."""


class ZeroDivisorError(RangeOverflowError):
    """A divisor may be zero."""


def guard(*estimates: Any) -> None:
    """Raise RangeOverflowError if a float estimate is too large for exact int64 arithmetic."""
    for estimate in estimates:
        if np.size(estimate) and float(np.max(np.abs(estimate))) >= _LIMIT:
            raise RangeOverflowError("a bound exceeds 62 bits")


@dataclass(frozen=True, slots=True)
class Interval:
    """``[lo, hi]`` for every element; empty where ``lo > hi`` (an infeasible branch).

    >>> x = Interval.of(-2, 3)
    >>> print(x * Interval.of(-4, 1), x + x, -x)
    [-12, 8] [-4, 6] [-3, 2]
    """

    lo: Ints
    hi: Ints

    @staticmethod
    def of(lo: Any, hi: Any) -> Interval:
        """From scalars or arrays."""
        return Interval(np.asarray(lo, np.int64), np.asarray(hi, np.int64))

    @staticmethod
    def exactly(param: Param) -> Interval:
        """The values of a constant."""
        return Interval.of(param.data, param.data)

    def __str__(self) -> str:
        return f"[{self.lo.min()}, {self.hi.max()}]"

    def __add__(self, other: Interval) -> Interval:
        guard(self.lo.astype(float) + other.lo, self.hi.astype(float) + other.hi)
        return Interval(self.lo + other.lo, self.hi + other.hi)

    def __neg__(self) -> Interval:
        return Interval(-self.hi, -self.lo)

    def __sub__(self, other: Interval) -> Interval:
        return self + -other

    def __mul__(self, other: Interval) -> Interval:
        pairs = [(a, b) for a in (self.lo, self.hi) for b in (other.lo, other.hi)]
        guard(*(a.astype(float) * b for a, b in pairs))
        corners = [a * b for a, b in pairs]
        return Interval(np.minimum.reduce(corners), np.maximum.reduce(corners))

    def squared(self) -> Interval:
        """The product of a value with itself.

        >>> print(Interval.of(-2, 3).squared(), Interval.of(-3, -2).squared())
        [0, 9] [4, 9]
        """
        size = self.size()
        return size * size

    def size(self) -> Interval:
        """The magnitude.

        >>> print(Interval.of(-2, 1).size(), Interval.of(-3, -2).size())
        [0, 2] [2, 3]
        """
        low, high = np.abs(self.lo), np.abs(self.hi)
        least = np.where((self.lo <= 0) & (self.hi >= 0), 0, np.minimum(low, high))
        return Interval(least, np.maximum(low, high))

    def shl(self, shift: int) -> Interval:
        """Multiply by ``2**shift``."""
        return self * Interval.of(1 << shift, 1 << shift)

    def rsh(self, shift: int, rounding: str) -> Interval:
        """Rounding right shift; every rounding is monotone."""
        if shift == 0:
            return self
        return Interval(_rsh(self.lo, shift, rounding), _rsh(self.hi, shift, rounding))

    def div(self, other: Interval) -> Interval:
        """Quotient, rounded half away from zero; monotone in both on each side of zero.

        Raises:
            ZeroDivisorError: If the divisor may be zero.
        """
        if ((other.lo <= 0) & (other.hi >= 0)).any():
            raise ZeroDivisorError("a divisor may be zero")
        corners = [_rdiv(a, b) for a in (self.lo, self.hi) for b in (other.lo, other.hi)]
        return Interval(np.minimum.reduce(corners), np.maximum.reduce(corners))

    def isqrt(self) -> Interval:
        """Integer root, which is monotone.

        Raises:
            RangeOverflowError: If a value may be negative.
        """
        some = self.lo <= self.hi
        if (some & (self.lo < 0)).any():
            raise RangeOverflowError("the root of a value that may be negative")
        root = np.vectorize(isqrt, otypes=[np.int64])
        return Interval(root(np.maximum(self.lo, 0)), root(np.maximum(self.hi, 0)))

    def lookup(self, table: Ints) -> Interval:
        """Elements of a table at these indices.

        Raises:
            RangeOverflowError: If an index may lie outside.
        """
        some = self.lo <= self.hi
        if (some & ((self.lo < 0) | (self.hi >= len(table)))).any():
            raise RangeOverflowError("an index may lie outside its table")
        first, last = (np.clip(x, 0, len(table) - 1) for x in (self.lo, self.hi))
        steps = np.diff(table)
        if (steps >= 0).all():
            return Interval(table[first], table[last])
        if (steps <= 0).all():
            return Interval(table[last], table[first])
        return Interval.of(table.min(), table.max()).broadcast(self.lo.shape)

    def wrap(self, bits: int) -> Interval:
        """In a word of ``bits``, from above ``-2**(bits-1)`` up to ``2**(bits-1)``."""
        half = 1 << (bits - 1)
        fits = (self.lo > -half) & (self.hi <= half)
        return Interval(np.where(fits, self.lo, 1 - half), np.where(fits, self.hi, half))

    def join(self, other: Interval) -> Interval:
        """Smallest interval with both; an empty one adds nothing."""
        lo = np.where(self.lo > self.hi, other.lo, np.minimum(self.lo, other.lo))
        hi = np.where(self.lo > self.hi, other.hi, np.maximum(self.hi, other.hi))
        lo = np.where(other.lo > other.hi, self.lo, lo)
        hi = np.where(other.lo > other.hi, self.hi, hi)
        return Interval(lo, hi)

    def meet(self, lo: Ints | None = None, hi: Ints | None = None) -> Interval:
        """The part at or above ``lo`` and at or below ``hi``."""
        low = self.lo if lo is None else np.maximum(self.lo, lo)
        high = self.hi if hi is None else np.minimum(self.hi, hi)
        low, high = np.broadcast_arrays(low, high)
        return Interval(low, high)

    def inside(self, other: Interval) -> npt.NDArray[np.bool_]:
        """Where this interval lies within the other."""
        return np.asarray((self.lo >= other.lo) & (self.hi <= other.hi))

    def reshape(self, shape: tuple[int, ...]) -> Interval:
        """Row-major reshape."""
        return Interval(self.lo.reshape(shape), self.hi.reshape(shape))

    def broadcast(self, shape: tuple[int, ...]) -> Interval:
        """Broadcast to ``shape``."""
        return Interval(np.broadcast_to(self.lo, shape), np.broadcast_to(self.hi, shape))

    @property
    def bounds(self) -> tuple[int, int]:
        """Over all elements."""
        return int(self.lo.min()), int(self.hi.max())


def _rdiv(x: Ints, d: Ints) -> Ints:
    size = (np.abs(x) + np.abs(d) // 2) // np.abs(d)
    return np.asarray(np.where((x < 0) == (d < 0), size, -size))


def _rsh(x: Ints, shift: int, rounding: str) -> Ints:
    half = 1 << (shift - 1)
    if rounding == "half_away":
        return np.where(x >= 0, (x + half) >> shift, -((half - x) >> shift))
    if rounding == "trunc":
        return np.where(x >= 0, x >> shift, -((-x) >> shift))
    if rounding == "floor":
        return x >> shift
    if rounding == "half_up":
        return (x + half) >> shift
    flat = np.array([rsh(int(v), shift, rounding) for v in x.reshape(-1)], np.int64)
    return flat.reshape(x.shape)
