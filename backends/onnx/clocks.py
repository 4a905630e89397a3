"""When nodes read their operands."""

from __future__ import annotations

from snnc.graph import Graph, Node
from snnc.time_ops import Crossing, Sequence
from snnc.types import Clock


def reads_in(graph: Graph, node: Node) -> Clock:
    """The clock at which a node reads its operands: of collectors, that of the operand."""
    if isinstance(node.op, Crossing | Sequence) and graph.in_edges(node.name):
        (edge,) = graph.in_edges(node.name)
        clock = graph[edge.src].types[edge.out].clock
        return clock if clock.kind is Clock.STEP else node.type.clock
    return node.type.clock
