"""Reference interpreter of the real-valued operators, in NumPy, batched.

It answers "what does the float network do" without torch: for accuracy, for per-layer comparison
with the integers, and for tests that a pass keeps the meaning.  Same calling convention and the
same names of words as the integer simulator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.backends.float_layers import layer
from snnc.backends.numpy.coding import dice
from snnc.data import check_steps, check_tokens
from snnc.graph import Edge, Graph, Node
from snnc.kernel import Kernel
from snnc.params import Param
from snnc.types import Clock, TensorType

Array = npt.NDArray[Any]


def _softplus(x: Array) -> Array:
    out: Array = np.logaddexp(0.0, x)
    return out


def _erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "ge": lambda a, b: np.greater_equal(a, b).astype(np.float64),
    "gt": lambda a, b: np.greater(a, b).astype(np.float64),
    "le": lambda a, b: np.less_equal(a, b).astype(np.float64),
    "lt": lambda a, b: np.less(a, b).astype(np.float64),
    "eq": lambda a, b: np.equal(a, b).astype(np.float64),
    "ne": lambda a, b: np.not_equal(a, b).astype(np.float64),
    "and": lambda a, b: np.logical_and(a, b).astype(np.float64),
    "or": lambda a, b: np.logical_or(a, b).astype(np.float64),
    "xor": lambda a, b: np.logical_xor(a, b).astype(np.float64),
    "neg": np.negative,
    "not": lambda a: np.logical_not(a).astype(np.float64),
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "sigmoid": lambda a: np.exp(-np.logaddexp(0.0, -a)),
    "tanh": np.tanh,
    "softplus": _softplus,
    "relu": lambda a: np.maximum(a, 0.0),
    "abs": np.abs,
    "round": np.rint,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "erf": _erf,
    "wrap": lambda a, n: a - 2 * n * np.ceil((a - n) / (2 * n)),
    "sin": np.sin,
    "cos": np.cos,
    "reciprocal": np.reciprocal,
    "square": np.square,
    "where": lambda c, a, b: np.where(c != 0, a, b),
}

_PER_STEP = (ops.TimeSum, ops.TimeMean, ops.TimeMax, ops.TimeLast, ops.TimeStack)


class Tape:
    """What some nodes computed in one run, for others in which they would compute the same.

    A run records it; after ``rewind`` it is played.

    Args:
        names: Of the nodes.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names, self.played = frozenset(names), False
        self._values: dict[str, list[dict[tuple[str, int], Array]]] = {n: [] for n in self.names}
        self._at = dict.fromkeys(self.names, 0)

    def add(self, name: str, values: dict[tuple[str, int], Array]) -> None:
        """Keep what a node has just computed."""
        self._values[name].append(values)

    def next(self, name: str) -> dict[tuple[str, int], Array]:
        """What the node computed, time after time."""
        self._at[name] += 1
        return self._values[name][self._at[name] - 1]

    def rewind(self) -> Tape:
        """Play it from the start."""
        self.played, self._at = True, dict.fromkeys(self.names, 0)
        return self


