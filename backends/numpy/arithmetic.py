"""The functions of integer kernels on int64 arrays: what every other backend is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def rsh(x: Array, shift: int, rounding: str) -> Array:
    """Divide by ``2**shift`` and round (scalar definition: ``snnc.rounding``)."""
    if shift == 0:
        return x
    half = 1 << (shift - 1)
    if rounding == "half_away":  # of a negative x, the half is rounded down: one less
        return np.asarray((x + (x >> 63) + half) >> shift)
    if rounding == "trunc":
        return np.where(x >= 0, x >> shift, -((-x) >> shift))
    if rounding == "floor":
        return x >> shift
    if rounding == "half_up":
        return (x + half) >> shift
    if rounding == "half_even":
        q = x >> shift
        r = x - (q << shift)
        return np.asarray(q + ((r > half) | ((r == half) & (q & 1 == 1))))
    raise ValueError(f"unknown rounding {rounding!r}")


def rdiv(x: Array, d: Array) -> Array:
    """``x / d`` rounded half away from zero (scalar definition: ``snnc.rounding``)."""
    size = np.abs(d)
    quotient = (np.abs(x) + size // 2) // size
    return np.asarray(np.where((x < 0) == (d < 0), quotient, -quotient))


def isqrt(x: Array) -> Array:
    """``floor(sqrt(x))`` of integers from 0 to ``2**62``, exactly."""
    root = np.sqrt(x.astype(np.float64)).astype(np.int64)  # off by one at most
    root = root - (root * root > x)
    return np.asarray(root + ((root + 1) * (root + 1) <= x))


#: The functions of integer kernels; predicates give 0 or 1.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "neg": np.negative,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "ge": lambda a, b: (a >= b).astype(np.int64),
    "gt": lambda a, b: (a > b).astype(np.int64),
    "le": lambda a, b: (a <= b).astype(np.int64),
    "lt": lambda a, b: (a < b).astype(np.int64),
    "eq": lambda a, b: (a == b).astype(np.int64),
    "ne": lambda a, b: (a != b).astype(np.int64),
    "and": lambda a, b: ((a != 0) & (b != 0)).astype(np.int64),
    "or": lambda a, b: ((a != 0) | (b != 0)).astype(np.int64),
    "not": lambda a: (a == 0).astype(np.int64),
    "select": lambda c, a, b: np.where(c != 0, a, b),
    "copy": lambda a: a,
    "div": rdiv,
    "isqrt": isqrt,
    "lookup": lambda i, table: table[i],
}
#: Those with a number of bits; a word of ``n`` bits ends at ``+2**(n-1)`` (``snnc.rounding.wrap``).
SHIFTS: dict[str, Callable[[Array, int, str], Array]] = {
    "rsh": rsh,
    "shl": lambda x, n, _: x << n,
    "wrap": lambda x, n, _: (1 << n - 1) - (((1 << n - 1) - x) & ((1 << n) - 1)),
}


def evaluate(line: dict[str, Any], args: list[Array]) -> Array:
    """The value of one line of a kernel."""
    if shift := SHIFTS.get(line["fn"]):
        return shift(args[0], line["shift"], line["rounding"])
    return np.asarray(FUNCTIONS[line["fn"]](*args))
