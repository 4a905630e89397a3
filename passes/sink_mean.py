"""Move a mean over time behind a linear readout: ``W mean(s) + b = mean(W s + b)``.

After it, the division by the number of steps is at the output, where it is a scale; the number of
steps need not be known.  Event-driven, the cost is the same: one row add per spike either way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from snnc.graph import Edge, Graph, Node
from snnc.ops import Linear, Output, Reshape, TimeMean
from snnc.passes.base import Context, Pass


@dataclass(frozen=True)
class SinkMean(Pass):
    """Swap ``TimeMean`` with the Linear or Reshape that alone reads it."""

    name: ClassVar[str] = "sink-mean"

    def run(self, graph: Graph, ctx: Context) -> Graph:
        changed = True
        while changed:
            changed = any(_swap(graph, n) for n in list(graph.nodes) if n.op == TimeMean())
        return graph


def _swap(graph: Graph, mean: Node) -> bool:
    users = graph.out_edges(mean.name)
    if len(users) != 1 or not isinstance(graph[users[0].dst].op, Linear | Reshape):
        return False
    if not _ends_at_outputs(graph, mean.name):
        return False  # it is divided in any case, and the layer is computed only once
    (source,), (use,) = graph.in_edges(mean.name), users
    after = graph[use.dst]
    later = graph.out_edges(after.name)
    for e in (source, use, *later):
        graph.disconnect(e)
    graph.connect(Edge(source.src, after.name, 0, source.out, source.delay, source.init))
    types = after.op.infer((graph[source.src].types[source.out],))
    graph.replace(Node(after.name, after.op, types, after.loc))
    graph.connect(Edge(after.name, mean.name))
    graph.replace(Node(mean.name, mean.op, mean.op.infer(types), mean.loc))
    for e in later:
        graph.connect(Edge(mean.name, e.dst, e.port))
    return True


def _ends_at_outputs(graph: Graph, name: str) -> bool:
    """Whether only layers and rearrangements lie between a mean and the outputs."""
    return all(
        isinstance(user.op, Output)
        or (isinstance(user.op, Linear | Reshape) and _ends_at_outputs(graph, user.name))
        for user in graph.users(name)
    )
