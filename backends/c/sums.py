"""Bounds of accumulators while events arrive in any order.

The proven range of a node holds for the finished sum.  An event-driven target also stores every
partial sum, so a row needs ``[sum of what lowers it, sum of what raises it]``, with silent
inputs contributing nothing.
"""

from __future__ import annotations

import math

import numpy as np

from snnc.backends.c.words import Bounds, hull, product
from snnc.intops import IntConv, IntConvTranspose, IntDelayLinear, IntLinear, IntSumPool

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
    w = op.weight.data.reshape(op.weight.shape[0], -1)
    # Weights have at most 32 bits and rows fewer than 2**31 elements: no overflow.
    each = max(1, _BLOCK // max(1, w.shape[1]))
    blocks = [w[start : start + each] for start in range(0, len(w), each)]
    plus = [int(n) for b in blocks for n in np.maximum(b, 0).sum(1, dtype=np.int64)]
    minus = [int(n) for b in blocks for n in np.minimum(b, 0).sum(1, dtype=np.int64)]
    rows = list(zip(plus, minus, strict=True))
    return min(p * lo + m * hi for p, m in rows), max(p * hi + m * lo for p, m in rows)


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
