"""Memory plan: which static array holds each value of the graph.

``IntReshape``, ``IntRepeat``, ``IntHold``, ``IntTimeSum`` read at the end, and outputs of
constant or final values are the arrays of their operands under another name; no code and no
memory.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from math import prod

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer, Delay, bounds_of
from snnc.backends.c.joins import Join
from snnc.backends.c.layouts import ELEMENTWISE, SOURCES, may_be_last
from snnc.backends.c.machines import HOST, Machine
from snnc.backends.c.packing import MOST_REPEATS, PairRows, pair_rows, tile_words
from snnc.backends.c.sums import matmul_bounds, raw_bounds, sum_bounds
from snnc.backends.c.views import has_rows, is_followed, is_written, read_view
from snnc.backends.c.words import Bounds, computed, fits, hull, index_type, stored
from snnc.graph import Edge, Graph, Node
from snnc.intops import (
    IntConv,
    IntConvTranspose,
    IntDelayLinear,
    IntHold,
    IntInput,
    IntLinear,
    IntMatmul,
    IntMaxPool,
    IntNeuron,
    IntOutput,
    IntRepeat,
    IntReshape,
    IntSumPool,
    IntTimeLast,
    IntTimeMax,
    IntTimeMean,
    IntTimeStack,
    IntTimeSum,
)
from snnc.time_ops import Sequence
from snnc.types import Clock

#: Operators that work on events: spike numbers, or numbers of nonzero elements with the value.
EVENT_OPS = (IntLinear, IntDelayLinear, IntConv, IntConvTranspose, IntSumPool, IntMaxPool)
#: Weights of a convolution that are kept in 16 bits, some of them zeros.
MOST_SCATTERED = 1 << 15
#: Operators that collect something in every step although their value is of clock END.
COLLECTORS = (IntTimeSum, IntTimeMean, IntTimeMax, IntTimeLast, IntTimeStack)


class Plan:
    """Names and arrays of everything in a graph that ``check`` has accepted."""

    def __init__(self, graph: Graph, machine: Machine = HOST) -> None:
        self.graph = graph
        self.machine = machine
        self.nodes = list(graph)
        self.index = {node.name: i for i, node in enumerate(self.nodes)}
        self._values: dict[tuple[str, int], Buffer] = {}
        #: Layers that are joined, and the populations that read them.
        self.joins: dict[str, Join] = {}

    def join(self, found: dict[str, Join]) -> None:
        """Join layers, before anything is written."""
        self.joins = found
        self._values.clear()

    def _is_listed(self, name: str, out: int) -> bool:
        """Whether a layer reads the list of a value's spikes, also under another name."""
        for e in self.graph.out_edges(name):
            user = self.graph[e.dst]
            if e.out != out:
                continue
            if self.is_alias(user) and not e.delay:
                if self._is_listed(e.dst, 0):
                    return True
                continue
            read = isinstance(user.op, EVENT_OPS) and (not e.delay or self.reads_last(e))
            if read and not self._lists_rows(user):
                return True
        return False

    def _lists_rows(self, node: Node) -> bool:
        """Whether a layer makes lists of its own, one for every row of its output."""
        if isinstance(node.op, IntConv):
            return self.windows(node) is not None
        if isinstance(node.op, IntSumPool | IntMaxPool):
            return self.pools_rows(node)
        if not self.machine.is_host or not isinstance(node.op, IntLinear):
            return False
        (edge,) = self.graph.in_edges(node.name)
        return self.graph[edge.src].types[edge.out].size > node.op.weight.shape[1]

    def id(self, node: Node, part: str) -> str:
        """Identifier of a part of a layer."""
        return names.layer(self.index[node.name], part)

    def label(self, node: Node) -> str:
        """Identifier that reminds of the layer's own name."""
        return self.id(node, node.name)

    def operands(self, node: Node) -> list[Buffer]:
        """Arrays that the node reads, by port."""
        return [self.operand(e) for e in self.graph.in_edges(node.name)]

    def operand(self, edge: Edge) -> Buffer:
        """The array at the end of an edge."""
        if edge.delay and not self.reads_last(edge):
            return self.delays[self._delay_key(edge)].buffer
        return self.value(edge.src, edge.out)

    def reads_last(self, edge: Edge) -> bool:
        """Whether a delayed value is still in the array of its population.

        So it is if all that read it one step later run before the neurons do.
        """
        source = self.graph[edge.src]
        if edge.delay != 1 or not isinstance(source.op, IntNeuron) or not self.machine.is_host:
            return False
        if bounds_of(source, edge.out)[0] > 0 or source.type.clock.kind is not Clock.STEP:
            return False
        edges = [e for e in self.graph.out_edges(source.name) if e.out == edge.out and e.delay == 1]
        return all(
            self.index[e.dst] < self.index[source.name]
            and (e.init is None or not e.init.data.any())
            and phase(self.graph, self.graph[e.dst]) is source.type.clock
            for e in edges
        )

    def value(self, name: str, out: int = 0) -> Buffer:
        """The array of a node's output."""
        if (name, out) not in self._values:
            self._values[name, out] = self._value(self.graph[name], out)
        return self._values[name, out]

    def _value(self, node: Node, out: int) -> Buffer:
        if self.is_alias(node):
            return replace(self.operands(node)[0], shape=node.type.shape)
        bounds = bounds_of(node, out)
        part, ctype = "y", stored(bounds)
        match node.op:
            case IntNeuron(kernel=kernel):
                part = f"y{out}_{kernel.outputs[out]}"
            case IntLinear() if pairs := self.pairs(node) or self.quads(node):
                ctype = pairs.ctype
                if raw := self.raw_sums(node):
                    join = self.joins.get(node.name)
                    bounds = join.bounds if join and join.first == node.name else raw
                    ctype = "int16_t"
            case IntConv() if pairs := self.windows(node):
                ctype = pairs.ctype
                if raw := self.raw_sums(node):
                    bounds, ctype = raw, "int16_t"
            case IntConv() if raw := self.raw_sums(node):
                bounds, ctype = raw, "int16_t"
            case IntSumPool() if self.pools_rows(node):
                pass
            case IntLinear() | IntSumPool():
                # events add up in place, so the array also holds every partial sum
                (source,) = self.operands(node)
                ctype = computed(bounds, sum_bounds(node.op, source.bounds))
            case IntTimeSum() | IntTimeMax() | IntTimeLast() | IntTimeStack():
                part, bounds = "acc", hull(bounds, (0, 0))
                ctype = stored(bounds)
        shape = node.types[out].shape
        channels = shape[0] if self._is_last(node) else 0
        found = Buffer(self.id(node, part), ctype, bounds, shape, channels=channels)
        self._values[node.name, out] = found  # whether a reader lists it depends on its order
        # A list is made from bytes; what is collected is read only once.
        can = found.is_spikes and ctype == "uint8_t" and not isinstance(node.op, COLLECTORS)
        if can and self._is_listed(node.name, out):
            listed = isinstance(node.op, IntNeuron) and not self.machine.is_host
            alone = listed and self._only_events_read(node.name, out)
            found = replace(found, ids=self.id(node, f"ids{out}"), only_listed=alone)
        return found

    def _only_events_read(self, name: str, out: int) -> bool:
        """Whether all that reads a value takes its spike list."""
        for e in self.graph.out_edges(name):
            user = self.graph[e.dst]
            if e.out != out:
                continue
            if self.is_alias(user) and not e.delay and self._only_events_read(e.dst, 0):
                continue
            if e.delay or not isinstance(user.op, EVENT_OPS):
                return False
        return True

    def _is_last(self, node: Node) -> bool:
        """Whether the channels of a value are innermost."""
        if not self.machine.is_host or not isinstance(node.op, SOURCES + ELEMENTWISE):
            return False
        if not may_be_last(self.graph, node):
            return False
        if isinstance(node.op, SOURCES):
            return True
        whole = [b for b in self.operands(node) if b.shape == node.type.shape]
        return any(b.channels == node.type.shape[0] for b in whole)

    def pairs(self, node: Node) -> PairRows | None:
        """How a linear layer adds pairs of weights, or None if it adds one after the other."""
        op, (x,) = node.op, self.operands(node)
        assert isinstance(op, IntLinear), "called for linear layers only"
        if x.ctype != "uint8_t" or not self.machine.is_host:
            return None
        if x.size == op.weight.shape[1] and not x.is_spikes:
            return None
        found = pair_rows(op, x.bounds, bounds_of(node))
        out, fan_in = op.weight.shape
        if found is None or node.type.size != out:
            return found
        return replace(found, tile=tile_words(found, out, fan_in))

    def windows(self, node: Node) -> PairRows | None:
        """How a convolution adds pairs of weights row by row, or None if spike by spike."""
        op = node.op
        if not self.machine.is_host or not isinstance(op, IntConv) or op.groups > 1:
            return None
        (x,) = self.operands(node)
        if x.ctype != "uint8_t" or not x.channels or not self._is_last(node):
            return None
        return pair_rows(op, x.bounds, bounds_of(node))

    def scatters(self, node: Node) -> bool:
        """Whether the spikes of a convolution add rows of 16-bit weights to 16-bit sums."""
        op = node.op
        if not self.machine.is_host or not isinstance(op, IntConv) or op.groups > 1:
            return False
        if set(op.dilation) != {1} or not self._is_last(node) or self.windows(node):
            return False
        (x,) = self.operands(node)
        cases = prod(-(-k // s) * s for k, s in zip(op.weight.shape[2:], op.stride, strict=True))
        if x.channels or not x.is_spikes or prod(op.weight.shape[:2]) * cases > MOST_SCATTERED:
            return False
        return fits(raw_bounds(op, (0, 1)), "int16_t")

    def pools_rows(self, node: Node) -> bool:
        """Whether a pool adds or joins whole vectors of channels."""
        if not isinstance(node.op, IntSumPool | IntMaxPool) or not self._is_last(node):
            return False
        (x,) = self.operands(node)
        return bool(x.channels) and x.ctype == stored(bounds_of(node)) == "uint8_t"

    def quads(self, node: Node) -> PairRows | None:
        """How a linear layer adds four weights at once, or None if it adds one after the other."""
        op, (x,) = node.op, self.operands(node)
        assert isinstance(op, IntLinear), "called for linear layers only"
        if self.machine.is_host or not x.is_spikes or x.ctype != "uint8_t":
            return None
        if x.size != op.weight.shape[1] or index_type(x.size) != "uint16_t":
            return None
        return pair_rows(op, x.bounds, bounds_of(node))

    def raw_sums(self, node: Node) -> Bounds | None:
        """Interval of the sums of a linear layer that leaves its shift and bias to its readers.

        They are neurons, and all sums have 16 bits; None for other layers.
        """
        op = node.op
        if not isinstance(op, IntLinear | IntConv) or not (op.shift or op.bias):
            return None
        pairs = self.pairs(node) if isinstance(op, IntLinear) else self.windows(node)
        edges = self.graph.out_edges(node.name)
        if not edges or ((pairs is None or pairs.most) and not self.scatters(node)):
            return None
        for e in edges:
            reader = self.graph[e.dst]
            same = reader.type.clock is node.type.clock and not e.delay
            if not (same and isinstance(reader.op, IntNeuron)):
                return None
        return raw_bounds(op, self.operands(node)[0].bounds)

    @cached_property
    def delays(self) -> dict[tuple[object, ...], Delay]:
        """Queues of delayed values; edges with equal source, delay and start share one."""
        found: dict[tuple[object, ...], Delay] = {}
        count: dict[str, int] = {}
        for node in self.nodes:
            for e in self.graph.in_edges(node.name):
                key = self._delay_key(e)
                if e.delay and key not in found and not self.reads_last(e):
                    n = count[e.src] = count.get(e.src, -1) + 1
                    name = self.id(self.graph[e.src], f"d{n}")
                    found[key] = self._delay(name, e)
        return found

    def _delay(self, name: str, edge: Edge) -> Delay:
        # The producer's own type, not its array: that may depend on this queue.
        producer = self.graph[edge.src]
        start = (0, 0)
        if edge.init is not None:
            start = int(edge.init.data.min()), int(edge.init.data.max())
        bounds = hull(bounds_of(producer, edge.out), start)
        shape = producer.types[edge.out].shape
        return Delay(name, edge, Buffer(f"{name}[0]", stored(bounds), bounds, shape))

    def chained(self, node: Node) -> Node | None:
        """The product ``a b`` if this layer computes ``(a b) c`` as ``a (b c)``."""
        if not self.machine.is_host or not isinstance(node.op, IntMatmul):
            return None
        left, right = self.graph.in_edges(node.name)
        inner = self.graph[left.src]
        if left.delay or not isinstance(inner.op, IntMatmul) or inner.op.shift:
            return None
        if len(self.graph.out_edges(inner.name)) > 1 or inner.type.clock is not node.type.clock:
            return None
        edges = (*self.graph.in_edges(inner.name), right)
        if any(e.delay for e in edges):
            return None
        a, b, c = (self.graph[e.src].types[e.out] for e in edges)
        (r, d), n, e = a.shape[-2:], b.shape[-1], c.shape[-1]
        if not a.shape[:-2] == b.shape[:-2] == c.shape[:-2]:
            return None
        if d * n * e + r * d * e >= r * d * n + r * n * e:
            return None
        (left_a, left_b), right_c = self.operands(inner), self.operands(node)[1]
        small = matmul_bounds(left_b.bounds, right_c.bounds, n)
        whole = matmul_bounds(left_a.bounds, small, d)
        counts = all(x.ctype == "uint8_t" and x.bounds[1] <= MOST_REPEATS for x in (left_a, left_b))
        return inner if counts and fits(hull(small, whole), "int32_t") else None

    def is_skipped(self, node: Node) -> bool:
        """Whether a layer has no code: it is another name, or part of a layer beside it."""
        if self.is_alias(node):
            return True
        return self.is_inner(node) or is_followed(self, node) or is_written(self, node)

    def is_inner(self, node: Node) -> bool:
        """Whether a product is the ``a b`` of a layer that computes ``a (b c)``."""
        users = self.graph.users(node.name) if isinstance(node.op, IntMatmul) else []
        return any(self.chained(u) == node for u in users)

    def reads(self, node: Node) -> list[Edge]:
        """Edges whose arrays the code of a layer reads."""
        inner, edges = self.chained(node), self.graph.in_edges(node.name)
        if inner:
            edges = [*self.graph.in_edges(inner.name), edges[1]]
        if node.name in self.joins:
            edges = [e for e in edges if self.joins[node.name].own != e.src]
        if not has_rows(self, node):
            return edges
        return [view.edge for e in edges if (view := read_view(self, e)).edge]

    def is_alias(self, node: Node) -> bool:
        """Whether the node's value is its operand's array.

        A value out of a queue is copied: the queue moves on before the next step.
        """
        if isinstance(node.op, IntOutput):
            return node.type.clock.kind is not Clock.STEP
        if isinstance(node.op, IntReshape | IntRepeat | IntHold):
            return not self.graph.in_edges(node.name)[0].delay
        return False

    def _delay_key(self, e: Edge) -> tuple[object, ...]:
        return (e.src, e.out, e.delay, e.init)


def inputs(plan: Plan) -> list[Node]:
    """Network inputs, in graph order."""
    return [n for n in plan.nodes if isinstance(n.op, IntInput)]


def outputs(plan: Plan) -> list[Node]:
    """Network outputs, in graph order."""
    return [n for n in plan.nodes if isinstance(n.op, IntOutput)]


def is_sequence(plan: Plan, node: Node) -> bool:
    """Whether an IntOutput has a value for every step."""
    return isinstance(plan.graph.operands(node.name)[0].op, IntTimeStack)


def phase(graph: Graph, node: Node) -> Clock:
    """When a layer runs: what collects over time runs in every step.

    What passes a sequence on runs in the later loop; that it keeps the steps of the earlier one
    is a function of its own.
    """
    if isinstance(node.op, COLLECTORS):
        return Clock.of(Clock.STEP, node.type.clock.phase)
    return node.type.clock


def counter(clock: Clock) -> str:
    """The variable that counts the steps done of a loop."""
    return "snn_steps" + (str(clock.phase) if clock.phase > 1 else "")


def kept_steps(graph: Graph, node: Node) -> int:
    """Steps of a sequence that is kept for the next loop."""
    assert isinstance(node.op, Sequence), "called for sequences only"
    return graph.steps_of(node.type.clock.phase - 1, graph.max_steps)
