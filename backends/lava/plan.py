"""Cuts an integer graph into Lava processes: one per layer, one per input, one per output.

A layer is a node with state, or one that several others read, together with every stateless node
that only feeds it: ``reshape -> linear -> neuron`` becomes one process.  Within a step every
process receives, computes and sends in that order, so the cut must not make two processes wait
for each other.  It cannot: a node joins a process only if nothing else reads it, undelayed; and
a delayed value is sent before anything is received.

All loops behind the first are one process: it runs them at the last step of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from snnc.graph import Edge, Graph
from snnc.types import TensorType

#: These end a layer even if only one other node reads them.
_ROOTS = frozenset({"IntInput", "IntNeuron", "IntOutput"})


@dataclass(frozen=True, slots=True)
class OutPort:
    """A value that leaves a process: output ``out`` of ``src``, ``delay`` steps ago."""

    name: str
    edge: Edge
    type: TensorType


@dataclass(frozen=True, slots=True)
class InPort:
    """A value that enters a process, already delayed: port ``sender`` of process ``process``."""

    name: str
    process: str
    sender: str
    edge: Edge
    type: TensorType


@dataclass(frozen=True, slots=True)
class Process:
    """One Lava process: the nodes that it computes, in order, and its ports."""

    name: str
    root: str
    nodes: tuple[str, ...]
    inputs: tuple[InPort, ...]
    outputs: tuple[OutPort, ...]


def plan(graph: Graph) -> tuple[Process, ...]:
    """Cut the graph; producers come before their consumers where no delay lies between."""
    home = _homes(graph)
    members: dict[str, list[str]] = {}
    for node in graph:
        members.setdefault(home[node.name], []).append(node.name)
    roots = [node.name for node in graph if home[node.name] == node.name]
    names = _process_names(graph, roots)
    outputs = {root: _out_ports(graph, members[root], home) for root in roots}
    return tuple(
        Process(
            names[root],
            root,
            tuple(members[root]),
            _in_ports(graph, members[root], home, names, outputs),
            outputs[root],
        )
        for root in roots
    )


def _homes(graph: Graph) -> dict[str, str]:
    """Root of the process of every node."""
    home: dict[str, str] = {}
    later = [node.name for node in graph if node.type.clock.phase > 1]
    for node in reversed(list(graph)):
        if node.type.clock.phase > 1:
            home[node.name] = later[-1]
            continue
        edges = graph.out_edges(node.name)
        readers = {home.get(e.dst) for e in edges}
        joins = (
            type(node.op).__name__ not in _ROOTS
            and len(readers) == 1
            and not any(e.delay for e in edges)
        )
        home[node.name] = (readers.pop() or node.name) if joins else node.name
    return home


def _process_names(graph: Graph, roots: list[str]) -> dict[str, str]:
    counts: dict[str, int] = {}
    names = {}
    for root in roots:
        kind = {"IntInput": "Source", "IntOutput": "Sink"}.get(type(graph[root].op).__name__)
        kind = kind or "Layer"
        names[root] = f"{kind}{counts.get(kind, 0)}"
        counts[kind] = counts.get(kind, 0) + 1
    return names


def _crossing(e: Edge) -> tuple[str, int, int, Any]:
    """Edges with equal keys carry the same values, hence share an output port."""
    return (e.src, e.out, e.delay, e.init if e.delay else None)


def _out_ports(graph: Graph, members: list[str], home: dict[str, str]) -> tuple[OutPort, ...]:
    found: dict[tuple[str, int, int, Any], Edge] = {}
    order = {node.name: i for i, node in enumerate(graph)}
    for name in members:
        # a graph that was stored and read has its edges in another order
        edges = sorted(graph.out_edges(name), key=lambda e: (e.out, order[e.dst], e.port))
        for e in edges:
            if home[e.dst] != home[name]:
                found.setdefault(_crossing(e), e)
        if type(graph[name].op).__name__ == "IntOutput":
            # what a user's own Lava program may read: a sequence is sent as it unfolds
            (e,) = graph.in_edges(name)
            if type(graph[e.src].op).__name__ == "IntTimeStack":
                if graph[name].type.clock.phase > 1:
                    continue  # a whole sequence at once: no port carries it
                (e,) = graph.in_edges(e.src)
            else:
                e = Edge(name, "")
            found.setdefault(_crossing(e), e)
    return tuple(
        OutPort(f"out{i}", e, graph[e.src].types[e.out]) for i, e in enumerate(found.values())
    )


def _in_ports(
    graph: Graph,
    members: list[str],
    home: dict[str, str],
    names: dict[str, str],
    outputs: dict[str, tuple[OutPort, ...]],
) -> tuple[InPort, ...]:
    found: dict[tuple[str, int, int, Any], InPort] = {}
    for name in members:
        for e in graph.in_edges(name):
            producer = home[e.src]
            if producer == home[name] or _crossing(e) in found:
                continue
            port = next(p for p in outputs[producer] if _crossing(p.edge) == _crossing(e))
            found[_crossing(e)] = InPort(
                f"in{len(found)}", names[producer], port.name, e, port.type
            )
    return tuple(found.values())


def needs_int64(port: InPort | OutPort) -> bool:
    """Whether a value may exceed the 32-bit words that Lava ports usually carry.

    Those before the first delayed one may be larger than all others.
    """
    lo, hi = getattr(port.type.dtype, "lo", None), getattr(port.type.dtype, "hi", None)
    if lo is None or hi is None:
        return True
    if port.edge.delay and port.edge.init is not None:
        lo, hi = min(lo, int(port.edge.init.data.min())), max(hi, int(port.edge.init.data.max()))
    return bool(lo < -(1 << 31) or hi >= 1 << 31)
