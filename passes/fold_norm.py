"""Fold an inference-time BatchNorm into the weights before it.

With ``k = weight / sqrt(var + eps)`` and ``o = bias - mean * k``::

    BN(W x + b)       =  (k W) x + (k b + o)                      exact
    BN(W x + b + r)   =  (k W) x + (k b + o)  +  k r              across a residual
    BN(x)             =  k * x + o                                elsewhere: pointwise, which the
                                                                  neuron behind it takes in

``k`` acts per row, so the row's own weight scale absorbs it: folding costs no precision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import CompileError, Diagnostic, Loc, error, remark
from snnc.graph import Graph, Node, Value
from snnc.ops import BatchNorm, Constant, Linear, Pointwise, Sum
from snnc.params import Param
from snnc.passes.base import Context, Pass
from snnc.passes.weight_rows import Weighted, rows_first, with_rows

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
            end = _push(graph, value, scale, shift, node, ctx)
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
    graph: Graph, value: Value, scale: Floats, shift: Floats, norm: Node, ctx: Context
) -> Value:
    """Apply ``scale * value + shift`` as early as is exact and free; return the new value."""
    producer = graph[value.src]
    sole = len(graph.out_edges(value.src)) == 1 and not value.delay
    same = producer.types[value.out].shape == norm.type.shape
    rows = not isinstance(producer.op, Linear) or len(norm.type.shape) == 1
    if sole and same and rows and isinstance(producer.op, Weighted):
        op = _folded(producer.op, scale, shift)
        graph.replace(replace(producer, op=op, loc=Loc.fused(producer.loc, norm.loc)))
        return value
    adds = isinstance(producer.op, Sum) or producer.op == Pointwise("add")
    if sole and adds and _has_foldable(graph, producer):
        edges = graph.in_edges(producer.name)
        host = next(e for e in edges if _foldable(graph, e.src))
        for edge in edges:
            own = shift if edge is host else np.zeros_like(shift)
            new = _push(graph, Value(edge.src, edge.out), scale, own, norm, ctx)
            if new.src != edge.src:
                graph.disconnect(edge)
                graph.connect(replace(edge, src=new.src, out=new.out))
        return value
    why = (
        "its input has other users" if not sole else f"its input is a {type(producer.op).__name__}"
    )
    ctx.emit(remark("R201", f"{norm.name} is not folded into weights", norm.loc, why))
    return _pointwise(graph, value, scale, shift, norm)


def _foldable(graph: Graph, name: str) -> bool:
    node = graph[name]
    rows = not isinstance(node.op, Linear) or len(node.type.shape) == 1
    return isinstance(node.op, Weighted) and rows and len(graph.out_edges(name)) == 1


def _has_foldable(graph: Graph, node: Node) -> bool:
    edges = graph.in_edges(node.name)
    full = all(graph.type_of(Value(e.src, e.out)).shape == node.type.shape for e in edges)
    return full and all(e.delay == 0 for e in edges) and any(_foldable(graph, e.src) for e in edges)


def _folded(op: Weighted, scale: Floats, shift: Floats) -> Weighted:
    weight = rows_first(op)
    weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    bias = shift if op.bias is None else op.bias.data.astype(np.float64) * scale + shift
    return with_rows(op, weight, Param(bias))


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
