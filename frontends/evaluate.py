"""Run a graph of real-valued operators in torch: the float reference of what was exported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from snnc import ops
from snnc.data import check_steps, check_tokens
from snnc.frontends.torch_layers import layer
from snnc.graph import Edge, Graph, Node
from snnc.kernel import PREDICATES, Kernel
from snnc.params import Param
from snnc.types import Clock

Tensor = torch.Tensor
#: Functions whose value is a graded emission, a whole number.
ROUNDED = frozenset({"round", "floor", "ceil", "trunc"})
#: A tensor, or a number written in the model's source: torch rounds it to its partner's type.
Value = Any


def _predicate(fn: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: torch.as_tensor(fn(a, b)).to(torch.float32)


def _as_tensor(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda *args: fn(*(torch.as_tensor(a) for a in args))


def _where(mask: Value, a: Value, b: Value) -> Tensor:
    return torch.where(torch.as_tensor(mask) != 0, a, b)


#: The functions of ``REAL_FUNCTIONS`` in torch.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "neg": lambda a: -a,
    "maximum": lambda a, b: torch.clamp(*_first_tensor(a, b)),
    "minimum": lambda a, b: _minimum(*_first_tensor(a, b)),
    "ge": _predicate(lambda a, b: a >= b),
    "gt": _predicate(lambda a, b: a > b),
    "le": _predicate(lambda a, b: a <= b),
    "lt": _predicate(lambda a, b: a < b),
    "eq": _predicate(lambda a, b: a == b),
    "ne": _predicate(lambda a, b: a != b),
    "and": _predicate(lambda a, b: (torch.as_tensor(a) != 0) & (torch.as_tensor(b) != 0)),
    "or": _predicate(lambda a, b: (torch.as_tensor(a) != 0) | (torch.as_tensor(b) != 0)),
    "xor": _predicate(lambda a, b: (torch.as_tensor(a) != 0) ^ (torch.as_tensor(b) != 0)),
    "not": lambda a: torch.as_tensor(torch.as_tensor(a) == 0).to(torch.float32),
    "where": _where,
    "square": lambda a: a**2,
    "relu": _as_tensor(torch.relu),
    "softplus": _as_tensor(functional.softplus),
    **{
        name: _as_tensor(getattr(torch, name))
        for name in (
            *("exp", "log", "log1p", "expm1", "sqrt", "sigmoid", "tanh", "abs", "round"),
            *("floor", "ceil", "trunc", "sin", "cos", "reciprocal", "erf"),
        )
    },
    "wrap": lambda a, n: a - 2 * n * torch.ceil(torch.as_tensor((a - n) / (2 * n))),
}


def _first_tensor(a: Value, b: Value) -> tuple[Tensor, Value]:
    return (a, b) if isinstance(a, Tensor) else (torch.as_tensor(b), a)


def _minimum(a: Tensor, b: Value) -> Tensor:
    return torch.clamp(a, max=b)


def apply(fn: str, *args: Value) -> Value:
    """One function of ``REAL_FUNCTIONS``."""
    return FUNCTIONS[fn](*args)


def number(param: Param) -> Value:
    """A constant: double scalars are numbers of the source code, the rest are tensors."""
    if param.data.dtype == np.float64 and param.data.ndim == 0:
        return float(param.data)
    return torch.from_numpy(param.data.copy())


class Evaluator:
    """Executes a graph on a batch.

    Args:
        graph: Of real-valued operators.
        inputs: By input name: (batch, steps, …) or, for a static input, (batch, …).
        steps: Needed if no input has steps.
        dtype: Of all arithmetic.
        after: An earlier run whose states this one continues with.

    Attributes:
        outputs: By output name: (batch, …), with steps second where all steps are kept.
        past: By value: as many of its latest values as are read later.
        states: By neuron and state: its value after the last step.
        rates: Per comparison: for every element, how often it was true, averaged over batch and
            steps.
        ranges: Per comparison and rounding inside a loop: the lowest and highest value that every
            element took, over batch and steps.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: dict[str, Tensor],
        steps: int | None = None,
        dtype: torch.dtype = torch.float32,
        after: Evaluator | None = None,
    ) -> None:
        self.graph = graph
        self.dtype = dtype
        self.inputs = {n: x.to(dtype) for n, x in inputs.items()}
        for name, x in inputs.items():
            check_tokens(name, x.numpy(), graph[name].type.dtype)
        self.batch = next(len(x) for x in inputs.values()) if inputs else 1
        lengths = {x.shape[1] for n, x in inputs.items() if graph[n].type.clock is Clock.STEP}
        self.steps = lengths.pop() if lengths else (steps or graph.steps)
        self.outputs: dict[str, Tensor] = {}
        self.rates: dict[str, Tensor] = {}
        self.ranges: dict[str, tuple[Tensor, Tensor]] = {}
        self._values: dict[tuple[str, int], Value] = {}
        self.past: dict[tuple[str, int], list[Value]] = {} if after is None else dict(after.past)
        self._collected: dict[str, Any] = {}
        self.states: dict[tuple[str, str], Value] = {} if after is None else dict(after.states)
        with torch.no_grad():
            self._run()

    def _run(self) -> None:
        order = list(self.graph)
        for node in order:
            if node.type.clock is Clock.ONCE and not isinstance(node.op, ops.Output):
                self._compute(node, 0)
        for phase in range(1, self.graph.phases + 1):
            self._loop(order, phase)
        for node in order:
            if isinstance(node.op, ops.Output):
                self.outputs[node.name] = self._whole(node)

    def _loop(self, order: list[Node], phase: int) -> None:
        """All steps of one of the loops in a row, and what is known after its last step."""
        now, after = Clock.of(Clock.STEP, phase), Clock.of(Clock.END, phase)
        inside = [n for n in order if n.type.clock is now]
        late = [n for n in order if n.type.clock is after]
        collects = [n for n in order if isinstance(n.op, ops.Crossing) and n in late]
        collects += [n for n in order if isinstance(n.op, ops.Sequence) and self._source(n) is now]
        delays: dict[tuple[str, int], int] = {}
        for e in self.graph.edges:
            if e.delay and self.graph[e.src].type.clock is now:
                delays[e.src, e.out] = max(delays.get((e.src, e.out), 0), e.delay)
        for t in range(self.steps_of(inside[0]) if inside else 0):
            for node in inside:
                self._compute(node, t)
            for node in collects:
                if t >= getattr(node.op, "start", 0):
                    self._collect(node)
            for key, depth in delays.items():
                self.past[key] = [*self.past.get(key, []), self._values[key]][-depth:]
        for node in late:
            if isinstance(node.op, ops.Crossing):
                self._values[node.name, 0] = self._finished(node)
            elif not isinstance(node.op, ops.Output):
                self._compute(node, 0)

    def _source(self, node: Node) -> Clock:
        (edge,) = self.graph.in_edges(node.name)
        return self.graph[edge.src].types[edge.out].clock

    def steps_of(self, node: Node) -> int:
        """Steps of the loop that the node belongs to."""
        return self.graph.steps_of(node.type.clock.phase, self.steps)

    def _whole(self, node: Node) -> Tensor:
        (edge,) = self.graph.in_edges(node.name)
        y = torch.as_tensor(self._values[edge.src, edge.out])
        op = self.graph[edge.src].op
        shape = node.type.shape
        if isinstance(op, ops.TimeStack):
            shape = (self.steps_of(node) - op.start, *shape)
        return y.expand(self.batch, *shape) if y.dim() <= len(shape) else y

    def _operand(self, e: Edge) -> Value:
        key = (e.src, e.out)
        if not e.delay:
            return self._values[key]
        past = self.past.get(key, [])
        if len(past) >= e.delay:
            return past[-e.delay]
        shape = self.graph[e.src].types[e.out].shape
        if e.init is None:
            return torch.zeros(shape)
        return torch.as_tensor(number(e.init), dtype=self.dtype).expand(shape)

    def _compute(self, node: Node, t: int) -> None:
        op, name = node.op, node.name
        edges = self.graph.in_edges(name)
        args = [self._operand(e) for e in edges]
        match op:
            case ops.Input():
                x = self.inputs[name]
                y: Value = x[:, t] if node.type.clock is Clock.STEP else x
            case ops.Constant():
                y = self._number(op.value)
            case ops.StepTable():
                y = self._number(Param(op.values.data[t]))
            case ops.Pointwise():
                shapes = [self.graph[e.src].types[e.out].shape for e in edges]
                y = apply(op.fn, *self._aligned(args, shapes, len(node.type.shape)))
                if op.fn in PREDICATES:
                    y = y.to(self.dtype)
                if op.fn in PREDICATES | ROUNDED and node.type.clock.kind is Clock.STEP:
                    self._observe(node, op.fn, torch.as_tensor(y))
            case ops.Neuron():
                self._neuron(node, args)
                return
            case ops.Sequence():
                y = self._element(node, t)
            case ops.Hold():
                y = self._batched(args[0], edges[0])
            case _:
                y = layer(op, *(self._batched(a, e) for a, e in zip(args, edges, strict=True)))
        self._values[name, 0] = y

    def _observe(self, node: Node, fn: str, y: Tensor) -> None:
        """Note what a comparison or rounding gives at this step."""
        y, name = y.expand(self.batch, *node.type.shape), node.name
        if fn in PREDICATES:
            self.rates[name] = self.rates.get(name, 0) + y.mean(0) / self.steps_of(node)
        low, high = self.ranges.get(name, (y[0], y[0]))
        self.ranges[name] = torch.minimum(low, y.amin(0)), torch.maximum(high, y.amax(0))

    def _number(self, param: Param) -> Value:
        value = number(param)
        return value.to(self.dtype) if isinstance(value, Tensor) else value

    def _aligned(self, args: list[Value], shapes: list[tuple[int, ...]], rank: int) -> list[Value]:
        """Batched operands with ones behind the batch, so that samples broadcast like arrays."""
        out = []
        for x, shape in zip(args, shapes, strict=True):
            if isinstance(x, Tensor) and x.dim() == len(shape) + 1:
                x = x.reshape(len(x), *(1,) * (rank - len(shape)), *shape)
            out.append(x)
        return out

    def _batched(self, x: Value, e: Edge) -> Tensor:
        shape = self.graph[e.src].types[e.out].shape
        y: Tensor = torch.as_tensor(x)
        return y if y.dim() == len(shape) + 1 else y.expand(self.batch, *shape)

    def _neuron(self, node: Node, args: list[Value]) -> None:
        assert isinstance(node.op, ops.Neuron)
        kernel: Kernel = node.op.kernel
        shape = (self.batch, *node.op.shape)
        env: dict[str, Value] = {
            c.name: self._number(c.values) for c in kernel.consts if c.index is None
        }
        for c in kernel.consts:
            if c.index is not None:
                env[c.name] = torch.from_numpy(c.values.data[c.index.data].copy()).to(self.dtype)
        shapes = [self.graph[e.src].types[e.out].shape for e in self.graph.in_edges(node.name)]
        env |= dict(
            zip(kernel.inputs, self._aligned(args, shapes, len(node.op.shape)), strict=True)
        )
        for s in kernel.states:
            first = torch.as_tensor(number(s.init), dtype=self.dtype)
            env[s.name] = self.states.get((node.name, s.name), first.expand(shape))
        for line in kernel.body:
            value = apply(line.fn, *(env[a] for a in line.args))
            env[line.name] = value.to(self.dtype) if line.fn in PREDICATES else value
        for i, out in enumerate(kernel.outputs):
            self._values[node.name, i] = torch.as_tensor(env[out]).expand(shape)
        for s in kernel.states:
            self.states[node.name, s.name] = torch.as_tensor(env[s.next]).expand(shape)

    def _collect(self, node: Node) -> None:
        (edge,) = self.graph.in_edges(node.name)
        x, old = self._batched(self._operand(edge), edge), self._collected.get(node.name)
        match node.op:
            case ops.TimeStack() | ops.Sequence():
                self._collected[node.name] = [*(old or []), x]
            case ops.TimeSum() | ops.TimeMean():
                self._collected[node.name] = x if old is None else old + x
            case ops.TimeMax():
                self._collected[node.name] = x if old is None else torch.maximum(old, x)
            case _:
                self._collected[node.name] = x

    def _finished(self, node: Node) -> Value:
        value = self._collected[node.name]
        if isinstance(node.op, ops.TimeStack):
            return torch.stack(value, 1)
        if isinstance(node.op, ops.TimeMean):
            return value / (self.steps_of(node) - node.op.start)
        return value

    def _element(self, node: Node, t: int) -> Tensor:
        """Step ``t`` of a sequence that the loop before has left."""
        sequence: list[Tensor] = self._collected[node.name]
        match node.op:
            case ops.TimeFlip():
                return sequence[-1 - t]
            case ops.TimeMix():
                check_steps(node.name, len(sequence), node.op.steps)
                weight = self._number(node.op.weight)[t]
                y: Tensor = torch.tensordot(weight, torch.stack(sequence), 1)
                return y if node.op.bias is None else y + self._number(node.op.bias)[t]
            case _:
                return sequence[t]
