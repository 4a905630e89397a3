"""Bounds of accumulators while events arrive in any order.

The proven range of a node holds for the finished sum.  An event-driven target also stores every
partial sum, so a row needs ``[sum of what lowers it, sum of what raises it]``, with silent
inputs contributing nothing.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from snnc.backends.c.words import Bounds, hull, product
from snnc.intops import IntConv, IntConvTranspose, IntDelayLinear, IntLinear, IntSumPool
from snnc.params import Param

#: Weights that are looked at together: they fit a cache.
_BLOCK = 1 << 18

SummingOp = IntLinear | IntDelayLinear | IntConv | IntConvTranspose | IntSumPool


def matmul_bounds(a: Bounds, b: Bounds, terms: int) -> Bounds:
    """Interval of all partial sums of so many products."""
    lo, hi = hull(product(a, b), (0, 0))
    return terms * lo, terms * hi


def raw_bounds(op: SummingOp, x: Bounds) -> Bounds:
    """Interval of all partial sums of ``weight * x``, before shift and bias."""
    lo, hi = hull(x, (0, 0))
    if isinstance(op, IntSumPool):
        count = math.prod(op.kernel)
        return count * lo, count * hi
    rows = signed_sums(op.weight)
    return min(p * lo + m * hi for p, m in rows), max(p * hi + m * lo for p, m in rows)


@lru_cache(maxsize=8)
def signed_sums(weight: Param) -> tuple[tuple[int, int], ...]:
    """For every row, the sum of its positive and that of its negative weights.

    Kept for the layers of late; whoever is done with a network clears them.
    """
    w = weight.data.reshape(weight.shape[0], -1)
    # Weights have at most 32 bits and rows fewer than 2**31 elements: no overflow.
    each = max(1, _BLOCK // max(1, w.shape[1]))
    rows: list[tuple[int, int]] = []
    for start in range(0, len(w), each):
        block = w[start : start + each]
        plus = np.maximum(block, 0).sum(1, dtype=np.int64).tolist()
        rows += zip(plus, np.minimum(block, 0).sum(1, dtype=np.int64).tolist(), strict=True)
    return tuple(rows)


def sum_bounds(op: SummingOp, x: Bounds) -> Bounds:
    """Interval of all that an accumulator holds: one input, partial, shifted and biased sums."""
    raw = raw_bounds(op, x)
    if isinstance(op, IntSumPool):
        return hull(x, raw)
    shifted = raw[0] << op.shift, raw[1] << op.shift
    bias = (0, 0)
    if op.bias is not None:
        bias = hull((0, 0), (int(op.bias.data.min()), int(op.bias.data.max())))
    return hull(x, raw, shifted, (shifted[0] + bias[0], shifted[1] + bias[1]))
