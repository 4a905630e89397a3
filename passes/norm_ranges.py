"""Intervals of normalizations: bounded whatever the operand is.

With ``W = q * 4**guard + (eps >> 2t)`` and ``R = isqrt(W)``, elements of zero mean satisfy
``e_i² <= (n - 1) q`` but for roundings, so ``e_i * 2**guard / R`` stays below ``sqrt(n - 1)`` and
a little; without the mean it is ``sqrt(n)``.  The bound falls with ``W``, which is least where the
largest element has all its bits, or, if small elements are not lifted to as many, without a shift,
where ``eps`` counts in full.
"""

from __future__ import annotations

from math import isqrt

import numpy as np

from snnc.graph import Node
from snnc.int_norm_ops import IntLayerNorm, IntRMSNorm
from snnc.interval import Interval, guard
from snnc.passes.range_rule import RangeRule


def normalized(node: Node, x: list[Interval], steps: int) -> Interval:
    """``|y - offset| <= |gain| * bound`` with the sign of the operand, where that is known."""
    op, shape = node.op, node.type.shape
    assert isinstance(op, IntLayerNorm | IntRMSNorm), "dispatched by type"
    lo, hi = (v.reshape(*shape[: len(shape) - op.axes], -1) for v in (x[0].lo, x[0].hi))
    count = lo.shape[-1]
    guard(np.maximum(np.abs(lo.astype(float)), np.abs(hi.astype(float))) * (2 * count))
    if isinstance(op, IntLayerNorm):
        lo, hi = (count * v - v - (w.sum(-1, keepdims=True) - w) for v, w in ((lo, hi), (hi, lo)))
    numerator, divisor = _bound(op, count)
    gain = np.broadcast_to(op.gain.data.reshape(-1), lo.shape).astype(np.int64)
    most = np.array([int(g) * numerator // divisor + 1 for g in np.abs(gain).reshape(-1)])
    most = most.reshape(lo.shape)
    zero = np.zeros_like(most)
    up, down = np.where(hi > 0, most, zero), np.where(lo < 0, -most, zero)
    low, high = np.where(gain < 0, -up, down), np.where(gain < 0, -down, up)
    y = Interval(low.reshape(shape), high.reshape(shape))
    return y if op.offset is None else y + Interval.exactly(op.offset)


def _bound(op: IntLayerNorm | IntRMSNorm, n: int) -> tuple[int, int]:
    """A fraction that no ``|e_i| * 2**guard / R`` exceeds.

    ``Q = sum of e²`` is at most ``n (q + 1/2)``.  If the sum of ``d`` is 0, rounding makes
    ``|e_i| <= sqrt((n - 1) / n * Q) + (sqrt(n) + 1) / 2``.
    """
    one = 1 << 2 * op.guard
    least = one * max(0, (4 ** (op.bits - 1) - n // 2) // n)
    if op.lift < op.bits - 1 or op.eps:
        least = min(least, op.eps)
    centered = op.centered
    reached = max(least, 3)  # up to there R is 1
    root = isqrt((n - 1 if centered else n) * (reached + one // 2 + 1)) + 1
    if centered:
        root += (isqrt(n) + 2) << op.guard
    return root, max(1, isqrt(least) - 1)


#: The rules.
NORM_RANGES: dict[type, RangeRule] = {IntLayerNorm: normalized, IntRMSNorm: normalized}
