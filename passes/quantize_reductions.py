"""Reductions over axes, and tables of rows, in integers."""

from __future__ import annotations

from math import prod

import numpy as np

from snnc import intops, ops
from snnc.diagnostics import error
from snnc.exact import ONE, Expr, floats, leaf, rearranged
from snnc.graph import Node, Value
from snnc.params import Param
from snnc.passes.quantize_rule import Rule
from snnc.passes.quantize_weights import weight_facts
from snnc.passes.quantized_value import Lowered, QValue
from snnc.passes.row_scale import quantized, row_scales, stored

#: Numbers of a unit of their own of which a product has an exact unit.
MOST_FACTORS = 16


def _reduce(low: Lowered, node: Node, x: list[QValue]) -> None:
    """The unit must be the same along the axes; a mean divides it by their extent."""
    op = node.op
    assert isinstance(op, ops.Reduce), "called for reductions only"
    v = low.passed(node, x[0]) if op.fn != "prod" else low.settled(x[0])
    old = low.out.type_of(v.value).shape
    if v.root is not None and not _same_along(v, op.axes, old):
        v = low.settled(v)
    if v.root is None:
        v = low.uniform(node, v, op.axes)
    count = prod(old[a] for a in op.axes)
    if op.fn == "prod" and v.unit.number != 1 and count > 1:
        problem = ""
        if v.per_step:
            problem = "of a mean over time"
        elif count > MOST_FACTORS:
            problem = f"of {count} numbers that are no spikes"
        if problem:
            text = f"{node.name} is a product {problem}"
            hint = "add logarithms, or multiply inside a neuron's update"
            low.problems.append(error("E210", text, node.loc, help=hint))
            return
    low.add(node, intops.IntReduce("sum" if op.fn == "mean" else op.fn, op.axes, op.keepdims), v)

    def unit(u: Expr) -> Expr:
        first = tuple(slice(1) if a in op.axes else slice(None) for a in range(len(old)))
        one = rearranged(u, old, lambda values: values[first].reshape(node.type.shape))
        if op.fn == "mean":
            return one / leaf(float(count))
        return _power(one, count) if op.fn == "prod" else one

    low.values[node.name, 0] = v.moved(Value(node.name), unit)


def _same_along(v: QValue, axes: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether rows of waiting weights stay apart when the axes go."""
    assert v.root is not None, "asked of waiting weights"
    rows = leaf(np.arange(1.0, len(v.root) + 1).reshape(v.root.row_shape))
    found = np.broadcast_to(floats(v.resolved(rows).unit), shape)
    return bool((found.max(axes) == found.min(axes)).all())


def _power(unit: Expr, count: int) -> Expr:
    if unit.number == 1:
        return ONE
    found = unit
    for _ in range(count - 1):
        found = found * unit
    return found


def _argmax(low: Lowered, node: Node, x: list[QValue]) -> None:
    op = node.op
    assert isinstance(op, ops.ArgMax), "called for positions only"
    v = low.uniform(node, low.settled(x[0]), (op.axis,))
    low.add(node, intops.IntArgMax(op.axis), v)
    low.values[node.name, 0] = QValue(Value(node.name), ONE)


def _top_k(low: Lowered, node: Node, x: list[QValue]) -> None:
    """Values that are compared have one unit.

    Who reads the operand later gets the same integers: an element that is compared with the k-th
    largest may be that one.
    """
    op = node.op
    assert isinstance(op, ops.TopK), "called for the largest only"
    v = low.uniform(node, low.settled(x[0]), (op.axis,))
    (edge,) = low.real.in_edges(node.name)
    if not edge.delay:
        low.values[edge.src, edge.out] = v
    old = low.out.type_of(v.value).shape
    low.add(node, intops.IntTopK(op.axis, op.k, op.positions), v)

    def unit(u: Expr) -> Expr:
        return rearranged(u, old, lambda values: values.take(np.zeros(op.k, int), op.axis))

    value = Value(node.name)
    low.values[node.name, 0] = QValue(value, ONE) if op.positions else v.moved(value, unit)


def _embedding(low: Lowered, node: Node, x: list[QValue]) -> None:
    """One scale for every feature, so that all rows are in the same units."""
    op, v = node.op, x[0]
    assert isinstance(op, ops.Embedding), "called for tables only"
    if v.unit.number != 1 or v.per_step:
        text = f"the row numbers of {node.name} are computed"
        hint = "an embedding reads token numbers from an input"
        low.problems.append(error("E210", text, node.loc, help=hint))
        return
    table = op.weight.data.astype(np.float64)
    bits = low.bits_of(node.name)
    method = low.chooser.table_method(node.name, node.loc)
    scales = row_scales(table.T, bits, method)
    codes = quantized(table.T, scales.floats, bits)
    low.add(node, intops.IntEmbedding(Param(stored(codes.T, bits))), v)
    back = codes * scales.floats[:, None]
    low.fake.replace(Node(node.name, ops.Embedding(Param(back.T.copy())), node.types, node.loc))
    low.ctx.note(node.name, **weight_facts(table.T, codes, scales.floats, bits))
    low.values[node.name, 0] = QValue(Value(node.name), scales.exact((-1,)))


#: The rules.
REDUCTION_RULES: dict[type[ops.Op], Rule] = {
    ops.Reduce: _reduce,
    ops.ArgMax: _argmax,
    ops.TopK: _top_k,
    ops.Embedding: _embedding,
}
