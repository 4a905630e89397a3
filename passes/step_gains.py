"""Take gains that change from step to step out of the pointwise operators.

A normalization of its own at every step (BNTT, TEBN) is ``x * scale[t] + offset[t]``.  Between a
layer and a population it becomes one operator, ``StepAffine``, so that the population's update
stays free of products of values that change.  A product inside a state loop stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import networkx as nx
import numpy as np

from snnc.graph import Edge, Graph, Node
from snnc.ops import Constant, Pointwise, StepAffine, StepTable
from snnc.params import Param
from snnc.passes.base import Context, Pass


@dataclass(frozen=True)
class StepGains(Pass):
    """Replace products with, and sums behind them with, constants per step by ``StepAffine``."""

    name: ClassVar[str] = "step-gains"

    def run(self, graph: Graph, ctx: Context) -> Graph:
        if not any(isinstance(n.op, StepTable) for n in graph):
            return graph
        inside = _in_loops(graph)
        for node in list(graph):
            if node.op == Pointwise("mul") and node.name not in inside:
                _scale(graph, node)
        for node in list(graph):
            if node.op in (Pointwise("add"), Pointwise("sub")) and node.name not in inside:
                _offset(graph, node)
        for node in list(graph.nodes):
            if isinstance(node.op, StepTable) and not graph.out_edges(node.name):
                graph.remove(node.name)
        return graph


def _in_loops(graph: Graph) -> set[str]:
    """Pointwise nodes that a state runs through."""
    points = {n.name for n in graph.nodes if isinstance(n.op, Pointwise)}
    flow: nx.DiGraph[str] = nx.DiGraph()
    flow.add_edges_from((e.src, e.dst) for e in graph.edges if {e.src, e.dst} <= points)
    parts = nx.strongly_connected_components(flow)
    return {x for c in parts for x in c if len(c) > 1 or flow.has_edge(x, x)}


def _table(graph: Graph, edge: Edge) -> Param | None:
    op = graph[edge.src].op
    return op.values if isinstance(op, StepTable) and not edge.delay else None


def _fits(graph: Graph, table: Param, edge: Edge, node: Node) -> bool:
    """Whether the table has a row that broadcasts to the operand, and nothing else changes."""
    source = graph[edge.src].types[edge.out]
    same = source.shape == node.type.shape and source.clock is node.type.clock
    return same and len(table.shape) - 1 <= len(source.shape)


def _scale(graph: Graph, node: Node) -> None:
    edges = graph.in_edges(node.name)
    for edge, other in (edges, edges[::-1]):
        table = _table(graph, edge)
        if table is None or isinstance(graph[other.src].op, StepTable | Constant):
            continue
        if _fits(graph, table, other, node):
            _become(graph, node, StepAffine(table), other)
            return


def _offset(graph: Graph, node: Node) -> None:
    """Take ``+ offset[t]`` behind a ``StepAffine`` that nothing else reads into it."""
    edges = graph.in_edges(node.name)
    for edge, other in (edges, edges[::-1]):
        table, source = _table(graph, edge), graph[other.src]
        inner = source.op
        if table is None or not isinstance(inner, StepAffine) or other.delay:
            continue
        alone = inner.offset is None and len(graph.out_edges(other.src)) == 1
        if not alone or not _fits(graph, table, other, node):
            continue
        minus = node.op == Pointwise("sub")
        if minus and edge.port == 0:  # offset - x: the gain changes its sign
            continue
        rows = min(table.shape[0], inner.scale.shape[0])
        values = table.data[:rows] if not minus else -table.data[:rows]
        op = StepAffine(Param(inner.scale.data[:rows]), Param(np.ascontiguousarray(values)))
        _become(graph, node, op, graph.in_edges(other.src)[0])
        graph.remove(other.src)
        return


def _become(graph: Graph, node: Node, op: StepAffine, operand: Edge) -> None:
    """Make the node a ``StepAffine`` of one operand."""
    for e in graph.in_edges(node.name):
        graph.disconnect(e)
    graph.connect(Edge(operand.src, node.name, 0, operand.out, operand.delay, operand.init))
    types = op.infer((graph[operand.src].types[operand.out],))
    graph.replace(Node(node.name, op, types, node.loc))
