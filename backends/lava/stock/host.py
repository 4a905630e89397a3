"""What the host computes around the chip: encoders without weights, and what follows the spikes."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

import numpy as np

from snnc import intops
from snnc.backends.lava.stock.plan import Source
from snnc.graph import Edge, Graph, Node, Value
from snnc.intops import IntInput, IntNeuron, IntOutput, IntRepeat, IntTimeStack
from snnc.params import Param
from snnc.types import Clock, Int

#: Layers with weights: these belong on the chip.
WEIGHTED = (
    intops.IntLinear,
    intops.IntConv,
    intops.IntConvTranspose,
    intops.IntDelayLinear,
    intops.IntEmbedding,
)
_COLLECTORS = (
    intops.IntTimeSum,
    intops.IntTimeMean,
    intops.IntTimeLast,
    intops.IntTimeMax,
    intops.IntTimeStack,
)


def unused(name: str, *taken: Container[str]) -> str:
    """A name that is not taken, like ``name``.

    >>> unused("a", {"a"}, {"a'"})
    "a''"
    """
    while any(name in names for names in taken):
        name += "'"
    return name


class Host:
    """Which nodes the host computes.

    Attributes:
        back: Nodes behind the chip: everything after the steps, collectors, and stateless nodes
            without weights that only they read.
        front: Nodes before it that are needed.
        outputs: Value between host and chip -> output of the front's program.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.back = self._back()
        self.front: set[str] = set()
        self.outputs: dict[str, str] = {}
        self._may: dict[str, bool] = {}

    def _back(self) -> set[str]:
        found: set[str] = set()
        for node in reversed(list(self.graph)):
            late = node.type.clock.kind is Clock.END or node.type.clock.phase > 1
            if late or isinstance(node.op, (*_COLLECTORS, IntOutput)):
                found.add(node.name)
                continue
            users = [e.dst for e in self.graph.out_edges(node.name)]
            stays = isinstance(node.op, (IntInput, *WEIGHTED)) or (
                isinstance(node.op, IntNeuron) and bool(node.op.kernel.states)
            )
            if not stays and users and all(u in found for u in users):
                found.add(node.name)
        return found

    def may_compute(self, name: str) -> bool:
        """Whether nothing before a node, or the node itself, has weights."""
        if name not in self._may:
            self._may[name] = True  # for loops
            node = self.graph[name]
            own = not isinstance(node.op, WEIGHTED) and name not in self.back
            self._may[name] = own and all(
                self.may_compute(e.src) for e in self.graph.in_edges(name)
            )
        return self._may[name]

    def take(self, name: str) -> None:
        """Let the host compute a node, and all that it needs."""
        if name not in self.front:
            self.front.add(name)
            for edge in self.graph.in_edges(name):
                self.take(edge.src)

    def reads_of_back(self) -> list[tuple[str, int]]:
        """Values from outside that the back reads."""
        found: dict[tuple[str, int], None] = {}
        for node in self.graph:
            if node.name in self.back:
                for edge in self.graph.in_edges(node.name):
                    if edge.src not in self.back:
                        found[edge.src, edge.out] = None
        return list(found)

    def input_name(self, name: str, out: int) -> str:
        """The name of a value between host and chip."""
        return name if out == 0 else unused(f"{name}.{out}", self.graph)

    def graphs(self, sources: list[Source], taken: set[str]) -> tuple[Graph, Graph]:
        """The programs in front and behind.

        Args:
            sources: What the chip reads.
            taken: Inputs of the back that the front computes.
        """
        return self._front_graph(sources, taken), self._back_graph()

    def _front_graph(self, sources: list[Source], taken: set[str]) -> Graph:
        old = self.graph
        new = Graph(f"{old.name}.front", old.steps, old.max_steps)
        self._copy(new, [n for n in old if n.name in self.front], {})
        wanted = {(s.node, s.out): None for s in sources}
        wanted |= dict.fromkeys(
            key for key in self.reads_of_back() if self.input_name(*key) in taken
        )
        for name, out in wanted:
            value, types = name, old[name].types[out]
            if types.clock.kind is Clock.ONCE:
                value = new.add(new.fresh(f"{name}.repeat"), IntRepeat(), Value(name, out)).name
                out = 0
            stack = new.add(new.fresh(f"{name}.stack"), IntTimeStack(), Value(value, out))
            new_output = new.add(
                new.fresh(f"to {name}"), IntOutput(Param(np.array(1.0))), stack.name
            )
            self.outputs[self.input_name(name, out)] = new_output.name
        return new

    def _back_graph(self) -> Graph:
        old = self.graph
        new = Graph(f"{old.name}.back", old.steps, old.max_steps, old.later_steps)
        sources: dict[tuple[str, int], str] = {}
        for name, out in self.reads_of_back():
            type_ = old[name].types[out]
            assert isinstance(type_.dtype, Int), "integer programs hold integers"
            lo, hi = type_.dtype.bounds
            op = IntInput(type_.shape, Clock.STEP, lo, hi, 1.0)
            own = self.input_name(name, out)
            new.declare(own, op, (replace(type_, clock=Clock.STEP),), old[name].loc)
            sources[name, out] = own
        self._copy(new, [n for n in old if n.name in self.back], sources)
        return new

    def _copy(self, new: Graph, nodes: list[Node], sources: dict[tuple[str, int], str]) -> None:
        for node in nodes:
            new.declare(node.name, node.op, node.types, node.loc)
        for node in nodes:
            for e in self.graph.in_edges(node.name):
                src, out = e.src, e.out
                if (src, out) in sources:
                    src, out = sources[src, out], 0
                new.connect(Edge(src, node.name, e.port, out, e.delay, e.init))
