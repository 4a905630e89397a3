"""Cut a failing integer graph down to a minimal one that still fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from snnc.diagnostics import CompileError
from snnc.graph import Edge, Graph, Node, Value
from snnc.intops import IntInput, IntOutput, IntTimeLast
from snnc.params import Param
from snnc.passes.base import run_passes
from snnc.passes.prove_ranges import ProveRanges
from snnc.passes.prune_dead import PruneDead
from snnc.types import Clock, Int


def shrink(graph: Graph, fails: Callable[[Graph], bool]) -> Graph:
    """The smallest graph found, by removing outputs, bypassing nodes and cutting their inputs.

    Args:
        graph: A graph with proven ranges for which ``fails`` is true.
        fails: Must be deterministic; a graph that it cannot judge must give False.
    """
    found = True
    while found:
        found = False
        for candidate in _candidates(graph):
            try:
                smaller = run_passes(candidate, [PruneDead(), ProveRanges(graph.max_steps)])
            except (CompileError, ValueError):
                continue
            if _size(smaller) < _size(graph) and fails(smaller):
                graph, found = smaller, True
                break
    return graph


def _size(graph: Graph) -> tuple[int, int]:
    """Nodes that compute something, then all nodes."""
    plain = sum(isinstance(n.op, IntInput | IntOutput) for n in graph.nodes)
    return len(graph) - plain, len(graph)


def _candidates(graph: Graph) -> Iterator[Graph]:
    outputs = [n for n in graph if isinstance(n.op, IntOutput)]
    if len(outputs) > 1:
        for kept in outputs:
            yield _without(graph, [n for n in outputs if n is not kept])
        for gone in outputs:
            yield _without(graph, [gone])
    inner = [n for n in graph if not isinstance(n.op, IntInput | IntOutput)]
    for node in inner:
        yield _read(graph, node)
        yield from _cut(graph, node)
    for node in reversed(inner):
        for edge in graph.in_edges(node.name):
            if graph[edge.src].types[edge.out].shape == node.type.shape:
                yield _bypassed(graph, node, Value(edge.src, edge.out, edge.delay, edge.init))
    for edge in graph.edges:
        if edge.init is not None:
            yield _with_edge(graph, edge, Edge(edge.src, edge.dst, edge.port, edge.out, edge.delay))


def _without(graph: Graph, nodes: list[Node]) -> Graph:
    new = graph.copy()
    for node in nodes:
        new.remove(node.name)
    return new


def _read(graph: Graph, node: Node) -> Graph:
    """That node's value, after the last step, as the only output."""
    new = _without(graph, [n for n in graph if isinstance(n.op, IntOutput)])
    value = node.name
    if node.type.clock.kind is Clock.STEP:
        value = new.add(new.fresh("last"), IntTimeLast(), value).name
    new.add(new.fresh("read"), IntOutput(Param(np.array(1.0))), value)
    return new


def _cut(graph: Graph, node: Node) -> Iterator[Graph]:
    """An input in the place of a node whose value may be read from outside."""
    clock = node.type.clock
    if clock not in (Clock.ONCE, Clock.STEP) or any(
        not isinstance(t.dtype, Int) or t.dtype.lo is None for t in node.types
    ):
        return
    new = graph.copy()
    for out, t in enumerate(node.types):
        assert isinstance(t.dtype, Int), "checked above"
        name = new.fresh(f"cut.{out}")
        new.add(name, IntInput(t.shape, clock, *t.dtype.bounds, 1.0))
        new.redirect(node.name, Value(name), out)
    new.remove(node.name)
    yield new


def _bypassed(graph: Graph, node: Node, by: Value) -> Graph:
    new = graph.copy()
    new.redirect(node.name, by)
    if any(e.src == node.name for e in new.edges):
        return graph
    new.remove(node.name)
    return new


def _with_edge(graph: Graph, old: Edge, edge: Edge) -> Graph:
    new = graph.copy()
    new.disconnect(old)
    new.connect(edge)
    return new
