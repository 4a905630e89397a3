"""Exact intervals of what reduces axes, and of rows of tables."""

from __future__ import annotations

from math import prod

import numpy as np

from snnc.graph import Node
from snnc.interval import Interval, Ints, guard
from snnc.intops import IntArgMax, IntEmbedding, IntReduce, IntTopK
from snnc.passes.range_rule import RangeRule


def reduce(node: Node, x: list[Interval], steps: int) -> Interval:
    """Interval of a sum, maximum, minimum or product; every partial result fits 63 bits, too."""
    op = node.op
    assert isinstance(op, IntReduce), "dispatched by type"
    lo, hi = (_last(v, op.axes) for v in (x[0].lo, x[0].hi))
    size = np.maximum(np.abs(lo.astype(np.float64)), np.abs(hi.astype(np.float64)))
    match op.fn:
        case "sum":
            guard(size.sum(-1))
            found = Interval(lo.sum(-1), hi.sum(-1))
        case "max":
            found = Interval(lo.max(-1), hi.max(-1))
        case "min":
            found = Interval(lo.min(-1), hi.min(-1))
        case _:
            with np.errstate(over="ignore"):  # infinity is too large as well
                guard(np.maximum(size, 1).prod(-1))
            found = Interval(lo[..., 0], hi[..., 0])
            for i in range(1, lo.shape[-1]):
                found = found * Interval(lo[..., i], hi[..., i])
    return found.reshape(node.type.shape)


def _last(x: Ints, axes: tuple[int, ...]) -> Ints:
    """The axes as one, behind all others."""
    kept = [a for a in range(x.ndim) if a not in axes]
    moved = x.transpose(*kept, *axes)
    return moved.reshape(*moved.shape[: len(kept)], prod(x.shape[a] for a in axes))


def argmax(node: Node, x: list[Interval], steps: int) -> Interval:
    """Positions whose upper end reaches the largest lower end."""
    op = node.op
    assert isinstance(op, IntArgMax), "dispatched by type"
    can = x[0].hi >= x[0].lo.max(op.axis, keepdims=True)
    count = can.shape[op.axis]
    return Interval.of(can.argmax(op.axis), count - 1 - np.flip(can, op.axis).argmax(op.axis))


def top_k(node: Node, x: list[Interval], steps: int) -> Interval:
    """The i-th largest lies between the i-th largest of the lower and of the upper ends."""
    op = node.op
    assert isinstance(op, IntTopK), "dispatched by type"
    if op.positions:
        return Interval.of(0, x[0].lo.shape[op.axis] - 1).broadcast(node.type.shape)
    first = np.arange(op.k)
    lo, hi = (-np.sort(-v, op.axis).take(first, op.axis) for v in (x[0].lo, x[0].hi))
    return Interval(lo, hi)


def embedding(node: Node, x: list[Interval], steps: int) -> Interval:
    """Of every feature, the smallest and largest entry in the rows that can be read."""
    op = node.op
    assert isinstance(op, IntEmbedding), "dispatched by type"
    table = op.weight.data.astype(np.int64)
    ends = np.stack([x[0].lo.reshape(-1), x[0].hi.reshape(-1)], 1)
    ends = np.clip(ends, 0, len(table) - 1)  # the operator's own rule refuses other numbers
    pairs, which = np.unique(ends, axis=0, return_inverse=True)
    lo = np.stack([table[a : b + 1].min(0) for a, b in pairs])
    hi = np.stack([table[a : b + 1].max(0) for a, b in pairs])
    which = which.reshape(-1)
    return Interval(lo[which], hi[which]).reshape(node.type.shape)


#: The rules.
REDUCTION_RANGES: dict[type, RangeRule] = {
    IntReduce: reduce,
    IntArgMax: argmax,
    IntTopK: top_k,
    IntEmbedding: embedding,
}
