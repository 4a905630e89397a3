"""What rearranges, selects or joins elements, in integers: units move with their elements."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from snnc import intops, ops
from snnc.diagnostics import error
from snnc.exact import Expr, apply, floats, leaf, rearranged
from snnc.graph import Node, Value
from snnc.passes.join_constants import add_constants, any_constant, zeros_for_constants
from snnc.passes.moves import moved
from snnc.passes.quantize_rule import Rule
from snnc.passes.quantized_value import Floats, Lowered, QValue
from snnc.tensor_ops import Concat, Expand, Reshape, Slice, Take, Transpose

#: Powers of two by which the units of joined parts may differ.
MOST_FINER = 2


def _integer(op: ops.Op) -> ops.Op:
    """The integer operator that moves elements as the real one does."""
    match op:
        case Reshape(shape):
            return intops.IntReshape(shape)
        case Transpose(perm):
            return intops.IntTranspose(perm)
        case Slice(axis, start, stop, step):
            return intops.IntSlice(axis, start, stop, step)
        case Expand(shape):
            return intops.IntExpand(shape)
        case Take(axis, index):
            return intops.IntTake(axis, index)
        case ops.Upsample(factor):
            return intops.IntUpsample(factor)
    raise AssertionError(f"{type(op).__name__} does more than move elements")


def _move(low: Lowered, node: Node, x: list[QValue]) -> None:
    v = low.passed(node, x[0])
    old = low.out.type_of(v.value).shape
    low.add(node, _integer(node.op), v)

    def unit(u: Expr) -> Expr:
        return rearranged(u, old, lambda values: moved(node.op, values))

    low.values[node.name, 0] = v.moved(Value(node.name), unit)


def _concat(low: Lowered, node: Node, x: list[QValue]) -> None:
    """Every part keeps its unit: who reads the result folds them into weights or thresholds."""
    op = node.op
    assert isinstance(op, Concat), "called for joins only"
    if len({v.per_step for v in x}) > 1:
        text = f"{node.name} joins a mean over time and a value that is none"
        low.problems.append(error("E224", text, node.loc, help="sum over time instead"))
        return
    parts, constants = zeros_for_constants(low, node, [low.settled(v) for v in x])
    parts = _comparable(low, node, parts)
    shapes = [low.out.type_of(v.value).shape for v in parts]
    unit = parts[0].unit
    if any(v.unit != unit or unit.number is None for v in parts):
        unit = _joined(node, op.axis, parts, shapes)
    if not any_constant(constants):
        low.add(node, intops.IntConcat(op.axis), *parts)
        low.values[node.name, 0] = QValue(Value(node.name), unit, parts[0].per_step)
        return
    joined = low.out.fresh(f"{node.name}.join")
    low.out.add(joined, intops.IntConcat(op.axis), *(v.value for v in parts), loc=node.loc)
    add_constants(low, node, QValue(Value(joined), unit, parts[0].per_step), constants)


def _comparable(low: Lowered, node: Node, parts: list[QValue]) -> list[QValue]:
    """Give parts in much larger units than the finest smaller ones, by exact shifts.

    Weights that read the whole share one scale per row, in which those of a finer part vanish.
    """
    sizes = [float(np.abs(floats(v.unit)).max()) for v in parts]
    finer = [int(np.frexp(size / min(sizes))[1]) - 1 for size in sizes]
    return [
        low.rescaled(node, v, v.unit / leaf(float(1 << bits))) if bits > MOST_FINER else v
        for v, bits in zip(parts, finer, strict=True)
    ]


def _joined(node: Node, axis: int, parts: list[QValue], shapes: list[tuple[int, ...]]) -> Expr:
    """The units of all parts, each in its own place, exactly."""
    start, total = 0, node.type.shape[axis]
    place = np.arange(total).reshape(-1, *[1] * (len(node.type.shape) - axis - 1))
    joined: Expr | None = None
    for v, shape in zip(parts, shapes, strict=True):
        pads = [(0, 0)] * len(shape)
        pads[axis] = start, total - start - shape[axis]
        own = rearranged(v.unit, shape, _padding(pads))
        inside = leaf(place >= start)
        joined = own if joined is None else apply("where", inside, own, joined)
        start += shape[axis]
    assert joined is not None, "joins at least one"
    return joined


def _padding(pads: list[tuple[int, int]]) -> Callable[[Floats], Floats]:
    return lambda x: np.pad(x, pads, mode="edge")


#: The rules.
TENSOR_RULES: dict[type[ops.Op], Rule] = {
    **dict.fromkeys(
        (ops.Reshape, ops.Transpose, ops.Slice, ops.Expand, ops.Take, ops.Upsample), _move
    ),
    ops.Concat: _concat,
}
