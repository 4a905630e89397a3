"""The real-valued network as ONNX in double precision: one Scan over time.

It is computed by another program than snnc, so that what was read from a model can be judged
without trusting ``backends/float_sim.py``.  Only what is written here is taken; the rest has E501.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from snnc import ops
from snnc.backends.onnx.block import DOUBLE, INT64, Array, Block, V
from snnc.backends.onnx.network import IR_VERSION, OPSET
from snnc.backends.onnx.ports import port
from snnc.backends.onnx.real_operators import FUNCTIONS, REAL_WRITERS, aligned, function, real
from snnc.diagnostics import Diagnostic, error
from snnc.graph import Edge, Graph, Node
from snnc.types import Clock

Shape = tuple[int, ...]
Key = tuple[str, int]
_COLLECTORS = (ops.TimeSum, ops.TimeMean, ops.TimeMax, ops.TimeLast, ops.TimeStack)


def problems(graph: Graph) -> list[Diagnostic]:
    """What is not written."""
    found = []
    for node in graph:
        op, kind = node.op, type(node.op).__name__
        fits = isinstance(op, ops.Input | ops.Neuron) or type(op) in REAL_WRITERS
        if isinstance(op, _COLLECTORS):
            fits = not getattr(op, "start", 0)
        functions = {op.fn} if isinstance(op, ops.Pointwise) else set()
        if isinstance(op, ops.Neuron):
            functions = {line.fn for line in op.kernel.body}
        if not fits or functions - FUNCTIONS or node.type.clock.phase > 1:
            what = ", ".join(sorted(functions - FUNCTIONS)) or kind
            text = f"the real network in ONNX has no {what} ({node.name})"
            found.append(error("E501", text, node.loc, help="--target onnx takes the integers"))
    return found


@dataclass
class _State:
    """A value that is kept from step to step: first, in the body before and after the step."""

    name: str
    shape: Shape
    first: Array
    before: V
    after: V | None = None
    left: V | None = None


@dataclass
class _Scan:
    states: dict[str, _State] = field(default_factory=dict)
    read: list[tuple[V, V, Shape]] = field(default_factory=list)
    given: list[tuple[V, V, Shape]] = field(default_factory=list)


def real_model(graph: Graph) -> ModelProto:
    """The model; inputs are (N, T, ...) or (N, ...), and T is ``steps`` if none is per step."""
    return _Writer(graph).model()


class _Writer:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.taken = {n.name for n in graph} | {"steps"}
        self.outer, self.body = Block(self.taken), Block(self.taken)
        self.values: dict[Key, V] = {}
        self.scan = _Scan()

    def model(self) -> ModelProto:
        b, graph = self.outer, self.graph
        inputs = [n for n in graph if isinstance(n.op, ops.Input)]
        ports = []
        for n in inputs:
            axes = ["N"] if n.type.clock is Clock.ONCE else ["N", "T"]
            v = V(n.name, DOUBLE)
            ports.append(port(v, *axes, *n.type.shape))
            self.values[n.name, 0] = v
        shape = b.op("Shape", self.values[inputs[0].name, 0], type=INT64)
        self.batch = b.slice(shape, 0, 0, 1)
        sequence = next((n.name for n in inputs if n.type.clock is Clock.STEP), None)
        if sequence is None:
            self.count = V("steps", INT64)
            ports.append(helper.make_tensor_value_info("steps", INT64, []))
        else:
            length = b.op("Shape", self.values[sequence, 0], type=INT64)
            self.count = b.gather(length, 1, 0)
        self._nodes(b, Clock.ONCE)
        self._loop([n for n in inputs if n.type.clock is Clock.STEP])
        self._nodes(b, Clock.END)
        outputs = []
        for n in graph:
            if isinstance(n.op, ops.Output):
                (edge,) = graph.in_edges(n.name)
                stacked = isinstance(graph[edge.src].op, ops.TimeStack)
                axes = ["N", *(["T"] if stacked else [])]
                outputs.append(port(self.values[n.name, 0], *axes, *n.type.shape))
        made = helper.make_model(
            b.graph(graph.name or "network", ports, outputs),
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="snnc",
        )
        made.ir_version = IR_VERSION
        return made

    def _nodes(self, b: Block, clock: Clock) -> None:
        for node in self.graph:
            if node.type.clock is not clock or isinstance(node.op, ops.Input):
                continue
            b.scope = node.name
            edges = self.graph.in_edges(node.name)
            if isinstance(node.op, _COLLECTORS):
                y = self._collected(node)
            elif isinstance(node.op, ops.Neuron):
                self._neuron(b, node, node.op, edges)
                continue
            else:
                shapes = [self.graph[e.src].types[e.out].shape for e in edges]
                operands = [self._operand(b, e) for e in edges]
                y = REAL_WRITERS[type(node.op)](b, node, operands, shapes)
            self.values[node.name, 0] = b.name(y, node.name)

    def _loop(self, inputs: list[Node]) -> None:
        b, zero, one = self.outer, self.outer.constant(0), self.outer.constant(1)
        for n in inputs:
            inner = V(self.body.fresh(n.name), DOUBLE)
            self.scan.read.append((self.values[n.name, 0], inner, n.type.shape))
            self.values[n.name, 0] = inner
        if not inputs:
            steps = b.op("Range", zero, self.count, one)
            self.scan.read.append((steps, V(self.body.fresh("now"), INT64), ()))
        self._delays()
        self._nodes(self.body, Clock.STEP)
        for node in self.graph:
            if isinstance(node.op, _COLLECTORS):
                self._collect(node)
        for name, state in self.scan.states.items():
            if name.startswith("past "):
                self._shift(state)
        self._write()

    def _keep(self, name: str, shape: Shape, first: Array) -> V:
        before = V(self.body.fresh(name), DOUBLE)
        self.scan.states[name] = _State(name, shape, first, before)
        return before

    def _delays(self) -> None:
        for edge in self.graph.edges:
            if not edge.delay:
                continue
            length = max(e.delay for e in self.graph.edges if _line(e) == _line(edge))
            if _line(edge) not in self.scan.states:
                shape = self.graph[edge.src].types[edge.out].shape
                first = np.zeros(()) if edge.init is None else edge.init.data
                whole = np.broadcast_to(np.broadcast_to(first, shape), (length, *shape))
                self._keep(_line(edge), (length, *shape), whole)

    def _shift(self, state: _State) -> None:
        b = self.body
        edge = next(e for e in self.graph.edges if e.delay and _line(e) == state.name)
        new = b.op("Unsqueeze", self.values[edge.src, edge.out], b.constant([1]))
        if state.shape[0] > 1:
            new = b.op("Concat", b.slice(state.before, 1, 1, state.shape[0]), new, axis=1)
        state.after = new

    def _operand(self, b: Block, edge: Edge) -> V:
        if not edge.delay:
            return self.values[edge.src, edge.out]
        state = self.scan.states[_line(edge)]
        at = b.constant(state.shape[0] - edge.delay)
        return b.op("Gather", state.before, at, axis=1)

    def _neuron(self, b: Block, node: Node, op: ops.Neuron, edges: list[Edge]) -> None:
        k, env = op.kernel, {}
        for c in k.consts:
            values = c.values.data if c.index is None else c.values.data[c.index.data]
            env[c.name] = real(b, values)
        for name, e in zip(k.inputs, edges, strict=True):
            shape = self.graph[e.src].types[e.out].shape
            env[name] = aligned(b, self._operand(b, e), shape, len(op.shape))
        for s in k.states:
            env[s.name] = self._keep(f"{node.name}.{s.name}", op.shape, s.init.data)
        for line in k.body:
            env[line.name] = function(b, line.fn, [env[a] for a in line.args])
        for i, out in enumerate(k.outputs):
            y = b.op("Expand", env[out], self._whole(b, op.shape))
            name = node.name if i == 0 else b.fresh(str(i))
            self.values[node.name, i] = b.name(y, name)
        for s in k.states:
            state = self.scan.states[f"{node.name}.{s.name}"]
            state.after = b.op("Expand", env[s.next], self._whole(b, op.shape))

    def _whole(self, b: Block, shape: Shape) -> V:
        if not shape:
            return self.batch
        return b.op("Concat", self.batch, b.constant(list(shape)), axis=0)

    def _collect(self, node: Node) -> None:
        b, op, shape = self.body, node.op, node.type.shape
        b.scope = node.name
        (edge,) = self.graph.in_edges(node.name)
        x = self._operand(b, edge)
        if isinstance(op, ops.TimeStack):
            outer = V(self.outer.fresh(f"{node.name}.steps"), DOUBLE)
            self.scan.given.append((b.name(x, b.fresh("collected")), outer, shape))
            self.values[node.name, -1] = outer
            return
        first = -np.inf if isinstance(op, ops.TimeMax) else 0.0
        acc = self._keep(f"{node.name}.acc", shape, np.array(first))
        merge = "Max" if isinstance(op, ops.TimeMax) else "Add"
        state = self.scan.states[f"{node.name}.acc"]
        state.after = x if isinstance(op, ops.TimeLast) else b.op(merge, acc, x)

    def _collected(self, node: Node) -> V:
        if isinstance(node.op, ops.TimeStack):
            return self.values[node.name, -1]
        left = self.scan.states[f"{node.name}.acc"].left
        assert left is not None, "the loop is written"
        if isinstance(node.op, ops.TimeMean):
            return self.outer.op("Div", left, self.outer.cast(self.count, DOUBLE))
        return left

    def _write(self) -> None:
        outer, b, scan = self.outer, self.body, self.scan
        outer.scope = b.scope = "step"
        states = list(scan.states.values())
        if not states and not scan.given:
            return
        first, after = [], []
        for s in states:
            start = real(outer, np.broadcast_to(s.first, (1, *s.shape)))
            first.append(outer.op("Expand", start, self._whole(outer, s.shape)))
            assert s.after is not None, "every state has a next value"
            after.append(b.name(s.after, b.fresh(f"{s.name}.next")))
            s.left = V(outer.fresh(f"{s.name}.left"), DOUBLE)
        inputs = [port(s.before, "N", *s.shape) for s in states]
        inputs += [port(v, *(["N"] if v.type == DOUBLE else []), *n) for _, v, n in scan.read]
        outputs = [port(v, "N", *s.shape) for v, s in zip(after, states, strict=True)]
        outputs += [port(v, "N", *n) for v, _, n in scan.given]
        results = [s.left.name for s in states if s.left is not None]
        more: dict[str, Any] = {"scan_output_axes": [1] * len(scan.given)} if scan.given else {}
        outer.nodes.append(
            helper.make_node(
                "Scan",
                [*(v.name for v in first), *(v.name for v, _, _ in scan.read)],
                [*results, *(v.name for _, v, _ in scan.given)],
                "step",
                body=b.graph("step", inputs, outputs),
                num_scan_inputs=len(scan.read),
                scan_input_axes=[1 if v.type == DOUBLE else 0 for v, _, _ in scan.read],
                **more,
            )
        )


def _line(edge: Edge) -> str:
    """The name of the delay line that an edge reads."""
    init = b"" if edge.init is None else edge.init.data.tobytes()
    return f"past {edge.src} {edge.out} {init.hex()}"
