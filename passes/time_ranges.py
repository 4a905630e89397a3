"""Exact intervals of what lies between the clocks and of what changes from step to step."""

from __future__ import annotations

import numpy as np

from snnc.graph import Node
from snnc.int_sequence_ops import IntHold, IntReplay, IntTimeFlip, IntTimeMix
from snnc.int_time_ops import (
    IntCollect,
    IntRepeat,
    IntStepRescale,
    IntStepTable,
    IntTimeLast,
    IntTimeMax,
    IntTimeMean,
    IntTimeStack,
    IntTimeSum,
)
from snnc.interval import Interval, guard
from snnc.passes.range_rule import RangeRule


def same(node: Node, x: list[Interval], steps: int) -> Interval:
    """The operand itself."""
    return x[0]


def kept(node: Node, x: list[Interval], steps: int) -> Interval:
    """One of the steps' values, or 0 before the first step."""
    return x[0].join(Interval.of(0, 0).broadcast(node.type.shape))


def time_sum(node: Node, x: list[Interval], steps: int) -> Interval:
    """Up to ``steps`` summands, also none."""
    op = node.op
    assert isinstance(op, IntCollect), "dispatched by type"
    count = max(0, steps - op.start)
    total = x[0] * Interval.of(count, count)
    return total.join(Interval.of(0, 0).broadcast(node.type.shape))


def mean(node: Node, x: list[Interval], steps: int) -> Interval:
    """Between the smallest and the largest summand, or 0; the shifted sum fits, too."""
    op = node.op
    assert isinstance(op, IntTimeMean), "dispatched by type"
    total = time_sum(node, x, steps).shl(op.shift)
    guard(total.lo.astype(float) - steps, total.hi.astype(float) + steps)  # half of n is added
    return kept(node, x, steps).shl(op.shift)


def table(node: Node, x: list[Interval], steps: int) -> Interval:
    """From the smallest to the largest value of the steps."""
    op = node.op
    assert isinstance(op, IntStepTable), "dispatched by type"
    return Interval.of(op.values.data.min(0), op.values.data.max(0))


def step_rescale(node: Node, x: list[Interval], steps: int) -> Interval:
    """The union of what every step gives."""
    op = node.op
    assert isinstance(op, IntStepRescale), "dispatched by type"
    total: Interval | None = None
    for t, factor in enumerate(op.multiplier.data.astype(np.int64)):
        y = (x[0] * Interval.of(factor, factor)).rsh(op.shift, op.rounding)
        if op.bias is not None:
            y = y + Interval.of(op.bias.data[t], op.bias.data[t])
        y = y.broadcast(node.type.shape)
        total = y if total is None else total.join(y)
    assert total is not None, "there is a step"
    return total


def mix(node: Node, x: list[Interval], steps: int) -> Interval:
    """The union of all rows; every step's value may be any of the operand's."""
    op = node.op
    assert isinstance(op, IntTimeMix), "dispatched by type"
    w = op.weight.data.astype(np.int64)
    rows = np.maximum(w, 0).sum(1), np.minimum(w, 0).sum(1)
    partial = x[0].join(Interval.of(0, 0).broadcast(node.type.shape))
    total: Interval | None = None
    for plus, minus in zip(*rows, strict=True):
        y, _ = (
            v * Interval.of(plus, plus) + v * Interval.of(minus, minus) for v in (x[0], partial)
        )
        total = y if total is None else total.join(y)
    assert total is not None, "there is a row"
    return total


#: The rules.
TIME_RANGES: dict[type, RangeRule] = {
    IntRepeat: same,
    IntTimeSum: time_sum,
    IntTimeMean: mean,
    IntTimeLast: kept,
    IntTimeMax: kept,
    IntTimeStack: same,
    IntStepTable: table,
    IntStepRescale: step_rescale,
    IntHold: same,
    IntReplay: same,
    IntTimeFlip: same,
    IntTimeMix: mix,
}
