"""Turn a group of pointwise nodes into a kernel with short, readable names."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from snnc.graph import Edge, Graph, Node, Value
from snnc.kernel import Const, Kernel, Line, State
from snnc.ops import Constant, Pointwise
from snnc.params import Param

_STATE_NAMES = "vuwabcdefghijklmn"


@dataclass(frozen=True)
class BuiltKernel:
    """The kernel, the values that feed it, and the node that each output was."""

    kernel: Kernel
    inputs: list[Value]
    outputs: list[str]


def build_kernel(graph: Graph, members: list[Node]) -> BuiltKernel:
    """Write the members, in graph order, as straight-line code.

    Constants and operations on constants alone become part of the kernel, so that its text
    shows the user's own parameters.
    """
    names = {m.name for m in members}
    ordered = [n for n in graph if n.name in names]
    builder = _Builder(graph, names)
    for node in ordered:
        builder.line(node)
    outputs = [n.name for n in ordered if any(e.dst not in names for e in graph.out_edges(n.name))]
    states = tuple(
        State(name, builder.names[edge.src] if depth == 1 else chain, init)
        for (edge, depth, chain, init), name in builder.states.values()
    )
    kernel = Kernel(
        tuple(builder.inputs.values()),
        states,
        tuple(builder.consts),
        tuple(builder.lines),
        tuple(builder.names[o] for o in outputs),
    )
    return BuiltKernel(kernel, list(builder.inputs), outputs)


class _Builder:
    def __init__(self, graph: Graph, members: set[str]) -> None:
        self.graph, self.members = graph, members
        self.names: dict[str, str] = {}
        self.inputs: dict[Value, str] = {}
        self.states: dict[
            tuple[str, int, Param | None], tuple[tuple[Edge, int, str, Param], str]
        ] = {}
        self.consts: list[Const] = []
        self.lines: list[Line] = []
        self._used: set[str] = set()

    def line(self, node: Node) -> str:
        op = node.op
        assert isinstance(op, Pointwise), f"{node.name} is not pointwise"
        args = tuple(self._operand(e) for e in self.graph.in_edges(node.name))
        prefix = "s" if op.fn in ("ge", "gt", "le", "lt", "eq", "ne") else "t"
        self.names[node.name] = name = self._fresh(prefix, always=True)
        self.lines.append(Line(name, op.fn, args))
        return name

    def _operand(self, edge: Edge) -> str:
        if edge.src in self.members:
            return self._state(edge, edge.delay) if edge.delay else self.names[edge.src]
        if edge.src in self.names:
            return self.names[edge.src]
        op = self.graph[edge.src].op
        if isinstance(op, Constant):
            return self._const(edge.src, op.value)
        if isinstance(op, Pointwise) and self._is_constant(edge.src):
            return self.line(self.graph[edge.src])
        value = Value(edge.src, edge.out, edge.delay, edge.init)
        if value not in self.inputs:
            self.inputs[value] = self._fresh("x" if not self.inputs else f"x{len(self.inputs)}")
        return self.inputs[value]

    def _is_constant(self, name: str) -> bool:
        op = self.graph[name].op
        if isinstance(op, Constant):
            return True
        edges = self.graph.in_edges(name)
        return isinstance(op, Pointwise) and all(
            not e.delay and self._is_constant(e.src) for e in edges
        )

    def _state(self, edge: Edge, depth: int) -> str:
        """The name of the member's value ``depth`` steps ago."""
        for nearer in range(1, depth):  # one after the other: a delay line may be long
            self._own_state(edge, nearer)
        return self._own_state(edge, depth)

    def _own_state(self, edge: Edge, depth: int) -> str:
        key = (edge.src, depth, edge.init)
        if key not in self.states:
            chain = self.states[edge.src, depth - 1, edge.init][1] if depth > 1 else ""
            shape = self.graph[edge.src].type.shape
            init = edge.init if edge.init is not None else Param(np.zeros((), np.float64))
            assert np.broadcast_shapes(init.shape, shape) == shape, "initial state of another shape"
            name = self._fresh(_STATE_NAMES[min(len(self.states), len(_STATE_NAMES) - 1)])
            self.states[key] = ((edge, depth, chain, init), name)
        return self.states[key][1]

    def _const(self, node: str, value: Param) -> str:
        last = re.sub(r"\W", "_", node.rsplit(".", 1)[-1], flags=re.ASCII)
        readable = last if last.isidentifier() else "c"
        self.names[node] = name = self._fresh(readable)
        self.consts.append(Const(name, value, None, node))
        return name

    def _fresh(self, base: str, always: bool = False) -> str:
        name, i = f"{base}0" if always else base, 0
        while name in self._used:
            i += 1
            name = f"{base}{i}" if always else f"{base}_{i}"
        self._used.add(name)
        return name
