"""Layers with weights, and pools, in integers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from snnc import intops, ops
from snnc.conv_ops import Pair
from snnc.diagnostics import error
from snnc.exact import ONE, Expr, floats, leaf
from snnc.graph import Node, Value
from snnc.params import Param
from snnc.passes.quantize_rule import Rule
from snnc.passes.quantize_weights import fold_unit
from snnc.passes.quantized_value import Lowered, QValue, Root


def _weights(low: Lowered, node: Node, x: list[QValue]) -> None:
    op = node.op
    assert isinstance(op, ops.Linear | ops.Conv2d), "called for weights only"
    source = low.settled(x[0])
    effective = fold_unit(op, source.unit, low.real.in_edges(node.name)[0], low.real)
    if effective is None:
        text = f"the input of {node.name} has a scale that changes within one channel"
        low.problems.append(error("E223", text, node.loc))
        return
    if source.per_step and op.bias is not None:
        text = f"{node.name} adds a bias to a mean over time"
        hint = "average after the layer, or sum instead of averaging"
        low.problems.append(error("E224", text, node.loc, help=hint))
        return
    weights, columns = effective
    root = Root(node, op, weights, columns)
    zero = Param(np.zeros(op.weight.shape, np.int8))
    if isinstance(op, ops.Linear):
        placeholder: ops.Op = intops.IntLinear(zero)
    else:
        placeholder = intops.IntConv2d(zero, None, 0, op.stride, op.padding, op.dilation, op.groups)
    low.add(node, placeholder, source)
    low.values[node.name, 0] = QValue(Value(node.name), ONE, source.per_step, root)


def _pool(make: Callable[[Pair, Pair, Pair], ops.Op], mean: bool) -> Rule:
    """A rule for pools: the unit stays, divided by the window for a mean."""

    def rule(low: Lowered, node: Node, x: list[QValue]) -> None:
        op, v = node.op, low.passed(node, x[0])
        assert isinstance(op, ops.SumPool2d | ops.AvgPool2d | ops.MaxPool2d), "pools only"
        (edge,) = low.real.in_edges(node.name)
        if not _per_channel(v.unit, low.real[edge.src].types[edge.out].shape):
            text = f"the input of {node.name} has a scale that changes within one channel"
            low.problems.append(error("E223", text, node.loc))
            return
        low.add(node, make(op.kernel, op.stride, op.padding), v)
        area = leaf(float(op.kernel[0] * op.kernel[1])) if mean else ONE
        low.values[node.name, 0] = v.moved(Value(node.name), lambda unit: unit / area)

    return rule


def _per_channel(unit: Expr, shape: tuple[int, ...]) -> bool:
    if unit.number is not None:
        return True
    full = np.broadcast_to(floats(unit), shape)
    return bool((full == full[:, :1, :1]).all())


#: The layers' rules.
LAYER_RULES: dict[type[ops.Op], Rule] = {
    ops.Linear: _weights,
    ops.Conv2d: _weights,
    ops.SumPool2d: _pool(intops.IntSumPool2d, mean=False),
    ops.AvgPool2d: _pool(intops.IntSumPool2d, mean=True),
    ops.MaxPool2d: _pool(intops.IntMaxPool2d, mean=False),
}
