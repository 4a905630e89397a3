"""Writes one loop over time as a Scan: its states, what it reads at every step, and its body."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np
from onnx import helper

from snnc.backends.onnx.block import INT32, INT64, Array, Block, Bounds, V, storage
from snnc.backends.onnx.clocks import reads_in
from snnc.backends.onnx.emitter import Shape, Site
from snnc.backends.onnx.kernel import kernel, live_lines
from snnc.backends.onnx.ports import State, port
from snnc.backends.onnx.registry import SEQUENCES, WRITERS
from snnc.graph import Edge, Graph, Node
from snnc.intops import IntDelayLinear, IntNeuron, IntRateCode, IntStepRescale, IntStepTable
from snnc.types import Clock, Int

Key = tuple[str, int]
#: Smallest int64: no value has been seen yet.
NOTHING = -(1 << 63)


def bounds_of(graph: Graph, key: Key) -> Bounds:
    """Proven range of a value."""
    dtype = graph[key[0]].types[key[1]].dtype
    assert isinstance(dtype, Int), "checked: all types are proven integers"
    return dtype.bounds


@dataclass
class Line:
    """A delay line: the past of a value, with its own values before the first."""

    key: Key
    init: Array
    length: int
    type: int
    bounds: Bounds
    value: V


@dataclass
class Scan:
    """What a loop is made of, while it is written."""

    states: list[State] = field(default_factory=list)
    inner: list[V] = field(default_factory=list)  # the states in the body, before the step
    after: list[V] = field(default_factory=list)  # and after it
    read: list[tuple[V, V, Shape, int, int]] = field(
        default_factory=list
    )  # outer, inner, axis, way
    given: list[tuple[V, V, Shape]] = field(default_factory=list)  # inner, outer


class Loop:
    """The writer of one loop.

    Args:
        graph: The program.
        outer: The graph around the loop.
        values: Values that are known before the loop.
        phase: Number of the loop.
    """

    def __init__(self, graph: Graph, outer: Block, values: dict[Key, V], phase: int) -> None:
        self.graph, self.outer, self.phase = graph, outer, phase
        self.known = values
        self.b = Block(outer.taken)
        self.values: dict[Key, V] = {}
        self.words: dict[str, str] = {}
        self.scan = Scan()
        self.now: V | None = None
        self._lines: dict[tuple[Key, bytes, Shape], Line] = {}

    def read(self, outer: V, name: str, shape: Shape, axis: int = 1, back: int = 0) -> V:
        """Read a sequence; the value at a step."""
        inner = V(self.b.fresh(name), outer.type, outer.bounds)
        self.scan.read.append((outer, inner, shape, axis, back))
        return inner

    def keep(self, state: State) -> V:
        """Keep a value from step to step; the value before the step."""
        inner = V(self.b.fresh(state.name), state.type)
        self.scan.states.append(state)
        self.scan.inner.append(inner)
        self.scan.after.append(inner)
        return inner

    def become(self, inner: V, after: V) -> None:
        """The value of a state after the step."""
        at = [v.name for v in self.scan.inner].index(inner.name)
        self.scan.after[at] = self.b.cast(after, inner.type)

    def give(self, value: V, outer: str, shape: Shape) -> V:
        """Collect a value of every step in a sequence (N, T, ...)."""
        inner = self.b.name(value, self.b.fresh("collected"))
        found = V(outer, value.type, value.bounds)
        self.scan.given.append((inner, found, shape))
        return found

    def delays(self) -> None:
        """Make the delay lines of all operands; they are read before they are filled."""
        longest: dict[tuple[Key, bytes, Shape], tuple[Edge, int]] = {}
        for node in self.graph:
            if reads_in(self.graph, node) is not Clock.of(Clock.STEP, self.phase):
                continue
            for edge in self.graph.in_edges(node.name):
                further = 0
                if isinstance(node.op, IntDelayLinear):
                    further = int(node.op.delay.data.max())
                if not edge.delay + further:
                    continue
                key = self._line_key(edge)
                old = longest.get(key, (edge, 0))[1]
                longest[key] = (edge, max(old, edge.delay + further))
        for i, (key, (edge, length)) in enumerate(longest.items()):
            init = np.zeros((), np.int64) if edge.init is None else edge.init.data.astype(np.int64)
            lo, hi = bounds_of(self.graph, key[0])
            hull = min(lo, int(init.min())), max(hi, int(init.max()))
            shape = self.graph[edge.src].types[edge.out].shape
            whole = np.broadcast_to(init, shape)
            first = np.broadcast_to(whole[None], (length, *shape))
            name = f"{edge.src}.past{i}"
            value = self.keep(State(name, storage(hull), (length, *shape), first))
            self._lines[key] = Line(key[0], init, length, storage(hull), hull, value)

    def operand(self, edge: Edge) -> V:
        """What a node reads: a value of now or, of before the loop, or of some steps ago."""
        key = (edge.src, edge.out)
        if not edge.delay:
            return self.values[key] if key in self.values else self.known[key]
        line = self._lines[self._line_key(edge)]
        at = self.b.constant(line.length - edge.delay)
        return replace(self.b.op("Gather", line.value, at, axis=1), bounds=line.bounds)

    def node(self, node: Node) -> None:
        """Write a node of the loop."""
        self.b.scope = node.name
        edges = self.graph.in_edges(node.name)
        if isinstance(node.op, IntNeuron):
            self._neuron(node, node.op, edges)
            return
        if isinstance(node.op, IntDelayLinear):
            operands = [self._columns(node.op, edges[0])]
        else:
            operands = [self.operand(e) for e in edges]
        shapes = [self.graph[e.src].types[e.out].shape for e in edges]
        if isinstance(node.op, IntStepTable | IntStepRescale | IntRateCode):
            self.count()
        y = WRITERS[type(node.op).__name__](Site(self.b, node, operands, shapes, self.now))
        self.values[node.name, 0] = self.finish(node, 0, y, isinstance(node.op, IntStepTable))

    def finish(self, node: Node, out: int, y: V, expand: bool = False) -> V:
        """A value in the type in which it is handed on, under the name of its node."""
        bounds = bounds_of(self.graph, (node.name, out))
        y = self.b.cast(y, storage(bounds))
        if expand:
            y = self.b.op("Expand", y, self.whole(node.type.shape))
        name = node.name if out == 0 else self.b.fresh(str(out))
        return replace(self.b.name(y, name), bounds=bounds)

    def whole(self, shape: Shape) -> V:
        """The vector (N, *shape)."""
        batch = V(f"{BATCH}", INT64)
        if not shape:
            return batch
        return self.b.op("Concat", batch, self.b.constant(list(shape)), axis=0)

    def count(self) -> V:
        """The number of the step."""
        if self.now is None:
            counter = V(STEPS_OF.format(self.phase), INT64)
            self.now = self.read(counter, "now", (), 0)
        return self.now

    def write(self, first: Many[V], name: str) -> list[V]:
        """Write the Scan around the body, from the states before the loop; those after it."""
        if not self.scan.states and not self.scan.given:
            return []  # nothing of the loop is read
        if not self.scan.read:
            self.count()
        scan, b = self.scan, self.b
        for line in self._lines.values():
            b.scope = line.value.name
            new = b.op("Unsqueeze", b.cast(self.values[line.key], line.type), b.constant([1]))
            if line.length > 1:
                late = b.slice(line.value, 1, 1, line.length)
                new = b.op("Concat", late, new, axis=1)
            self.become(line.value, new)
        b.scope = name
        after = [b.name(v, b.fresh("after")) for v in scan.after]
        inputs = [port(v, "N", *s.shape) for v, s in zip(scan.inner, scan.states, strict=True)]
        inputs += [
            port(inner, *(["N"] if axis else []), *shape) for _, inner, shape, axis, _ in scan.read
        ]
        outputs = [port(v, "N", *s.shape) for v, s in zip(after, scan.states, strict=True)]
        outputs += [port(inner, "N", *shape) for inner, _, shape in scan.given]
        left = [V(self.outer.fresh(f"{s.name}.left"), s.type) for s in scan.states]
        made = helper.make_node(
            "Scan",
            [*(v.name for v in first), *(outer.name for outer, *_ in scan.read)],
            [*(v.name for v in left), *(outer.name for _, outer, _ in scan.given)],
            name,
            body=b.graph(name, inputs, outputs),
            num_scan_inputs=len(scan.read),
            scan_input_axes=[axis for *_, axis, _ in scan.read],
            scan_input_directions=[back for *_, back in scan.read],
            scan_output_axes=[1] * len(scan.given) if scan.given else None,
        )
        self.outer.nodes.append(made)
        return left

    def _line_key(self, edge: Edge) -> tuple[Key, bytes, Shape]:
        if edge.init is None:
            return (edge.src, edge.out), b"", ()
        return (edge.src, edge.out), edge.init.data.astype(np.int64).tobytes(), edge.init.shape

    def _columns(self, op: IntDelayLinear, edge: Edge) -> V:
        """What the columns read, each some steps ago."""
        b, key = self.b, (edge.src, edge.out)
        size = prod(self.graph[edge.src].types[edge.out].shape)
        total = op.delay.data.astype(np.int64) + edge.delay
        if not total.max():
            x = b.reshape(self.operand(edge), [size])
            return replace(b.gather(x, op.index.data, 1), bounds=bounds_of(self.graph, key))
        line = self._lines[self._line_key(edge)]
        length, past = line.length, b.reshape(line.value, [line.length * size])
        if not total.min():
            now = b.reshape(b.cast(self.values[key], line.type), [size])
            past = b.op("Concat", past, now, axis=1)
        place = (length - total) * size + op.index.data
        return replace(b.gather(past, place, 1), bounds=line.bounds)

    def _neuron(self, node: Node, op: IntNeuron, edges: list[Edge]) -> None:
        b, k = self.b, op.kernel
        axes, inputs = len(op.shape), []
        for e in edges:
            x, shape = self.operand(e), self.graph[e.src].types[e.out].shape
            if missing := axes - len(shape):
                x = replace(b.reshape(x, [*[1] * missing, *shape]), bounds=x.bounds)
            inputs.append(x)
        states = []
        for s in k.states:
            assert s.lo is not None, "checked: all ranges are proven"
            assert s.hi is not None, "checked: all ranges are proven"
            kind = INT64 if storage((s.lo, s.hi)) == INT64 else INT32
            kept = self.keep(State(f"{node.name}.{s.name}", kind, op.shape, s.init.data))
            states.append(replace(kept, bounds=(s.lo, s.hi)))
        outputs, after = kernel(b, op, inputs, states)
        full = full_names(op, [self.graph[e.src].types[e.out].shape for e in edges])
        for i, (name, y) in enumerate(zip(k.outputs, outputs, strict=True)):
            done = self.finish(node, i, y, name not in full)
            self.values[node.name, i] = done
            self.words[f"{node.name}.{name}"] = done.name
        for s, kept, y in zip(k.states, states, after, strict=True):
            new = b.cast(y, kept.type)
            if s.next not in full:
                new = b.op("Expand", new, self.whole(op.shape))
            self.become(kept, new)
            self.words[f"{node.name}.{s.name}"] = new.name

    def collect(self, node: Node) -> None:
        """Keep what a collector keeps."""
        b, op, kind = self.b, node.op, type(node.op).__name__
        b.scope = node.name
        (edge,) = self.graph.in_edges(node.name)
        x, shape = self.operand(edge), node.type.shape
        if kind == "IntTimeStack" or kind in SEQUENCES:
            sequence = self.outer.fresh(f"{node.name}.steps")
            self.known[node.name, -1] = self.give(x, sequence, shape)
            return
        start = getattr(op, "start", 0)
        first = NOTHING if kind == "IntTimeMax" else 0
        acc = self.keep(State(f"{node.name}.acc", INT64, shape, np.array(first)))
        x = b.cast(x, INT64)
        if kind == "IntTimeLast":
            new = x
        else:
            new = b.binary("Max", acc, x) if kind == "IntTimeMax" else b.add(acc, x)
        if start:
            late = b.binary("Less", self.count(), start)
            new = b.where(late, acc, new)
        self.become(acc, new)
        word = new
        if kind == "IntTimeMax" and start:
            word = b.where(late, b.constant(0), new)
        if kind != "IntTimeLast":
            self.words[f"{node.name}.acc"] = word.name
        self.known[node.name, -1] = acc  # its place among the states


def full_names(op: IntNeuron, inputs: Many[Shape]) -> set[str]:
    """Names of a kernel whose values have the batch and the shape of the population."""
    full = {s.name for s in op.kernel.states}
    full |= {n for n, shape in zip(op.kernel.inputs, inputs, strict=True) if shape == op.shape}
    for line in live_lines(op.kernel):
        if full & set(line.args):
            full.add(line.name)
    return full


#: Names of the graph around the loops: the batch, as a vector of one element; numbers of the steps.
BATCH, STEPS_OF = "//batch", "//steps of loop {}"
