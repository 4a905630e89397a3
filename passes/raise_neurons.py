"""Find the neurons: collect elementwise state cycles into kernels.

A neuron is found in the graph, never by a class name:

1. cores: strongly connected pointwise nodes (a state loop), and comparisons without state;
2. cores that feed each other over pointwise, non-spike values are one neuron
   (synaptic current -> membrane);
3. a core grows downstream from its membrane up to its spikes, and upstream over scaling, biases
   and residual adds that feed nothing else.

What is cut at the border becomes an input or output of the kernel.  Spikes always end a neuron,
so a population is never merged with the next one.  Additions that stay outside become ``Sum``,
and a loop that only adds up its input, ``acc' = acc + x`` read after the last step, a ``TimeSum``.
Any other arithmetic between values (differences of spikes, products, gates, what follows the last
step) is a neuron without state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import networkx as nx
import numpy as np

from snnc.diagnostics import CompileError, Loc, fail
from snnc.graph import Edge, Graph, Node, Value
from snnc.kernel import PREDICATES
from snnc.ops import Constant, Neuron, Pointwise, Sum, TimeLast, TimeSum
from snnc.passes.base import Context, Pass
from snnc.passes.build_kernel import build_kernel
from snnc.passes.split_masks import split_masks
from snnc.types import Clock


@dataclass(frozen=True)
class RaiseNeurons(Pass):
    """Replace elementwise state cycles by ``Neuron`` nodes."""

    name: ClassVar[str] = "raise-neurons"

    def run(self, graph: Graph, ctx: Context) -> Graph:
        split_masks(graph)  # no part of a neuron
        _raise_accumulators(graph)
        for group in (part for whole in _groups(graph) for part in _parts(graph, whole)):
            members = [n for n in graph.nodes if n.name in group]
            try:
                _replace(graph, members)
                list(graph)  # raises if there is no order to compute the nodes in
            except nx.NetworkXUnfeasible:
                raise _entangled(members) from None
        for node in list(graph.nodes):
            if node.op == Pointwise("add") and _same_shapes(graph, node):
                _as_sum(graph, node)
        while group := _stateless(graph):  # found anew: one group can come between another's ends
            _replace(graph, [n for n in graph.nodes if n.name in group])
        _drop_unused_constants(graph)
        return graph

    def ensures(self, graph: Graph) -> None:
        points = {n.name for n in graph.nodes if isinstance(n.op, Pointwise)}
        loops = [e for e in graph.edges if e.delay and {e.src, e.dst} <= points]
        assert not loops, "a state outside a neuron is left"


def is_constant(graph: Graph, name: str, memo: dict[str, bool]) -> bool:
    """Whether a node depends on parameters alone."""
    if name not in memo:
        op = graph[name].op
        memo[name] = isinstance(op, Constant) or (
            isinstance(op, Pointwise)
            and all(not e.delay and is_constant(graph, e.src, memo) for e in graph.in_edges(name))
        )
    return memo[name]


def _pointwise(graph: Graph) -> list[str]:
    """Pointwise nodes that are computed in every step."""
    nodes = (n for n in graph.nodes if isinstance(n.op, Pointwise))
    return [n.name for n in nodes if n.type.clock.kind is Clock.STEP]


def _groups(graph: Graph) -> list[set[str]]:
    memo: dict[str, bool] = {}
    points = {x for x in _pointwise(graph) if _delayed(graph, x) or not is_constant(graph, x, memo)}
    flow: nx.DiGraph[str] = nx.DiGraph()
    flow.add_nodes_from(n.name for n in graph.nodes if n.name in points)
    edges = [e for e in graph.edges if e.src in points and e.dst in points]
    flow.add_edges_from((e.src, e.dst) for e in edges)
    spikes = _spikes(graph, points)
    order = {n.name: i for i, n in enumerate(graph.nodes)}
    cores = [
        set(c)
        for c in nx.strongly_connected_components(flow)
        if len(c) > 1 or any(flow.has_edge(x, x) for x in c)
    ]
    taken = set().union(*cores)
    loops = set(taken)
    now: nx.DiGraph[str] = nx.DiGraph()
    now.add_nodes_from(flow)
    now.add_edges_from((e.src, e.dst) for e in edges if not e.delay)
    fused = _fuse(graph, cores, now, spikes)
    fused += [{x} for x in sorted(points - taken, key=order.__getitem__) if _is_core(graph, x)]
    fused.sort(key=lambda c: min(order[x] for x in c))
    owner = {x: i for i, c in enumerate(fused) for x in c}
    fused = _grow(graph, fused, owner, now, spikes, loops)
    return [group for group in fused if group]


def _parts(graph: Graph, group: set[str]) -> list[set[str]]:
    """The group, cut wherever its value passes through a layer and comes back within one step."""
    if not _layer_between(graph, group):
        return [group]
    depth: dict[str, int] = {}
    for node in graph:
        own = node.name in group
        sources = [e.src for e in graph.in_edges(node.name) if not e.delay and e.src in depth]
        found = [depth[x] + (own and x not in group) for x in sources]
        if own or found:
            depth[node.name] = max(found, default=0)
    levels = sorted({depth[x] for x in group})
    return [{x for x in group if depth[x] == level} for level in levels]


def _stateless(graph: Graph) -> set[str]:
    """Pointwise nodes that stayed outside and that no operator of integers takes as they are.

    Those that feed each other are one group, unless something between them would be left out.
    """
    memo: dict[str, bool] = {}
    nodes = (n.name for n in graph.nodes if isinstance(n.op, Pointwise))
    left = {x for x in nodes if not is_constant(graph, x, memo)}
    near: nx.Graph[str] = nx.Graph()
    near.add_nodes_from(n.name for n in graph.nodes if n.name in left)
    near.add_edges_from(
        (e.src, e.dst)
        for e in graph.edges
        if {e.src, e.dst} <= left and graph[e.src].type.clock is graph[e.dst].type.clock
    )
    for part in map(set, nx.connected_components(near)):
        if all(_is_affine(graph, x, memo) for x in part):
            continue
        sources = set().union(*(_dynamic_sources(graph, x) for x in part))
        if _downstream(graph, part).isdisjoint(sources):
            return part
        return {next(x for x in near if x in part and not _is_affine(graph, x, memo))}
    return set()


def _is_affine(graph: Graph, name: str, memo: dict[str, bool]) -> bool:
    """Whether a node only scales or shifts one value by constants."""
    node = graph[name]
    assert isinstance(node.op, Pointwise), "asked of pointwise nodes"
    edges = graph.in_edges(name)
    constants = [is_constant(graph, e.src, memo) for e in edges]
    shapes = {
        graph[e.src].types[e.out].shape
        for e, known in zip(edges, constants, strict=True)
        if not known
    }
    if shapes != {node.type.shape}:  # a constant makes it larger
        return False
    if node.op.fn == "neg":
        return True
    if node.op.fn == "div":
        return constants == [False, True]
    return node.op.fn in ("add", "sub", "mul") and sum(constants) == 1


def _delayed(graph: Graph, name: str) -> bool:
    return any(e.delay for e in graph.in_edges(name))


def _is_core(graph: Graph, name: str) -> bool:
    op = graph[name].op
    return isinstance(op, Pointwise) and op.fn in ("ge", "gt", "le", "lt", "eq", "ne")


def _spikes(graph: Graph, points: set[str]) -> set[str]:
    """Pointwise nodes whose value is 0 or 1."""
    found: set[str] = set()
    for node in graph.nodes:
        op = node.op
        if node.name not in points or not isinstance(op, Pointwise):
            continue
        sources = [e.src for e in graph.in_edges(node.name)]
        if op.fn in PREDICATES or (op.fn == "mul" and all(s in found for s in sources)):
            found.add(node.name)
    return found


def _fuse(
    graph: Graph, cores: list[set[str]], now: nx.DiGraph[str], spikes: set[str]
) -> list[set[str]]:
    """Merge cores connected by a path of non-spike pointwise nodes, unless a layer lies between."""
    groups = dict(enumerate(cores))
    owner = {x: i for i, c in enumerate(cores) for x in c}
    at = {i: i for i in groups}  # of every core, the group that it is in
    for i, core in enumerate(cores):
        stack, seen = [x for x in core if x not in spikes], set(core)
        while stack:
            for y in now.successors(stack.pop()):
                if y in seen or y in spikes:
                    continue
                seen.add(y)
                if y not in owner:
                    stack.append(y)
                    continue
                a, b = sorted((at[i], at[owner[y]]))
                if a != b and not _layer_between(graph, groups[a] | groups[b]):
                    groups[a] |= groups.pop(b)
                    at = {k: a if v == b else v for k, v in at.items()}
    return list(groups.values())


def _layer_between(graph: Graph, group: set[str]) -> bool:
    """Whether a path leaves the group and comes back, in one step, through another operator."""
    after = _downstream(graph, group)
    before = _reached(group, lambda name: [e.src for e in graph.in_edges(name) if not e.delay])
    return any(not isinstance(graph[x].op, Pointwise) for x in after & before)


def _grow(
    graph: Graph,
    cores: list[set[str]],
    owner: dict[str, int],
    now: nx.DiGraph[str],
    spikes: set[str],
    loops: set[str],
) -> list[set[str]]:
    groups = [set(c) for c in cores]

    def take(name: str, i: int) -> None:
        old = owner.get(name)
        if old is not None:  # a comparison of this neuron's membrane that was a core of its own
            groups[old].discard(name)
        owner[name] = i
        groups[i].add(name)

    for i, group in enumerate(groups):
        stateful = bool(group & loops)
        stack = [n.name for n in graph.nodes if n.name in group and n.name not in spikes]
        while stack:
            for y in now.successors(stack.pop(0)):
                if owner.get(y) == i or y in loops or (y in owner and not stateful):
                    continue
                if _downstream(graph, groups[i]).isdisjoint(_dynamic_sources(graph, y) - groups[i]):
                    take(y, i)
                    stack += [] if y in spikes else [y]
    for i, group in enumerate(groups):
        stack = [n.name for n in graph.nodes if n.name in group]
        while stack:
            for y in list(now.predecessors(stack.pop())):
                if y in owner or y in spikes:
                    continue
                if all(owner.get(e.dst) == i for e in graph.out_edges(y)):
                    take(y, i)
                    stack.append(y)
    return groups


def _downstream(graph: Graph, group: set[str]) -> set[str]:
    """Every node that the group reaches within one step; taking such an input makes a cycle."""
    return _reached(group, lambda name: [e.dst for e in graph.out_edges(name) if not e.delay])


def _reached(group: set[str], next_to: Callable[[str], Iterable[str]]) -> set[str]:
    """Every name outside the group that one comes to from it."""
    seen: set[str] = set()
    stack = sorted(group)
    while stack:
        new = set(next_to(stack.pop())) - seen
        seen |= new
        stack += new
    return seen - group


def _dynamic_sources(graph: Graph, name: str) -> set[str]:
    memo: dict[str, bool] = {}
    return {e.src for e in graph.in_edges(name) if e.delay or not is_constant(graph, e.src, memo)}


def _entangled(members: list[Node]) -> CompileError:
    """The error for a group that is left and entered again within one step."""
    text = "two populations feed each other within one step and cannot be told apart"
    places = dict.fromkeys(str(m.loc) for m in members)
    hint = "let one of them read the other's spikes of the step before"
    return fail("E213", text, members[0].loc, *places, help=hint)


def _replace(graph: Graph, members: list[Node]) -> None:
    """Put one Neuron in the place of the members."""
    names = {m.name for m in members}
    shape = np.broadcast_shapes(*(m.type.shape for m in members))
    built = build_kernel(graph, members)
    primary = next((m for m in members if _is_core(graph, m.name)), members[0])
    states = [
        m for m in members if any(e.delay and e.src in names for e in graph.out_edges(m.name))
    ]
    anchor = states[0] if states else primary
    inline = anchor.loc.path in ("", anchor.name)  # code of the outermost module, not a layer
    name = graph.fresh("neuron" if inline else anchor.loc.path)
    loc = Loc(name, anchor.loc.file, anchor.loc.line)
    leaving = [e for e in graph.edges if e.src in names and e.dst not in names]
    op = Neuron(built.kernel, tuple(shape))
    types = op.infer(tuple(graph.type_of(v) for v in built.inputs))
    graph.declare(name, op, types, loc)
    for port, v in enumerate(built.inputs):
        graph.connect(Edge(v.src, name, port, v.out, v.delay, v.init))
    for e in leaving:
        graph.disconnect(e)
        out = built.outputs.index(e.src)
        graph.connect(Edge(name, e.dst, e.port, out, e.delay, e.init))
    for m in members:
        graph.remove(m.name)


def _raise_accumulators(graph: Graph) -> None:
    """``acc' = acc + x`` from zero, read only after the last step, is a TimeSum."""
    for node in list(graph.nodes):
        if node.op != Pointwise("add"):
            continue
        edges = graph.in_edges(node.name)
        back = [e for e in edges if e.src == node.name and e.delay == 1]
        users = [e for e in graph.out_edges(node.name) if e.dst != node.name]
        if len(back) != 1 or not users:
            continue
        zero = back[0].init is None or not back[0].init.data.any()
        last = all(isinstance(graph[e.dst].op, TimeLast) for e in users)
        (x,) = (e for e in edges if e is not back[0])
        source = graph[x.src].types[x.out]
        steady = source.clock.kind is not Clock.STEP  # then it is a sum of equal values
        if not (zero and last) or steady or source.shape != node.type.shape:
            continue
        for e in users:
            reader = graph[e.dst]
            graph.disconnect(e)
            graph.connect(Edge(x.src, reader.name, 0, x.out, x.delay, x.init))
            types = TimeSum().infer((graph[x.src].types[x.out],))
            graph.replace(Node(reader.name, TimeSum(), types, reader.loc))
        graph.remove(node.name)


def _same_shapes(graph: Graph, node: Node) -> bool:
    memo: dict[str, bool] = {}
    edges = graph.in_edges(node.name)
    shapes = {graph[e.src].types[e.out].shape for e in edges}
    dynamic = not any(is_constant(graph, e.src, memo) for e in edges)
    return dynamic and shapes == {node.type.shape}


def _as_sum(graph: Graph, node: Node) -> None:
    types = Sum().infer(tuple(graph[e.src].types[e.out] for e in graph.in_edges(node.name)))
    graph.replace(Node(node.name, Sum(), types, node.loc))


def _drop_unused_constants(graph: Graph) -> None:
    memo: dict[str, bool] = {}
    for node in reversed(list(graph)):
        if not graph.out_edges(node.name) and is_constant(graph, node.name, memo):
            graph.remove(node.name)


__all__ = ["RaiseNeurons", "Value", "is_constant"]
