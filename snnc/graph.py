"""The graph: immutable nodes in a mutable container. The only module that knows networkx.

Edges carry a delay in steps; a cycle without a delay is an error.  A delayed edge has an initial
value, which its consumer sees until the first delayed value arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import networkx as nx

from snnc.delay_ops import LONGEST_DELAY
from snnc.diagnostics import CompileError, Diagnostic, Loc, error
from snnc.ops import Op
from snnc.params import Param
from snnc.time_ops import Sequence
from snnc.types import TensorType


@dataclass(frozen=True, slots=True)
class Node:
    """One operator application. ``types`` has one entry per output."""

    name: str
    op: Op
    types: tuple[TensorType, ...]
    loc: Loc

    @property
    def type(self) -> TensorType:
        """Type of the only (or first) output."""
        return self.types[0]


@dataclass(frozen=True, slots=True)
class Edge:
    """Output ``out`` of ``src`` into operand ``port`` of ``dst``, ``delay`` steps later.

    ``init`` is what arrives before the first delayed value; None means zeros.
    """

    src: str
    dst: str
    port: int = 0
    out: int = 0
    delay: int = 0
    init: Param | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """An operand: output ``out`` of node ``src``, ``delay`` steps ago."""

    src: str
    out: int = 0
    delay: int = 0
    init: Param | None = None


class Graph:
    """A network of named nodes.

    Args:
        name: Of the network.
        steps: Time steps of one sample as the model was traced; the default for static inputs.
        max_steps: Longest sequence for which ranges are proven; 0 means any length.
        later_steps: Steps of the second loop and those behind it; 0, also if there is no entry,
            means as many as the first.
    """

    def __init__(
        self, name: str, steps: int = 1, max_steps: int = 0, later_steps: tuple[int, ...] = ()
    ) -> None:
        self.name = name
        self.steps = steps
        self.max_steps = max_steps
        self.later_steps = later_steps
        self._g: nx.MultiDiGraph[str] = nx.MultiDiGraph()

    def __iter__(self) -> Iterator[Node]:
        """Nodes in a deterministic order: undelayed producers before their consumers."""
        order = {name: i for i, name in enumerate(self._g)}
        for name in nx.lexicographical_topological_sort(self._undelayed(), key=order.__getitem__):
            yield self[name]

    def __len__(self) -> int:
        return len(self._g)

    def __contains__(self, name: object) -> bool:
        return name in self._g

    def __getitem__(self, name: str) -> Node:
        node = self._g.nodes[name]["node"]
        assert isinstance(node, Node)
        return node

    @property
    def nodes(self) -> list[Node]:
        """All nodes in insertion order, also of a graph with an illegal cycle."""
        return [self[name] for name in self._g]

    @property
    def edges(self) -> list[Edge]:
        """All edges."""
        return [data["edge"] for _, _, data in self._g.edges(data=True)]

    def in_edges(self, name: str) -> list[Edge]:
        """Edges into the node, by port."""
        found: list[Edge] = [d["edge"] for _, _, d in self._g.in_edges(name, data=True)]
        return sorted(found, key=lambda e: e.port)

    def out_edges(self, name: str) -> list[Edge]:
        """Edges out of the node, in insertion order of the consumers."""
        return [d["edge"] for _, _, d in self._g.out_edges(name, data=True)]

    def operands(self, name: str) -> list[Node]:
        """Producers of the node's inputs, by port."""
        return [self[e.src] for e in self.in_edges(name)]

    def users(self, name: str) -> list[Node]:
        """Consumers of any of the node's outputs."""
        return [self[e.dst] for e in self.out_edges(name)]

    @property
    def phases(self) -> int:
        """Number of loops over time, one after the other; at least 1."""
        return max([1, *(t.clock.phase for n in self.nodes for t in n.types)])

    def steps_of(self, phase: int, first: int) -> int:
        """Steps of a loop (they count from 1), if the first loop has ``first``."""
        own = self.later_steps[phase - 2] if 1 < phase < len(self.later_steps) + 2 else 0
        return own or first

    def copy(self) -> Graph:
        """A shallow copy that shares the nodes."""
        new = Graph(self.name, self.steps, self.max_steps, self.later_steps)
        new._g = self._g.copy()
        return new

    def fresh(self, name: str) -> str:
        """Return a name that is not taken: ``name``, ``name#2``, ``name#3`` and so on."""
        candidate, i = name, 1
        while candidate in self._g:
            i += 1
            candidate = f"{name}#{i}"
        return candidate

    def add(self, name: str, op: Op, *inputs: str | Value, loc: Loc | None = None) -> Node:
        """Append a node fed by ``inputs`` and infer its types.

        Raises:
            CompileError: E201 if the name is taken, E202 if the operands do not fit.
        """
        loc = loc or Loc(name)
        if name in self:
            raise CompileError([error("E201", f"two nodes are named {name!r}", loc)])
        values = [Value(v) if isinstance(v, str) else v for v in inputs]
        try:
            types = op.infer(tuple(self.type_of(v) for v in values))
        except ValueError as e:
            raise CompileError([error("E202", f"{type(op).__name__}: {e}", loc)]) from e
        node = Node(name, op, types, loc)
        self._g.add_node(name, node=node)
        for port, v in enumerate(values):
            self.connect(Edge(v.src, name, port, v.out, v.delay, v.init))
        return node

    def declare(self, name: str, op: Op, types: tuple[TensorType, ...], loc: Loc) -> None:
        """Add a node whose edges follow later (loops need that); ``check`` judges it then."""
        if name in self:
            raise CompileError([error("E201", f"two nodes are named {name!r}", loc)])
        self._g.add_node(name, node=Node(name, op, types, loc))

    def connect(self, edge: Edge) -> None:
        """Add an edge between existing nodes."""
        assert edge.src in self, f"{edge} starts nowhere"
        assert edge.dst in self, f"{edge} ends nowhere"
        self._g.add_edge(edge.src, edge.dst, edge=edge)

    def disconnect(self, edge: Edge) -> None:
        """Remove one edge."""
        data = self._g[edge.src][edge.dst]
        key = next(k for k, d in data.items() if d["edge"] == edge)
        self._g.remove_edge(edge.src, edge.dst, key)

    def type_of(self, value: Value) -> TensorType:
        """Type of an operand."""
        return self[value.src].types[value.out]

    def replace(self, node: Node) -> None:
        """Put ``node`` in the place of the node of that name, keeping its edges."""
        self._g.nodes[node.name]["node"] = node

    def redirect(self, old: str, new: Value, out: int = 0) -> None:
        """Feed all consumers of output ``out`` of ``old`` from ``new``."""
        for e in self.out_edges(old):
            if e.out == out:
                self.disconnect(e)
                delay = e.delay + new.delay
                init = e.init if e.delay else new.init
                self.connect(replace(e, src=new.src, out=new.out, delay=delay, init=init))

    def remove(self, name: str) -> None:
        """Remove a node and its edges."""
        self._g.remove_node(name)

    def check(self) -> list[Diagnostic]:
        """Every violated structural or type invariant."""
        undelayed = self._undelayed()
        if not nx.is_directed_acyclic_graph(undelayed):
            cycle = [self[edge[0]] for edge in nx.find_cycle(undelayed)]
            path = [f"{n.name}: {n.loc}" for n in cycle]
            hint = "a loop needs a state or a delay of at least one step"
            return [error("E203", "cycle without a delay", cycle[0].loc, *path, help=hint)]
        found: list[Diagnostic] = []
        for node in self:
            edges = self.in_edges(node.name)
            if [e.port for e in edges] != list(range(len(edges))):
                found.append(error("E202", f"{node.name} misses an operand", node.loc))
                continue
            try:
                inferred = node.op.infer(tuple(self[e.src].types[e.out] for e in edges))
            except (ValueError, IndexError) as e:
                found.append(error("E202", f"{type(node.op).__name__}: {e}", node.loc))
                continue
            have = [(t.shape, t.clock) for t in node.types]
            if [(t.shape, t.clock) for t in inferred] != have:
                text = f"type of {node.name} is {node.type}, its operator infers {inferred[0]}"
                found.append(error("E204", text, node.loc))
            for edge in edges:
                if edge.delay > LONGEST_DELAY:
                    text = f"{node.name} reads {edge.src} of {edge.delay:,} steps ago"
                    why = f"the longest delay is {LONGEST_DELAY:,} steps"
                    hint = "use a longer time step, or several populations in a row"
                    found.append(error("E216", text, node.loc, why, help=hint))
                read_in = node.type.clock.phase - isinstance(node.op, Sequence)
                phases = self[edge.src].types[edge.out].clock.phase, read_in
                if edge.delay and phases[0] != phases[1] and max(phases) > 1:
                    text = f"{node.name} reads {edge.src} of an earlier step of another loop"
                    found.append(error("E204", text, node.loc))
        return found

    def verify(self) -> None:
        """Raise CompileError with everything that ``check`` finds."""
        if found := self.check():
            raise CompileError(found)

    def _undelayed(self) -> nx.DiGraph[str]:
        g: nx.DiGraph[str] = nx.DiGraph()
        g.add_nodes_from(self._g)
        g.add_edges_from((e.src, e.dst) for e in self.edges if e.delay == 0)
        return g

    def __str__(self) -> str:
        from snnc.printer import text  # the printer knows every operator; avoid the cycle

        return text(self)
