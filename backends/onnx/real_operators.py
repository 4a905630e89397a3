"""Real-valued operators in double precision: what the integers approximate, in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from snnc import ops
from snnc.backends.onnx.block import DOUBLE, Array, Block, V
from snnc.backends.onnx.windows import padded, taps
from snnc.graph import Node

Shape = tuple[int, ...]
#: Writes an operator of values (N, ...) with these shapes behind the batch.
RealWriter = Callable[[Block, Node, list[V], list[Shape]], V]

_UNARY = {
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "abs": "Abs",
    "neg": "Neg",
    "round": "Round",
    "floor": "Floor",
    "ceil": "Ceil",
    "sin": "Sin",
    "cos": "Cos",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "reciprocal": "Reciprocal",
}
_BINARY = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "pow": "Pow",
    "maximum": "Max",
    "minimum": "Min",
}
_COMPARE = {
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "lt": "Less",
    "eq": "Equal",
}
#: The functions of kernels and of ``Pointwise`` that are written.
FUNCTIONS = frozenset(
    {*_UNARY, *_BINARY, *_COMPARE, "ne", "not", "where", "relu", "square", "and", "or"}
)


def function(b: Block, fn: str, args: list[V]) -> V:
    """A function of real values; truth is 1.0."""
    if fn in _UNARY:
        return b.op(_UNARY[fn], args[0])
    if fn in _BINARY:
        return b.op(_BINARY[fn], *args)
    if fn in _COMPARE:
        return b.cast(b.binary(_COMPARE[fn], *args), DOUBLE)
    if fn == "ne":
        return b.sub(b.constant(1.0, DOUBLE), b.cast(b.binary("Equal", *args), DOUBLE))
    if fn == "relu":
        return b.op("Max", args[0], b.constant(0.0, DOUBLE))
    if fn == "square":
        return b.op("Mul", args[0], args[0])
    truth = [b.op("Not", b.binary("Equal", a, b.constant(0.0, DOUBLE))) for a in args[:2]]
    if fn == "where":
        return b.op("Where", truth[0], args[1], args[2], type=DOUBLE)
    if fn == "not":
        return b.cast(b.op("Not", truth[0]), DOUBLE)
    return b.cast(b.op(fn.capitalize(), *truth), DOUBLE)


def real(b: Block, value: Array) -> V:
    """A constant."""
    return b.constant(np.asarray(value, np.float64), DOUBLE)


def aligned(b: Block, x: V, shape: Shape, axes: int) -> V:
    """A value with ``axes`` axes behind the batch."""
    missing = axes - len(shape)
    return b.reshape(x, [*[1] * missing, *shape]) if missing else x


def _linear(b: Block, node: Node, x: list[V], shapes: list[Shape]) -> V:
    op: Any = node.op
    y = b.op("MatMul", x[0], real(b, op.weight.data.T))
    return y if op.bias is None else b.add(y, real(b, op.bias.data))


def _conv(b: Block, node: Node, x: list[V], shapes: list[Shape]) -> V:
    op: Any = node.op
    weight, (shape,) = op.weight.data, shapes
    out, per_group, *size = weight.shape
    wide = (shape[0], *(n + 2 * p for n, p in zip(shape[1:], op.padding, strict=True)))
    around = padded(b, x[0], (0, *op.padding), (0, *op.padding))
    found = taps(b, around, wide, tuple(size), op.stride, op.dilation)
    count, places = prod(size), prod(node.type.shape[1:])
    columns = [b.reshape(t, [op.groups, per_group, 1, places]) for t in found]
    joined = b.reshape(b.op("Concat", *columns, axis=3), [op.groups, per_group * count, places])
    matrix = real(b, weight.reshape(op.groups, out // op.groups, per_group * count))
    y = b.reshape(b.op("MatMul", matrix, joined), node.type.shape)
    return y if op.bias is None else b.add(y, real(b, op.bias.data.reshape(-1, *[1] * len(size))))


def _pool(b: Block, node: Node, x: list[V], shapes: list[Shape]) -> V:
    op: Any = node.op
    (shape,), kind = shapes, type(op).__name__
    fill = -1e300 if kind.startswith("Max") else 0.0
    wide = (shape[0], *(n + 2 * p for n, p in zip(shape[1:], op.padding, strict=True)))
    around = padded(b, x[0], (0, *op.padding), (0, *op.padding), fill)
    found = taps(b, around, wide, op.kernel, op.stride, (1,) * len(op.kernel))
    if kind.startswith("Max"):
        return b.op("Max", *found)
    total = b.op("Sum", *found)
    return total if kind.startswith("Sum") else b.op("Div", total, real(b, np.array(len(found))))


def _pointwise(b: Block, node: Node, x: list[V], shapes: list[Shape]) -> V:
    op: Any = node.op
    axes = max(map(len, shapes))
    values = zip(x, shapes, strict=True)
    return function(b, op.fn, [aligned(b, v, shape, axes) for v, shape in values])


def _sum(b: Block, node: Node, x: list[V], shapes: list[Shape]) -> V:
    return b.op("Sum", *x)


def _same(b: Block, node: Node, x: list[V], shapes: list[Shape]) -> V:
    return x[0]


def _reshape(b: Block, node: Node, x: list[V], shapes: list[Shape]) -> V:
    return b.reshape(x[0], node.type.shape)


def _transpose(b: Block, node: Node, x: list[V], shapes: list[Shape]) -> V:
    op: Any = node.op
    return b.op("Transpose", x[0], perm=[0, *(p + 1 for p in op.perm)])


def _slice(b: Block, node: Node, x: list[V], shapes: list[Shape]) -> V:
    op: Any = node.op
    return b.slice(x[0], op.axis + 1, op.start, op.stop, op.step)


def _concat(b: Block, node: Node, x: list[V], shapes: list[Shape]) -> V:
    op: Any = node.op
    return b.op("Concat", *x, axis=op.axis + 1)


def _constant(b: Block, node: Node, x: list[V], shapes: list[Shape]) -> V:
    op: Any = node.op
    return real(b, op.value.data[None])


#: What is written, by operator.
REAL_WRITERS: dict[type[ops.Op], RealWriter] = {
    ops.Linear: _linear,
    **dict.fromkeys((ops.Conv1d, ops.Conv2d, ops.Conv3d), _conv),
    **dict.fromkeys((ops.SumPool1d, ops.SumPool2d, ops.SumPool3d), _pool),
    **dict.fromkeys((ops.AvgPool1d, ops.AvgPool2d, ops.AvgPool3d), _pool),
    **dict.fromkeys((ops.MaxPool1d, ops.MaxPool2d, ops.MaxPool3d), _pool),
    ops.Pointwise: _pointwise,
    ops.Sum: _sum,
    ops.Repeat: _same,
    ops.Output: _same,
    ops.Reshape: _reshape,
    ops.Transpose: _transpose,
    ops.Slice: _slice,
    ops.Concat: _concat,
    ops.Constant: _constant,
}
