"""Exact intervals of products of computed matrices, and of softmax."""

from __future__ import annotations

import numpy as np

from snnc.graph import Node
from snnc.int_attention_ops import IntMatmul, IntSoftmax
from snnc.interval import Interval, Ints, guard
from snnc.passes.range_rule import RangeRule


def matmul(node: Node, x: list[Interval], steps: int) -> Interval:
    """Sum of the intervals of the products."""
    op = node.op
    assert isinstance(op, IntMatmul), "dispatched by type"
    a, b = x
    sizes = [max(abs(end) for end in v.bounds) for v in x]
    guard(float(sizes[0] * sizes[1] * a.lo.shape[-1]))  # so that no partial sum needs a wider word
    return _product(a, b).rsh(op.shift, op.rounding)


def _product(a: Interval, b: Interval) -> Interval:
    if (a.lo >= 0).all():
        return _of_positive(a, b)
    if (b.lo >= 0).all():
        y = _of_positive(_transposed(b), _transposed(a))
        return _transposed(y)
    total = Interval.of(0, 0)
    for k in range(a.lo.shape[-1]):
        column = Interval(a.lo[..., :, k, None], a.hi[..., :, k, None])
        total = total + column * Interval(b.lo[..., None, k, :], b.hi[..., None, k, :])
    return total


def _of_positive(a: Interval, b: Interval) -> Interval:
    """The product with an ``a`` that is never negative."""
    low = _exact(a.lo, np.maximum(b.lo, 0)) + _exact(a.hi, np.minimum(b.lo, 0))
    high = _exact(a.hi, np.maximum(b.hi, 0)) + _exact(a.lo, np.minimum(b.hi, 0))
    return Interval(low, high)


def _exact(a: Ints, b: Ints) -> Ints:
    """``a @ b``, in float64 where that is exact."""
    peaks = float(np.abs(a).max(initial=0)) * float(np.abs(b).max(initial=0))
    if peaks * a.shape[-1] < float(1 << 53):
        return np.asarray((a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64))
    return np.asarray(a @ b)


def _transposed(x: Interval) -> Interval:
    return Interval(x.lo.swapaxes(-1, -2), x.hi.swapaxes(-1, -2))


def softmax(node: Node, x: list[Interval], steps: int) -> Interval:
    """From 0 to all of the row, which one element alone reaches; 0 where the mask is 0."""
    op = node.op
    assert isinstance(op, IntSoftmax), "dispatched by type"
    guard(x[0].hi.astype(float) - x[0].lo.astype(float))
    high: Ints = np.full(node.type.shape, 1 << op.out_bits)
    if op.mask is not None:
        high = high * op.mask.data.astype(np.int64)
    return Interval(np.zeros_like(high), high)


#: The rules.
ATTENTION_RANGES: dict[type, RangeRule] = {IntMatmul: matmul, IntSoftmax: softmax}