class FloatSimulator:
    """Runs a real-valued graph on batches, in ``dtype``.

    ``layer`` applies operators without state, in place of the usual rules.

    Attributes:
        inputs: Name -> type of every input.
        outputs: Names of the outputs.
    """

    def __init__(
        self,
        graph: Graph,
        dtype: type[np.floating[Any]] = np.float64,
        layer: Callable[[ops.Op, list[Array]], Array] = layer,
    ) -> None:
        self.graph, self.dtype, self.layer = graph, dtype, layer
        self.nodes = list(graph)
        self.edges = {n.name: graph.in_edges(n.name) for n in self.nodes}
        self.inputs = {n.name: n.op.type for n in self.nodes if isinstance(n.op, ops.Input)}
        self.outputs = [n.name for n in self.nodes if isinstance(n.op, ops.Output)]

    def words(self) -> list[str]:
        """Names of what ``record`` can hold: ``node.output`` and ``node.state`` of neurons."""
        names = []
        for n in self.nodes:
            if isinstance(n.op, ops.Neuron) and n.type.clock.kind is Clock.STEP:
                names += [f"{n.name}.{o}" for o in n.op.kernel.outputs]
                names += [f"{n.name}.{s.name}" for s in n.op.kernel.states]
        return list(dict.fromkeys(names))

    def run(
        self,
        x: Array | dict[str, Array],
        steps: int | None = None,
        record: Iterable[str] = (),
        watch: Mapping[str, Callable[[Array], None]] | None = None,
        tape: Tape | None = None,
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Run a batch of samples from the initial state.

        Args:
            x: Real inputs, (N, T, ...) per step or (N, ...) static; a dict if there are several.
            steps: T, needed only without a per-step input (default: as the model was traced).
            record: Words to keep; each becomes (N, T, ...), states after the step.
            watch: Called with the first operand of nodes without state, whenever they compute.
            tape: Values of nodes that are recorded, or taken in place of computing them.

        Returns:
            Outputs by name and the records.
        """
        arrays = x if isinstance(x, dict) else dict.fromkeys(self.inputs, x)
        for name, array in arrays.items():
            check_tokens(name, np.asarray(array), self.inputs[name].dtype)
        arrays = {k: np.asarray(v, self.dtype) for k, v in arrays.items()}
        stepped = [v.shape[1] for k, v in arrays.items() if self.inputs[k].clock is Clock.STEP]
        count = stepped[0] if stepped else self.graph.steps if steps is None else steps
        tables = [n.op.values for n in self.nodes if isinstance(n.op, ops.StepTable)]
        tables += [n.op.scale for n in self.nodes if isinstance(n.op, ops.StepAffine)]
        if any(count > t.shape[0] for t in tables):
            longest = min(t.shape[0] for t in tables)
            raise ValueError(f"the network holds for {longest} steps at most, got {count}")
        late = max((n.op.start for n in self.nodes if isinstance(n.op, ops.Collect)), default=0)
        if count <= late:
            raise ValueError(f"the first {late} steps are discarded, got {count}")
        batch = len(next(iter(arrays.values())))
        run = _Run(self, batch, set(record), count, watch or {}, tape or Tape(()))
        run.at(Clock.ONCE, {k: v for k, v in arrays.items() if self._static(k)})
        for phase in range(1, self.graph.phases + 1):
            now = Clock.of(Clock.STEP, phase)
            for t in range(self.graph.steps_of(phase, count)):
                run.at(now, {k: v[:, t] for k, v in arrays.items() if not self._static(k)}, t)
                run.remember(now)
            run.at(Clock.of(Clock.END, phase), {})
        records = {k: np.stack(v, 1) for k, v in run.records.items() if v}
        return {name: run.values[name, 0] for name in self.outputs}, records

    def _static(self, name: str) -> bool:
        return self.inputs[name].clock is Clock.ONCE


class _Run:
    def __init__(
        self,
        sim: FloatSimulator,
        batch: int,
        wanted: set[str],
        steps: int,
        watch: Mapping[str, Callable[[Array], None]],
        tape: Tape,
    ) -> None:
        self.sim, self.batch, self.steps, self.watch, self.tape = sim, batch, steps, watch, tape
        self.values: dict[tuple[str, int], Array] = {}
        self.state: dict[str, Array] = {}
        self.records: dict[str, list[Array]] = {w: [] for w in sorted(wanted)}
        self.past: dict[tuple[str, int], list[Array]] = {}
        self.longest: dict[tuple[str, int], int] = {}
        for node in sim.nodes:
            further = int(node.op.delay.data.max()) if isinstance(node.op, ops.DelayLinear) else 0
            for e in sim.edges[node.name]:
                if e.delay + further:
                    reach = max(e.delay + further, self.longest.get((e.src, e.out), 0))
                    self.longest[e.src, e.out] = reach

    def at(self, clock: Clock, inputs: dict[str, Array], t: int = 0) -> None:
        """Compute everything of one clock; step ``t``, if it is that of a loop."""
        for node in self.sim.nodes:
            op, own = node.op, node.type.clock
            taped = node.name in self.tape.names
            due = own is clock or (isinstance(op, ops.Repeat) and clock is Clock.ONCE)
            if taped and self.tape.played:
                if due:
                    self.values.update(self.tape.next(node.name))
                continue
            if isinstance(op, _PER_STEP):
                if own is clock:
                    self.values[node.name, 0] = self._collected(node)
                elif own.kind is Clock.END and clock is Clock.of(Clock.STEP, own.phase):
                    self._collect(node, t)
            elif isinstance(op, ops.Sequence):
                if own is clock:
                    self.values[node.name, 0] = self._element(node, t)
                elif clock is self.sim.graph.operands(node.name)[0].type.clock:
                    self._collect(node, t)
            elif due:
                if isinstance(op, ops.Input):
                    self.values[node.name, 0] = inputs[node.name]
                elif isinstance(op, ops.StepTable):
                    row = self._param(op.values)[t]
                    self.values[node.name, 0] = np.broadcast_to(row, (self.batch, *row.shape))
                elif isinstance(op, ops.DelayLinear):
                    self.values[node.name, 0] = self._delayed(node.name, op)
                elif isinstance(op, ops.StepAffine):
                    y = self._operand(self.sim.edges[node.name][0]) * self._param(op.scale)[t]
                    y = y if op.offset is None else y + self._param(op.offset)[t]
                    self.values[node.name, 0] = y
                elif isinstance(op, ops.RateCode):
                    value = self._operand(self.sim.edges[node.name][0]).astype(np.float64)
                    limit = np.floor(value / op.peak * 2.0**32)
                    spikes = dice(op.seed, t, node.type.shape) < limit
                    self.values[node.name, 0] = spikes.astype(self.sim.dtype)
                elif isinstance(op, ops.Neuron):
                    self._neuron(node, op.kernel)
                else:
                    x = [self._operand(e) for e in self.sim.edges[node.name]]
                    if node.name in self.watch:
                        self.watch[node.name](x[0])
                    self.values[node.name, 0] = self._apply(op, x, node.type)
            if taped and due:
                keys = [(node.name, i) for i in range(len(node.types))]
                self.tape.add(node.name, {key: self.values[key] for key in keys})

    def remember(self, clock: Clock) -> None:
        """Keep what a later step of this loop reads."""
        for key, longest in self.longest.items():
            if self.sim.graph[key[0]].type.clock is clock:
                self.past[key] = [*self.past.get(key, []), self.values[key]][-longest:]

    def _operand(self, edge: Edge) -> Array:
        key = (edge.src, edge.out)
        if not edge.delay:
            return self.values[key]
        kept = self.past.get(key, [])
        if len(kept) >= edge.delay:
            return kept[-edge.delay]
        init = np.zeros(()) if edge.init is None else edge.init.data
        shape = self.sim.graph[edge.src].types[edge.out].shape
        return np.broadcast_to(init.astype(self.sim.dtype), (self.batch, *shape))

    def _delayed(self, name: str, op: ops.DelayLinear) -> Array:
        """A layer whose columns read their inputs some steps ago."""
        edge = self.sim.edges[name][0]
        columns = np.zeros((self.batch, op.weight.shape[1]), self.sim.dtype)
        for lag in np.unique(op.delay.data):
            x = self._operand(replace(edge, delay=edge.delay + int(lag)))
            now = np.flatnonzero(op.delay.data == lag)
            columns[:, now] = x.reshape(self.batch, -1)[:, op.index.data[now]]
        if name in self.watch:
            self.watch[name](columns)
        return self.sim.layer(ops.Linear(op.weight, op.bias), [columns])

    def _param(self, param: Param) -> Array:
        return param.data.astype(self.sim.dtype)

    def _neuron(self, node: Node, kernel: Kernel) -> None:
        name, node_rank = node.name, len(node.type.shape) + 1
        env: dict[str, Array] = {}
        for c in kernel.consts:
            env[c.name] = self._param(
                c.values if c.index is None else Param(c.values.data[c.index.data])
            )
        for operand, edge in zip(kernel.inputs, self.sim.edges[name], strict=True):
            x = self._operand(edge)  # of fewer axes: aligned right, behind the batch
            env[operand] = x.reshape(len(x), *[1] * (node_rank - x.ndim), *x.shape[1:])
        for s in kernel.states:
            env[s.name] = self.state.get(f"{name}.{s.name}", self._param(s.init))
        for line in kernel.body:
            env[line.name] = FUNCTIONS[line.fn](*(env[a] for a in line.args))
        shape = (self.batch, *node.type.shape)
        noted = {s.name for s in kernel.states}  # as a word: after the step
        for i, out in enumerate(kernel.outputs):
            self.values[name, i] = np.broadcast_to(env[out], shape)
            if out not in noted:
                self._note(f"{name}.{out}", self.values[name, i])
                noted.add(out)
        for s in kernel.states:
            self.state[f"{name}.{s.name}"] = np.broadcast_to(env[s.next], shape)
            self._note(f"{name}.{s.name}", self.state[f"{name}.{s.name}"])

    def _note(self, word: str, value: Array) -> None:
        if word in self.records:
            self.records[word].append(value)

    def _collect(self, node: Node, t: int) -> None:
        x = self._operand(self.sim.edges[node.name][0])
        op, old = node.op, self.state.get(node.name)
        if isinstance(op, ops.Collect) and t < op.start:
            return
        if isinstance(op, ops.TimeStack | ops.Sequence):
            self.past.setdefault((node.name, -1), []).append(x)
        elif old is None or isinstance(op, ops.TimeLast):
            self.state[node.name] = x
        elif isinstance(op, ops.TimeMax):
            self.state[node.name] = np.maximum(old, x)
        else:
            self.state[node.name] = old + x

    def _collected(self, node: Node) -> Array:
        if isinstance(node.op, ops.TimeStack):
            return np.stack(self.past[node.name, -1], 1)
        total = self.state[node.name]
        steps = self.sim.graph.steps_of(node.type.clock.phase, self.steps)
        return total / (steps - node.op.start) if isinstance(node.op, ops.TimeMean) else total

    def _element(self, node: Node, t: int) -> Array:
        sequence = self.past[node.name, -1]
        match node.op:
            case ops.TimeFlip():
                return sequence[-1 - t]
            case ops.TimeMix():
                check_steps(node.name, len(sequence), node.op.steps)
                y = np.tensordot(self._param(node.op.weight)[t], np.stack(sequence), 1)
                return y if node.op.bias is None else y + self._param(node.op.bias)[t]
            case _:
                return sequence[t]

    def _apply(self, op: ops.Op, x: list[Array], type_: TensorType) -> Array:
        match op:
            case ops.Constant():
                return np.broadcast_to(self._param(op.value), (self.batch, *op.value.shape))
            case ops.Pointwise():
                rank = max(v.ndim for v in x)
                x = [v.reshape(len(v), *[1] * (rank - v.ndim), *v.shape[1:]) for v in x]
                return np.asarray(FUNCTIONS[op.fn](*x))
            case ops.Hold():
                return x[0]
        return self.sim.layer(op, x)
