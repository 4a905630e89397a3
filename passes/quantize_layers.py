"""Layers with weights, and pools, in integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import numpy.typing as npt

from snnc import intops, ops
from snnc.diagnostics import error
from snnc.exact import ONE, Expr, floats, leaf, rearranged
from snnc.graph import Node, Value
from snnc.params import Param
from snnc.passes.quantize_rule import Rule
from snnc.passes.quantize_weights import units_of
from snnc.passes.quantized_value import Lowered, QValue, Root
from snnc.passes.weight_rows import Weighted, in_integers
from snnc.windows import Sizes

#: Most bits of what is weighted, with weights of 8 bits: sums of 2**13 products still fit 55.
#: Worst cases of products and quotients are far above what occurs, so that fewer would be seen.
INPUT_BITS = 34
Floats = npt.NDArray[np.float64]
_Sum = ops.SumPool1d | ops.SumPool2d | ops.SumPool3d
_Mean = ops.AvgPool1d | ops.AvgPool2d | ops.AvgPool3d
_Peak = ops.MaxPool1d | ops.MaxPool2d | ops.MaxPool3d


def _weights(low: Lowered, node: Node, x: list[QValue]) -> None:
    op = node.op
    assert isinstance(op, Weighted), "called for weights only"
    source = low.settled(x[0])
    if source.per_step and op.bias is not None:
        text = f"{node.name} adds a bias to a mean over time"
        hint = "average after the layer, or sum instead of averaging"
        low.problems.append(error("E224", text, node.loc, help=hint))
        return
    shape = low.out.type_of(source.value).shape
    axes = range(len(shape) - 1) if isinstance(op, ops.Linear) else range(1, len(shape))
    if axes and not isinstance(op, ops.DelayLinear):  # whose columns read single elements
        source = low.uniform(node, source, tuple(axes))
    source = low.narrowed(node, source, INPUT_BITS - max(0, low.bits_of(node.name) - 8))
    root = Root(node, op, units_of(op, source.unit, shape))
    none = np.broadcast_to(np.zeros((), np.int8), root.shape)
    low.add(node, in_integers(op, Param.made(root.shape, np.int8, lambda a, b: none[a:b])), source)
    low.values[node.name, 0] = QValue(Value(node.name), ONE, source.per_step, root)


def _pool(make: Callable[[Sizes, Sizes, Sizes], ops.Op], mean: bool) -> Rule:
    """A rule for pools: the unit stays, divided by the window for a mean."""

    def rule(low: Lowered, node: Node, x: list[QValue]) -> None:
        op, v = node.op, low.passed(node, x[0])
        assert isinstance(op, _Sum | _Mean | _Peak), "pools only"
        shape = low.out.type_of(v.value).shape
        if not _per_channel(v.known, shape):
            v = low.uniform(node, low.settled(v), tuple(range(1, len(shape))))
        low.add(node, make(op.kernel, op.stride, op.padding), v)
        area = leaf(float(math.prod(op.kernel))) if mean else ONE

        def unit(u: Expr) -> Expr:
            return _of_channels(u, shape) / area

        low.values[node.name, 0] = v.moved(Value(node.name), unit)

    return rule


def _per_channel(unit: Expr, shape: tuple[int, ...]) -> bool:
    if unit.number is not None:
        return True
    full = np.broadcast_to(floats(unit), shape).reshape(shape[0], -1)
    return bool((full == full[:, :1]).all())


def _of_channels(unit: Expr, shape: tuple[int, ...]) -> Expr:
    """A unit per channel, without the places that a pool changes."""
    if unit.number is not None:
        return unit
    return rearranged(unit, shape, lambda x: x[(slice(None), *[slice(1)] * (len(shape) - 1))])


#: The layers' rules.
LAYER_RULES: dict[type[ops.Op], Rule] = {
    **dict.fromkeys(get_args(Weighted), _weights),
    **dict.fromkeys(get_args(_Sum), _pool(intops.IntSumPool, mean=False)),
    **dict.fromkeys(get_args(_Mean), _pool(intops.IntSumPool, mean=True)),
    **dict.fromkeys(get_args(_Peak), _pool(intops.IntMaxPool, mean=False)),
}
