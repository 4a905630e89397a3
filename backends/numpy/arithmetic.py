"""The functions of integer kernels: what every other backend is compared with.

They are those of int64.  Where all numbers are proven to fit, int32 gives the same in less time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
INT32, INT64, FLAG = np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.bool_)
#: The least and the largest that a value can be, or None if nothing is proven.
Reach = tuple[int, int] | None


def rsh(x: Array, shift: int, rounding: str) -> Array:
    """Divide by ``2**shift`` and round (scalar definition: ``snnc.rounding``)."""
    if shift == 0:
        return x
    half = 1 << (shift - 1)
    if rounding == "half_away":  # of a negative x, the half is rounded down: one less
        y = np.asarray(x >> 63)
        y += x
        y += half
        y >>= shift
        return y
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


def whole(x: Array) -> npt.NDArray[np.int64]:
    """Integers that are kept in a smaller type, or as flags, as int64."""
    return x.astype(np.int64, copy=False)


def word(reach: Reach) -> np.dtype[Any]:
    """int32 if it holds what is proven, else int64."""
    return INT32 if reach and -(1 << 31) <= reach[0] <= reach[1] < 1 << 31 else INT64


def kept(x: Array, kind: np.dtype[Any]) -> Array:
    """Numbers in this type; flags stay what they are."""
    return x if x.dtype == kind or x.dtype == FLAG else x.astype(kind)


def select(condition: Array, a: Array, b: Array) -> Array:
    """``a`` where the condition is not 0, else ``b``, in a time that no condition changes.

    Flags choose between numbers by ``b + flag * (a - b)``, modulo ``2**32`` or ``2**64``.
    """
    if condition.dtype != FLAG:
        condition = np.not_equal(condition, 0)
    if a.dtype == b.dtype == FLAG:
        return np.where(condition, a, b)
    y = np.asarray(np.subtract(a, b))
    if condition.shape != y.shape != np.broadcast_shapes(condition.shape, y.shape):
        return np.where(condition, a, b)
    y *= condition
    y += b
    return y


#: Predicates, which give flags.
PREDICATES: dict[str, Callable[..., Any]] = {
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "lt": np.less,
    "eq": np.equal,
    "ne": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
}
#: Functions that do no arithmetic: they take flags as they are.
CHOICES: dict[str, Callable[..., Any]] = {
    "select": select,
    "copy": lambda a: a,
}


def _number(predicate: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: np.asarray(predicate(*args)).astype(np.int64)


#: The functions of integer kernels; predicates give 0 or 1.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "neg": np.negative,
    "maximum": np.maximum,
    "minimum": np.minimum,
    **{name: _number(f) for name, f in PREDICATES.items()},
    **CHOICES,
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


#: Functions that make no number on the way to their result.
DIRECT = frozenset({"add", "sub", "mul", "neg", "maximum", "minimum", "shl"})


def function(line: dict[str, Any], operands: Sequence[Reach] = (None,)) -> Callable[..., Any]:
    """The function of one line of a kernel: its value comes in the word of its proven range.

    Args:
        line: Of a stored kernel.
        operands: Proven ranges of the operands; they come in any type.
    """
    fn: str = line["fn"]
    if plain := PREDICATES.get(fn) or CHOICES.get(fn):
        return plain
    reach = None if line.get("lo") is None else (line["lo"], line["hi"])
    outer, inner = word(reach), word(None)
    if fn in DIRECT and all(word(r) == INT32 for r in (*operands, reach)):
        inner = INT32
    if fn == "rsh" and (found := operands[0]):
        half = 1 << line["shift"] >> 1  # what is added first
        inner = word((found[0] - half, found[1] + half))
    if shift := SHIFTS.get(fn):
        count, rounding = line["shift"], line["rounding"]
        return lambda x: kept(shift(x.astype(inner, copy=False), count, rounding), outer)
    other = FUNCTIONS[fn]

    def compute(*args: Array) -> Array:
        numbers = [x if x.dtype == inner else x.astype(inner) for x in args]
        return kept(other(*numbers), outer)

    return compute
