"""Rearranged parameters are parameters: compute reshapes, slices and joins of constants at once.

Nothing is rounded: every element of the result is an element of a constant.  A linear layer of
zeros, such as the recurrent weights of a first step that starts from zeros, is its bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snnc.backends.float_layers import layer
from snnc.graph import Graph, Node
from snnc.ops import Concat, Constant, Expand, Linear, Reshape, Slice, Take, Transpose
from snnc.params import Param
from snnc.passes.base import Context, Pass

_MOVES = (Reshape, Transpose, Slice, Concat, Expand, Take)


@dataclass(frozen=True)
class FoldConstants(Pass):
    """Replace rearrangements of constants by constants of the same name."""

    name: ClassVar[str] = "fold-constants"

    def run(self, graph: Graph, ctx: Context) -> Graph:
        for node in graph:
            if (value := _value(graph, node)) is not None:
                for edge in graph.in_edges(node.name):
                    graph.disconnect(edge)
                op = Constant(value)
                graph.replace(Node(node.name, op, op.infer(()), node.loc))
        return graph


def _value(graph: Graph, node: Node) -> Param | None:
    if not isinstance(node.op, (*_MOVES, Linear)):
        return None
    operands = []
    for edge in graph.in_edges(node.name):
        op = graph[edge.src].op
        if edge.delay or not isinstance(op, Constant):
            return None
        operands.append(op.value.data[None])  # of one sample
    if isinstance(node.op, Linear):
        if operands[0].any():
            return None  # a matrix product would be rounded by floats
        bias = np.zeros(node.type.shape) if node.op.bias is None else node.op.bias.data
        return Param(np.broadcast_to(bias, node.type.shape).copy())
    data = layer(node.op, operands)[0]
    return Param(np.ascontiguousarray(data, operands[0].dtype))
