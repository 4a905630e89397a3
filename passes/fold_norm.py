"""Fold an inference-time BatchNorm into the weights before it.

With ``k = weight / sqrt(var + eps)`` and ``o = bias - mean * k``::

    BN(W x + b)       =  (k W) x + (k b + o)                      exact
    BN(W x + b + r)   =  (k W) x + (k b + o)  +  k r              across a residual
    BN(x)             =  k * x + o                                elsewhere: pointwise, which the
                                                                  neuron behind it takes in

``k`` acts per row, so the row's own weight scale absorbs it: folding costs no precision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import CompileError, Diagnostic, Loc, error, remark
from snnc.graph import Graph, Node, Value
from snnc.ops import (
    BatchNorm,
    Constant,
    DelayLinear,
    Linear,
    Pointwise,
    Reshape,
    Sum,
    Transpose,
)
from snnc.params import Param
from snnc.passes.base import Context, Pass
from snnc.passes.weight_rows import Weighted, matrix, scaled_rows, with_rows

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FoldNorm(Pass):
    """Remove every BatchNorm."""

    name: ClassVar[str] = "fold-norm"

    def requires(self, graph: Graph) -> None:
        problems = [p for n in graph if isinstance(n.op, BatchNorm) for p in _bad(n, n.op)]
        if problems:
            raise CompileError(problems)

    def run(self, graph: Graph, ctx: Context) -> Graph:
        for node in list(graph):
            if not isinstance(node.op, BatchNorm):
                continue
            scale, shift = _affine(node.op)
            (source,) = graph.in_edges(node.name)
            value = Value(source.src, source.out, source.delay, source.init)
            end = _push(graph, value, scale, shift, node, 0, ctx)
            graph.redirect(node.name, end)
            graph.remove(node.name)
        return graph

    def ensures(self, graph: Graph) -> None:
        assert not any(isinstance(n.op, BatchNorm) for n in graph), "a BatchNorm is left"


def _bad(node: Node, op: BatchNorm) -> list[Diagnostic]:
    low = np.flatnonzero(op.var.data.astype(np.float64) + op.eps <= 0)
    if not len(low):
        return []
    text = f"variance {op.var.data[low[0]]} of channel {low[0]} is not positive"
    return [error("E302", text, node.loc)]


def _affine(op: BatchNorm) -> tuple[Floats, Floats]:
    mean, var = (p.data.astype(np.float64) for p in (op.mean, op.var))
    weight = np.ones_like(mean) if op.weight is None else op.weight.data.astype(np.float64)
    bias = np.zeros_like(mean) if op.bias is None else op.bias.data.astype(np.float64)
    scale = weight / np.sqrt(var + op.eps)
    return scale, bias - mean * scale


def _push(
    graph: Graph,
    value: Value,
    scale: Floats,
    shift: Floats,
    norm: Node,
    axis: int,
    ctx: Context,
) -> Value:
    """Apply ``scale * value + shift`` along ``axis`` as early as is exact and free.

    Returns the new value.
    """
    producer = graph[value.src]
    sole = len(graph.out_edges(value.src)) == 1 and not value.delay
    if sole and _has_rows(producer, axis, len(scale)):
        assert isinstance(producer.op, Weighted), "just asked"
        op = _folded(producer.op, scale, shift)
        graph.replace(replace(producer, op=op, loc=Loc.fused(producer.loc, norm.loc)))
        return value
    if sole and (before := _before_move(graph, producer, axis)) is not None:
        (edge,) = graph.in_edges(producer.name)
        if _rows_behind(graph, edge.src, before, len(scale)):
            _push(graph, Value(edge.src, edge.out), scale, shift, norm, before, ctx)
            return value
    adds = isinstance(producer.op, Sum) or producer.op == Pointwise("add")
    if sole and adds and axis == 0 and _has_foldable(graph, producer):
        edges = graph.in_edges(producer.name)
        host = next(e for e in edges if _foldable(graph, e.src))
        for edge in edges:
            own = shift if edge is host else np.zeros_like(shift)
            new = _push(graph, Value(edge.src, edge.out), scale, own, norm, axis, ctx)
            if new.src != edge.src:
                graph.disconnect(edge)
                graph.connect(replace(edge, src=new.src, out=new.out))
        return value
    why = (
        "its input has other users" if not sole else f"its input is a {type(producer.op).__name__}"
    )
    ctx.emit(remark("R201", f"{norm.name} is not folded into weights", norm.loc, why))
    return _pointwise(graph, value, scale, shift, norm)


def _has_rows(node: Node, axis: int, count: int) -> bool:
    """Whether the rows of a node's weights are the elements along ``axis`` of its value."""
    if not isinstance(node.op, Weighted) or node.type.shape[axis] != count:
        return False
    last = isinstance(node.op, Linear | DelayLinear)
    return axis == (len(node.type.shape) - 1 if last else 0)


def _before_move(graph: Graph, node: Node, axis: int) -> int | None:
    """The axis that a move of elements brings to ``axis``; None if it keeps no axis whole."""
    if isinstance(node.op, Transpose):
        return node.op.perm[axis]
    if not isinstance(node.op, Reshape):
        return None
    (edge,) = graph.in_edges(node.name)
    old, new = graph[edge.src].types[edge.out].shape, node.type.shape
    inner = math.prod(new[axis + 1 :])
    for i, extent in enumerate(old):
        if extent == new[axis] and math.prod(old[i + 1 :]) == inner:
            return i
    return None


def _rows_behind(graph: Graph, name: str, axis: int, count: int) -> bool:
    """Whether weights with these rows come next, with nothing but moves between."""
    node = graph[name]
    if len(graph.out_edges(name)) != 1 or any(e.delay for e in graph.out_edges(name)):
        return False
    if _has_rows(node, axis, count):
        return True
    before = _before_move(graph, node, axis)
    return before is not None and _rows_behind(graph, graph.in_edges(name)[0].src, before, count)


def _foldable(graph: Graph, name: str) -> bool:
    node = graph[name]
    rows = _has_rows(node, 0, node.type.shape[0]) if node.type.shape else False
    return rows and len(graph.out_edges(name)) == 1


def _has_foldable(graph: Graph, node: Node) -> bool:
    edges = graph.in_edges(node.name)
    full = all(graph.type_of(Value(e.src, e.out)).shape == node.type.shape for e in edges)
    return full and all(e.delay == 0 for e in edges) and any(_foldable(graph, e.src) for e in edges)


def _folded(op: Weighted, scale: Floats, shift: Floats) -> Weighted:
    bias = shift if op.bias is None else op.bias.data.astype(np.float64) * scale + shift
    return with_rows(op, scaled_rows(matrix(op), scale), Param(bias))


def _pointwise(graph: Graph, value: Value, scale: Floats, shift: Floats, norm: Node) -> Value:
    shape = (-1, *[1] * (len(norm.type.shape) - 1))
    for fn, data, identity in (("mul", scale, 1.0), ("add", shift, 0.0)):
        if np.all(data == identity):
            continue
        const = graph.fresh(f"{norm.name}.{'scale' if fn == 'mul' else 'shift'}")
        graph.add(const, Constant(Param(data.reshape(shape))), loc=norm.loc)
        name = graph.fresh(f"{norm.name}.{fn}")
        graph.add(name, Pointwise(fn), value, const, loc=norm.loc)
        value = Value(name)
    return value
