"""Two lines of a kernel at once: the same integers in fewer passes over memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from snnc.backends.numpy.arithmetic import FLAG, INT32, Reach, word
from snnc.backends.numpy.program import Array, Record

#: What computes a value, and of which arguments.
Call = tuple[Callable[..., Array], list[str]]


def decay(outer: Record, inner: Record, ranges: Mapping[str, Reach]) -> Call | None:
    """``rsh(a * b, shift, "half_away")`` in float64, for ``|a * b| < 2**44``.

    ``a * b / 2**shift`` is a multiple of ``2**-shift``.  It is multiplied by ``1 + 2**-45``, so
    that it moves away from zero, by less than half of ``2**-shift``: halves are no longer halfway
    and are rounded away from zero, and no other number comes to a half.  The two products are exact
    but for ``2**-53`` of themselves, which is too little to change either.
    """
    if (outer["fn"], outer["rounding"], inner["fn"]) != ("rsh", "half_away", "mul"):
        return None
    product, reach, shift = ranges[inner["name"]], ranges[outer["name"]], outer["shift"]
    if not shift or product is None or max(-product[0], product[1]) >= 1 << 44:
        return None
    if any(word(r) != INT32 for r in (reach, *(ranges[a] for a in inner["args"]))):
        return None
    factor = 2.0**-shift * (1 + 2.0**-45)

    def compute(a: Array, b: Array) -> Array:
        few, many = (a, b) if a.ndim < b.ndim else (b, a)
        y = np.rint(many.astype(np.float64) * (few * factor))
        return np.asarray(y.astype(np.int32))

    return compute, inner["args"]


def reset(outer: Record, inner: Record, ranges: Mapping[str, Reach]) -> Call | None:
    """``select(s, x + d, x)``, which is ``x + s * d``."""
    if (outer["fn"], inner["fn"]) != ("select", "add") or outer["args"][1] != inner["name"]:
        return None
    condition, _, x = outer["args"]
    if x not in inner["args"]:
        return None
    d = inner["args"][inner["args"][0] == x]
    if any(word(ranges[name]) != INT32 for name in (x, d, inner["name"])):
        return None

    def compute(s: Array, x: Array, d: Array) -> Array:
        flags = s if s.dtype == FLAG else np.not_equal(s, 0)
        y = np.multiply(flags, d, dtype=np.int32)
        return np.asarray(np.add(y, x, dtype=np.int32))

    return compute, [condition, x, d]


#: What may be made of a line and of one that nothing else reads.
PAIRS: tuple[Callable[[Record, Record, Mapping[str, Reach]], Call | None], ...] = (decay, reset)


def fused(outer: Record, inner: Record, ranges: Mapping[str, Reach]) -> Call | None:
    """Both lines in one call, if that is the same.

    Args:
        outer: The line.
        inner: One of its operands, which nothing else reads.
        ranges: What is proven of all values.
    """
    found = (pair(outer, inner, ranges) for pair in PAIRS)
    return next((call for call in found if call is not None), None)
