"""In what a Loihi network counts: spikes, or steps of an input's grid.

Means over windows become sums; the weights behind take in what that changes.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from snnc import ops
from snnc.graph import Edge, Graph
from snnc.params import Param
from snnc.passes.loihi_neurons import NotLoihiError
from snnc.passes.quantize import input_format
from snnc.types import SPIKE

#: Means, and the sums that they become.
SUMS: dict[type[ops.Op], type[ops.SumPool1d | ops.SumPool2d | ops.SumPool3d]] = {
    ops.AvgPool1d: ops.SumPool1d,
    ops.AvgPool2d: ops.SumPool2d,
    ops.AvgPool3d: ops.SumPool3d,
}
#: What leaves every element as it is, adds some up or takes the largest.
_MOVES = (
    *(ops.Reshape, ops.Transpose, ops.Slice, ops.Expand, ops.Take, ops.Upsample, ops.Repeat),
    *(ops.MaxPool1d, ops.MaxPool2d, ops.MaxPool3d, ops.SumPool1d, ops.SumPool2d, ops.SumPool3d),
)


def scaled(graph: Graph, name: str, factor: float, fn: str = "mul") -> None:
    """Multiply, or divide, all that a node passes on by ``factor``."""
    # encoders know the real value
    leaving = [e for e in graph.out_edges(name) if not _is_coded(graph, e.dst)]
    if not leaving:
        return
    loc = graph[name].loc
    scale = ops.Constant(Param(np.asarray(factor)))
    constant = graph.add(graph.fresh(f"{name}.scale"), scale, loc=loc)
    fresh = graph.fresh(f"{name}.scaled")
    made = graph.add(fresh, ops.Pointwise(fn), name, constant.name, loc=loc)
    for edge in leaving:
        graph.disconnect(edge)
        graph.connect(Edge(made.name, edge.dst, edge.port, 0, edge.delay, edge.init))


def _is_coded(graph: Graph, name: str) -> bool:
    """Whether a value that a node reads becomes spikes before any weights."""
    node = graph[name]
    if isinstance(node.op, ops.RateCode | ops.Neuron):
        return True
    users = graph.out_edges(name)
    through = isinstance(node.op, (*_MOVES, ops.Pointwise, ops.Sum, ops.Concat))
    return bool(through and users and all(_is_coded(graph, e.dst) for e in users))


def unit_of(graph: Graph, name: str, bits: int) -> float:
    """The real value of one integer step of a value that weights read.

    Inputs are counted in steps of their grid, and means over windows as sums.
    """
    node = graph[name]
    sources = [e.src for e in graph.in_edges(name)]
    match node.op:
        case ops.Input():
            return input_format(node.op, bits)[2]
        case ops.RateCode():
            return 1.0
        case ops.Neuron() if node.type.dtype == SPIKE:
            return 1.0
        case ops.AvgPool1d(kernel) | ops.AvgPool2d(kernel) | ops.AvgPool3d(kernel):
            return unit_of(graph, sources[0], bits) / math.prod(kernel)
        case op if isinstance(op, _MOVES):
            return unit_of(graph, sources[0], bits)
        case ops.Sum() | ops.Concat():
            units = {unit_of(graph, source, bits) for source in sources}
            if len(units) == 1:
                return units.pop()
            why = f"the parts of {name} count in different steps"
            raise NotLoihiError(why, "sums over windows instead of means, or the same means")
    raise NotLoihiError(f"weights read {name}, which are neither spikes nor an input", "spikes")


def peak_of(graph: Graph, name: str, bits: int) -> float:
    """The largest magnitude of such a value, in steps."""
    op = graph[name].op
    if isinstance(op, ops.Input):
        lo, hi, _ = input_format(op, bits)
        return float(max(abs(lo), abs(hi)))
    if isinstance(op, ops.Neuron | ops.RateCode):
        return 1.0
    below = [peak_of(graph, e.src, bits) for e in graph.in_edges(name)]
    if type(op) in {*SUMS, *SUMS.values()}:
        return float(below[0] * math.prod(getattr(op, "kernel", ())))
    return max(below) if isinstance(op, ops.Concat) else sum(below)


def count(graph: Graph, bits: int) -> None:
    """Let the network compute with those steps; the weights have taken in their values."""
    for node in list(graph):
        op = node.op
        if isinstance(op, ops.AvgPool1d | ops.AvgPool2d | ops.AvgPool3d):
            kind: Any = SUMS[type(op)]
            counted = kind(op.kernel, op.stride, op.padding)
            graph.replace(replace(node, op=counted))
        if not isinstance(op, ops.Input):
            continue
        lo, hi, step = input_format(op, bits)
        graph.replace(replace(node, op=replace(op, lo=lo * step, hi=hi * step, step=step)))
        whole = float(round(1 / step))
        if step != 1:
            exact = whole > 0 and 1 / whole == step
            scaled(graph, node.name, whole if exact else step, "mul" if exact else "div")
