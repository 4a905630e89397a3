"""Remove what no output depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from snnc.diagnostics import fail
from snnc.graph import Graph
from snnc.intops import IntInput, IntOutput
from snnc.ops import Input, Output
from snnc.passes.base import Context, Pass


@dataclass(frozen=True)
class PruneDead(Pass):
    """Keep inputs, outputs and what lies between."""

    name: ClassVar[str] = "prune-dead"

    def requires(self, graph: Graph) -> None:
        if not any(isinstance(n.op, Output | IntOutput) for n in graph.nodes):
            raise fail("E205", "the network has no output", help="return a value from forward()")

    def run(self, graph: Graph, ctx: Context) -> Graph:
        keep = {n.name for n in graph.nodes if isinstance(n.op, Output | IntOutput)}
        stack = sorted(keep)
        while stack:
            for edge in graph.in_edges(stack.pop()):
                if edge.src not in keep:
                    keep.add(edge.src)
                    stack.append(edge.src)
        for node in list(graph.nodes):
            if node.name not in keep and not isinstance(node.op, Input | IntInput):
                graph.remove(node.name)
        return graph
