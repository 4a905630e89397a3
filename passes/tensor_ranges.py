"""Exact intervals of what rescales, adds or rearranges."""

from __future__ import annotations

import numpy as np

from snnc.graph import Node
from snnc.interval import Interval
from snnc.intops import (
    IntConcat,
    IntExpand,
    IntInput,
    IntOutput,
    IntPad,
    IntRescale,
    IntReshape,
    IntSlice,
    IntSum,
    IntTake,
    IntTranspose,
    IntUpsample,
)
from snnc.passes.moves import moved
from snnc.passes.range_rule import RangeRule


def source(node: Node, x: list[Interval], steps: int) -> Interval:
    """What an input may hold; every backend checks it."""
    op = node.op
    assert isinstance(op, IntInput), "dispatched by type"
    return Interval.of(op.lo, op.hi).broadcast(op.shape)


def rearranged(node: Node, x: list[Interval], steps: int) -> Interval:
    """The same intervals in other places."""
    return Interval(moved(node.op, x[0].lo), moved(node.op, x[0].hi))


def concat(node: Node, x: list[Interval], steps: int) -> Interval:
    """The intervals one after the other."""
    op = node.op
    assert isinstance(op, IntConcat), "dispatched by type"
    ends = ([v.lo for v in x], [v.hi for v in x])
    return Interval(*(np.concatenate(end, op.axis) for end in ends))


def pad(node: Node, x: list[Interval], steps: int) -> Interval:
    """The intervals, and zeros around them."""
    op = node.op
    assert isinstance(op, IntPad), "dispatched by type"
    sides = list(zip(op.before, op.after, strict=True))
    return Interval(np.pad(x[0].lo, sides), np.pad(x[0].hi, sides))


def add(node: Node, x: list[Interval], steps: int) -> Interval:
    """Sum of the operands."""
    total = x[0]
    for other in x[1:]:
        total = total + other
    return total


def rescale(node: Node, x: list[Interval], steps: int) -> Interval:
    """The product, shifted and rounded, with its bias."""
    op = node.op
    assert isinstance(op, IntRescale), "dispatched by type"
    y = (x[0] * Interval.exactly(op.multiplier)).rsh(op.shift, op.rounding)
    total = y if op.bias is None else y + Interval.exactly(op.bias)
    return total.broadcast(node.type.shape)


def same(node: Node, x: list[Interval], steps: int) -> Interval:
    """The operand itself."""
    return x[0]


#: The rules.
TENSOR_RANGES: dict[type, RangeRule] = {
    IntInput: source,
    **dict.fromkeys(
        (IntReshape, IntTranspose, IntSlice, IntExpand, IntTake, IntUpsample), rearranged
    ),
    IntConcat: concat,
    IntPad: pad,
    IntSum: add,
    IntRescale: rescale,
    IntOutput: same,
}
