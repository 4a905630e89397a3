"""Writes the whole network: what is known before, the loops one after the other, and what follows.

A network of one loop takes its states as inputs, which default to those before the first step, and
gives them as outputs, so that a sequence may be run in parts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from snnc.backends.onnx.arithmetic import rdiv
from snnc.backends.onnx.block import INT64, Block, V, storage
from snnc.backends.onnx.emitter import Site
from snnc.backends.onnx.kernel import kernel
from snnc.backends.onnx.loop import BATCH, STEPS_OF, Key, Loop, bounds_of, full_names
from snnc.backends.onnx.ports import State, default, port
from snnc.backends.onnx.registry import COLLECTORS, SEQUENCES, WRITERS
from snnc.graph import Graph, Node
from snnc.intops import (
    IntInput,
    IntNeuron,
    IntOutput,
    IntTimeFlip,
    IntTimeMean,
    IntTimeMix,
    IntTimeStack,
)
from snnc.types import Clock

#: The version of the operators, and of the format, that every runtime of the last years reads.
OPSET, IR_VERSION = 18, 8
#: Inputs of the model: steps done before, and the number of steps of a network without sequences.
DONE, COUNT = "steps_done", "steps"


class Network:
    """The writer of a model.

    Attributes:
        words: For every word that can be recorded: its loop, its name there, and its shape.
        streaming: Whether it takes and gives states.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        taken = {n.name for n in graph} | {BATCH, DONE, COUNT, f"next_{DONE}"}
        taken |= {STEPS_OF.format(p) for p in range(graph.phases + 1)}
        self.b = Block(taken)
        self.values: dict[Key, V] = {}
        self.words: dict[str, dict[str, Any]] = {}
        self.streaming = graph.phases == 1
        self.inputs = [n for n in graph if isinstance(n.op, IntInput)]
        self.states: list[State] = []
        self.done = self.total = V("", INT64)
        self._ports: list[Any] = []
        self._defaults: list[Any] = []
        self._left: list[Any] = []
        self.count = self.after = self.total

    def model(self) -> ModelProto:
        """The model, checked for its types and shapes by whoever calls."""
        self._write_inputs()
        self._nodes("once")
        for phase in range(1, self.graph.phases + 1):
            self._loop(phase)
            self._nodes(str(Clock.of(Clock.END, phase)))
        outputs = [self._output(n) for n in self.graph if isinstance(n.op, IntOutput)]
        graph = self.b.graph(self.graph.name or "network", self._ports, [*outputs, *self._left])
        graph.initializer.extend(self._defaults)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, producer_name="snnc")
        model.ir_version = IR_VERSION
        return model

    def _write_inputs(self) -> None:
        b = self.b
        for n in self.inputs:
            assert isinstance(n.op, IntInput), "only inputs are in the list"
            bounds = bounds_of(self.graph, (n.name, 0))
            v = V(n.name, storage(bounds), bounds)
            axes = ["N"] if n.op.clock is Clock.ONCE else ["N", "T"]
            self._ports.append(port(v, *axes, *n.type.shape))
            self.values[n.name, 0] = v
        first = self.values[self.inputs[0].name, 0]
        shape = b.op("Shape", first, type=INT64)
        b.name(b.slice(shape, 0, 0, 1), BATCH)
        sequence = next((n.name for n in self.inputs if n.type.clock is Clock.STEP), None)
        if sequence is None:
            self.count = self._option(COUNT, self.graph.steps)
        else:
            shape = b.op("Shape", self.values[sequence, 0], type=INT64)
            self.count = b.gather(shape, 1, 0)
        self.done = b.constant(0)
        if self.streaming:
            self.done = self._option(DONE, 0)

    def _option(self, name: str, value: int) -> V:
        """An input of one number, with a value for whoever gives none."""
        self._ports.append(helper.make_tensor_value_info(name, INT64, []))
        self._defaults.append(numpy_helper.from_array(np.array(value, np.int64), name))
        return V(name, INT64)

    def _nodes(self, clock: str) -> None:
        """Write what is computed once: before the loops, or after one."""
        for node in self.graph:
            kind = type(node.op).__name__
            if str(node.type.clock) != clock or kind == "IntInput":
                continue
            self.b.scope = node.name
            if kind in COLLECTORS:
                self.values[node.name, 0] = self._collected(node)
            elif isinstance(node.op, IntNeuron):
                self._function(node, node.op)
            else:
                edges = self.graph.in_edges(node.name)
                operands = [self.values[e.src, e.out] for e in edges]
                shapes = [self.graph[e.src].types[e.out].shape for e in edges]
                y = WRITERS[kind](Site(self.b, node, operands, shapes))
                self.values[node.name, 0] = self._named(node, 0, y)

    def _named(self, node: Node, out: int, y: V) -> V:
        bounds = bounds_of(self.graph, (node.name, out))
        y = self.b.cast(y, storage(bounds))
        name = node.name if out == 0 else self.b.fresh(str(out))
        return replace(self.b.name(y, name), bounds=bounds)

    def _function(self, node: Node, op: IntNeuron) -> None:
        """A kernel without state, outside of loops."""
        b, edges = self.b, self.graph.in_edges(node.name)
        shapes = [self.graph[e.src].types[e.out].shape for e in edges]
        inputs = []
        for e, shape in zip(edges, shapes, strict=True):
            x = self.values[e.src, e.out]
            if missing := len(op.shape) - len(shape):
                x = replace(b.reshape(x, [*[1] * missing, *shape]), bounds=x.bounds)
            inputs.append(x)
        outputs, _ = kernel(b, op, inputs, [])
        full = full_names(op, shapes)
        for i, (name, y) in enumerate(zip(op.kernel.outputs, outputs, strict=True)):
            if name not in full:
                bounds = bounds_of(self.graph, (node.name, i))
                y = b.op("Expand", b.cast(y, storage(bounds)), self._whole(op.shape))
            self.values[node.name, i] = self._named(node, i, y)

    def _whole(self, shape: tuple[int, ...]) -> V:
        batch = V(BATCH, INT64)
        if not shape:
            return batch
        return self.b.op("Concat", batch, self.b.constant(list(shape)), axis=0)

    def _loop(self, phase: int) -> None:
        clock = Clock.of(Clock.STEP, phase)
        own = self.graph.steps_of(phase, 0) if phase > 1 else 0
        self.b.scope = str(clock)
        count = self.b.constant(own) if own else self.count
        before = self.done if phase == 1 else self.b.constant(0)
        total = self.b.add(before, count)
        steps = self.b.op("Range", before, total, self.b.constant(1))
        self.b.name(steps, STEPS_OF.format(phase))
        if phase == 1:
            self.total = total
        self.after = total
        loop = Loop(self.graph, self.b, self.values, phase)
        for n in self.inputs:
            if n.type.clock is clock:
                read = loop.read(self.values[n.name, 0], n.name, n.type.shape)
                loop.values[n.name, 0] = replace(read, bounds=self.values[n.name, 0].bounds)
        loop.delays()
        late = []
        for node in self.graph:
            kind = type(node.op).__name__
            if kind in SEQUENCES and node.type.clock is clock:
                loop.values[node.name, 0] = self._sequence(loop, node)
            elif node.type.clock is clock and not isinstance(node.op, IntInput):
                loop.node(node)
            if kind in (*COLLECTORS, *SEQUENCES):
                (edge,) = self.graph.in_edges(node.name)
                if self.graph[edge.src].type.clock is clock:
                    late.append(node)
        for node in late:  # whose operands are known then
            loop.collect(node)
        self._finish(loop, clock)

    def _finish(self, loop: Loop, clock: Clock) -> None:
        b, states = self.b, loop.scan.states
        self.states += states if self.streaming else []
        b.scope = str(clock)
        first = []
        for s in states:
            if self.streaming:
                self._defaults.append(default(s))
                self._ports.append(helper.make_tensor_value_info(s.given, s.type, ["B", *s.shape]))
                given = V(s.given, s.type)
            else:
                given = b.constant(np.broadcast_to(s.first, (1, *s.shape)), s.type)
            first.append(b.op("Expand", given, self._whole(s.shape)))
        left = loop.write(first, str(clock))
        named = {s.name: v for s, v in zip(states, left, strict=True)}
        for node in self.graph:
            if (state := f"{node.name}.acc") in named:
                self.values[node.name, -1] = named[state]
        for word, name in loop.words.items():
            shape = self.graph[word.rpartition(".")[0]].type.shape
            self.words[word] = {"loop": str(clock), "value": name, "shape": shape}
        if self.streaming:
            for s, v in zip(states, left, strict=True):
                self._left.append(port(b.name(v, s.left), "N", *s.shape))
            done = b.name(self.total, f"next_{DONE}")
            self._left.append(helper.make_tensor_value_info(done.name, INT64, []))

    def _collected(self, node: Node) -> V:
        """The value of a collector after its loop."""
        b, kept, op = self.b, self.values[node.name, -1], node.op
        start = getattr(op, "start", 0)
        if isinstance(op, IntTimeStack):
            if start:
                fewer = b.binary("Max", b.sub(b.constant([start]), self._before(node)), 0)
                kept = b.op("Slice", kept, fewer, b.constant([1 << 62]), b.constant([1]))
            return self._named(node, 0, kept)
        counted = b.sub(self.after, start)
        if isinstance(op, IntTimeMean):
            steps = b.binary("Max", counted, 1)
            return self._named(node, 0, rdiv(b, b.mul(kept, 1 << op.shift), steps))
        if type(op).__name__ == "IntTimeMax":
            kept = b.where(b.binary("Greater", counted, 0), kept, b.constant(0))
        return self._named(node, 0, kept)

    def _before(self, node: Node) -> V:
        """Steps that were done before this run, as a vector of one element."""
        done = self.done if node.type.clock.phase == 1 else self.b.constant(0)
        return self.b.op("Unsqueeze", done, self.b.constant([0]))

    def _sequence(self, loop: Loop, node: Node) -> V:
        """Read what an earlier loop has given, at every step of this one."""
        kept = self.values[node.name, -1]
        self.b.scope = node.name
        if isinstance(node.op, IntTimeMix):
            # (T, T) by (N, T, elements)
            shape = self.b.constant([0, 0, -1])
            rows = self.b.op("Reshape", self.b.cast(kept, INT64), shape)
            mixed = self.b.op("MatMul", self.b.constant(node.op.weight.data), rows)
            whole = self.b.constant([0, 0, *node.type.shape])
            kept = self.b.op("Reshape", mixed, whole)
        back = int(isinstance(node.op, IntTimeFlip))
        read = loop.read(kept, "read", node.type.shape, 1, back)
        return loop.finish(node, 0, read)

    def _output(self, node: Node) -> Any:
        (edge,) = self.graph.in_edges(node.name)
        sequence = isinstance(self.graph[edge.src].op, IntTimeStack)
        v = self.values[node.name, 0]
        return port(v, "N", *(["T_out"] if sequence else []), *node.type.shape)
