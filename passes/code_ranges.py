"""Exact intervals of codes."""

from __future__ import annotations

import numpy as np

from snnc.graph import Node
from snnc.int_code_ops import IntRateCode
from snnc.interval import Interval, guard
from snnc.passes.range_rule import RangeRule


def rate_code(node: Node, x: list[Interval], steps: int) -> Interval:
    """A flag; certain where the limit is never above 0 or always above every hash."""
    op = node.op
    assert isinstance(op, IntRateCode), "dispatched by type"
    guard(*(b.astype(float) * op.multiplier for b in (x[0].lo, x[0].hi)))
    lowest, highest = ((b * op.multiplier) >> op.shift for b in (x[0].lo, x[0].hi))
    certain = np.asarray(lowest >= 1 << 32, np.int64)
    possible = np.asarray(highest > 0, np.int64)
    return Interval(certain, possible).broadcast(node.type.shape)


#: The rules.
CODE_RANGES: dict[type, RangeRule] = {IntRateCode: rate_code}
