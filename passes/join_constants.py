"""Joins with constants: padding, tokens and channels that are always the same.

A constant part becomes zeros around the part next to it; where it is not zero it is added behind
the join, in a finer unit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from snnc import intops, ops
from snnc.diagnostics import error
from snnc.exact import Expr, floats, leaf, nearest, rearranged
from snnc.graph import Node, Value
from snnc.params import Param, compact
from snnc.passes.quantize_network import is_constant, offset_bits
from snnc.passes.quantized_value import Floats, Lowered, QValue


def zeros_for_constants(low: Lowered, node: Node, x: list[QValue]) -> tuple[list[QValue], Expr]:
    """The operands that are no constants, with zeros in the places of the others; and those."""
    op = node.op
    assert isinstance(op, ops.Concat), "called for joins only"
    axis, rank = op.axis, len(node.type.shape)
    sides: list[list[int]] = []
    total, lead, start = leaf(0.0), 0, 0
    for edge in low.real.in_edges(node.name):
        shape = low.real[edge.src].types[edge.out].shape
        if is_constant(low.real, edge.src):
            ends = [(0, 0)] * rank
            ends[axis] = start, node.type.shape[axis] - start - shape[axis]
            total = total + rearranged(low.constant(edge.src), shape, _pad(ends, "constant"))
            if sides:
                sides[-1][1] += shape[axis]
            else:
                lead += shape[axis]
        else:
            sides.append([lead, 0])
            lead = 0
        start += shape[axis]
    return [_padded(low, node, axis, *part) for part in zip(x, sides, strict=True)], total


def _padded(low: Lowered, node: Node, axis: int, v: QValue, ends: list[int]) -> QValue:
    if not any(ends):
        return v
    shape = low.out.type_of(v.value).shape
    before, after = (tuple(n if a == axis else 0 for a in range(len(shape))) for n in ends)
    name = low.out.fresh(f"{node.name}.pad")
    low.out.add(name, intops.IntPad(before, after), v.value, loc=node.loc)
    around = list(zip(before, after, strict=True))
    return QValue(Value(name), rearranged(v.unit, shape, _pad(around, "edge")), v.per_step)


def _pad(sides: list[tuple[int, int]], mode: str) -> Callable[[Floats], Floats]:
    return lambda x: np.pad(x, sides, mode=mode)  # type: ignore[call-overload]


def add_constants(low: Lowered, node: Node, v: QValue, constants: Expr) -> None:
    """Give ``node`` the joined value ``v`` plus its constant parts."""
    if v.per_step:
        text = f"{node.name} joins a mean over time and a constant"
        low.problems.append(error("E224", text, node.loc, help="sum over time instead"))
        return
    finer = offset_bits(constants / v.unit)
    unit = v.unit / leaf(float(1 << finer))
    bias = Param(compact(nearest(constants / unit)))
    factor = Param(compact(np.array(1 << finer)))
    low.add(node, intops.IntRescale(factor, 0, "half_away", bias), v)
    low.values[node.name, 0] = QValue(Value(node.name), unit)


def any_constant(values: Expr) -> bool:
    """Whether a constant part is not zero."""
    return bool(floats(values).any())
