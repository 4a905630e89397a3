"""The first and last layers with weights, which may keep more bits than those between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from snnc import ops
from snnc.graph import Graph
from snnc.passes.choose_codes import weighted_names
from snnc.quantization import Plan


def with_ends(plan: Plan, graph: Graph) -> Plan:
    """The plan with the bits of first and last layers by name; a layer's own come first."""
    if plan.first is None and plan.last is None:
        return plan
    layers = dict(plan.layers)
    for bits, names in ((plan.last, last_layers(graph)), (plan.first, first_layers(graph))):
        for name in names if bits is not None else ():
            if plan.of(name).bits is None:
                layers[name] = replace(layers.get(name, plan.of(name)), bits=bits)
    return replace(plan, layers=layers, first=None, last=None)


def first_layers(graph: Graph) -> list[str]:
    """Layers that an input reaches with no other layer between."""
    starts = [n.name for n in graph if isinstance(n.op, ops.Input)]
    return _reached(graph, starts, lambda name: [e.dst for e in graph.out_edges(name)])


def last_layers(graph: Graph) -> list[str]:
    """Layers that reach an output with no other layer between."""
    ends = [n.name for n in graph if isinstance(n.op, ops.Output)]
    return _reached(graph, ends, lambda name: [e.src for e in graph.in_edges(name)])


def _reached(graph: Graph, starts: list[str], near: Callable[[str], Iterable[str]]) -> list[str]:
    weighted, seen, found = set(weighted_names(graph)), set(starts), []
    while starts:
        name = starts.pop()
        if name in weighted:
            found.append(name)
            continue
        new = [n for n in near(name) if n not in seen]
        seen.update(new)
        starts += new
    return sorted(found)
