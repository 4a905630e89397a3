"""Turn a trained ReLU network into integrate-and-fire neurons, with calibration data.

A ReLU becomes, per channel, an integrate-and-fire neuron that starts at half its threshold::

    u[t] = v[t-1] + x[t];   s[t] = u[t] > theta;   v[t] = u[t] - s[t] * theta;   v[-1] = theta / 2

and passes on ``theta * s``.  Its mean over T steps is ``x``, clipped to ``[0, theta]`` and rounded
to a multiple of ``theta / T``, if ``x`` is constant (Rueckauer et al. 2017, Bu et al. 2022).  What
is linear commutes with the mean over time and stays as it is; what is not linear must come after
the mean, hence after the last ReLU.  What precedes the first ReLU is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError, Diagnostic, error, fail
from snnc.graph import Graph, Node, Value
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param
from snnc.types import Clock

Array = npt.NDArray[Any]
#: Samples that run at a time.
BATCH = 64
#: Bins of the histogram from which percentiles are read.
BINS = 4096
#: A threshold keeps so many significant bits, rounded up: the order of float sums must not show.
THRESHOLD_BITS = 12

#: They commute with a mean over time.
_LINEAR = (
    *(ops.Linear, ops.Conv1d, ops.Conv2d, ops.Conv3d, ops.BatchNorm, ops.Sum, ops.Upsample),
    *(ops.ConvTranspose1d, ops.ConvTranspose2d, ops.ConvTranspose3d),
    *(ops.SumPool1d, ops.SumPool2d, ops.SumPool3d, ops.AvgPool1d, ops.AvgPool2d, ops.AvgPool3d),
    *(ops.Reshape, ops.Transpose, ops.Slice, ops.Concat, ops.Expand, ops.Take),
)


@dataclass(frozen=True, slots=True)
class Activation:
    """A ReLU: node of its input, node of its value, and the constant that clips it, if any."""

    source: Value
    node: str
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class SpikingLayer:
    """What became of an activation; thresholds are one per channel."""

    name: str
    thresholds: Array
    silent: int


@dataclass(frozen=True)
class Converted:
    """The spiking network and its populations."""

    graph: Graph
    layers: tuple[SpikingLayer, ...]


def to_spiking(
    graph: Graph, data: Mapping[str, Array], steps: int, percentile: float = 99.9, delay: int = 0
) -> Converted:
    """Replace every ReLU of a network without time by integrate-and-fire neurons.

    Args:
        graph: Of real-valued operators, without state.
        data: Calibration inputs by name, (N, ...) each.
        steps: T, over which the outputs are averaged.
        percentile: Of a channel's activations, which becomes its threshold; 100: the largest.
        delay: Steps at the start that do not count in the average, while spikes arrive.

    Raises:
        CompileError: E180 for operators that have no spiking form, E181 if there is nothing to
            convert or the network has state, E182 for options that make no sense.
    """
    _check_options(steps, percentile, delay)
    still = static(graph)
    found = {a.node: a for a in _activations(still)}
    if not found:
        text = f"{graph.name} has no ReLU to convert"
        raise fail("E181", text, help="a network that spikes already is compiled as it is")
    thresholds = _thresholds(still, list(found.values()), data, percentile)
    spiking = _Builder(still, found, thresholds, steps, delay).build()
    layers = []
    for a in found.values():
        theta, silent = thresholds[a.node]
        layers.append(SpikingLayer(a.node, theta, silent))
    return Converted(spiking, tuple(layers))


def _check_options(steps: int, percentile: float, delay: int) -> None:
    if steps < 1 or not 0 <= delay < steps:
        raise fail("E182", f"{steps} steps of which the first {delay} do not count")
    if not 50 <= percentile <= 100:
        text = f"a threshold at percentile {percentile:g} is none"
        raise fail("E182", text, help="99.9 is usual; 100 is the largest activation")


def static(graph: Graph) -> Graph:
    """The network as it computes one sample, without time: its inputs are read once.

    Raises:
        CompileError: E181 if it has state.
    """
    for node in graph:
        stateful = isinstance(node.op, ops.Neuron) or any(
            e.delay for e in graph.in_edges(node.name)
        )
        if stateful or isinstance(node.op, ops.StepTable | ops.Sequence | ops.Hold | ops.TimeSum):
            text = f"{node.name} has state or depends on time"
            hint = "only networks without time are converted; compile this one as it is"
            raise fail("E181", text, node.loc, help=hint)
    new = Graph(graph.name)
    at: dict[Value, Value] = {}
    for node in graph:
        operands = [at[Value(e.src, e.out)] for e in graph.in_edges(node.name)]
        if isinstance(node.op, ops.Crossing):  # of equal steps: each of them
            at[Value(node.name)] = operands[0]
            continue
        op = node.op
        if isinstance(op, ops.Input):
            op = replace(op, type=replace(op.type, clock=Clock.ONCE))
        new.add(node.name, op, *operands, loc=node.loc)
        at[Value(node.name)] = Value(node.name)
    return new


def _activations(graph: Graph) -> Iterator[Activation]:
    """Every ``relu(x)`` and ``maximum(x, 0)``, with the minimum that clips it, if there is one."""
    for node in graph:
        source = _rectified(graph, node)
        if source is None:
            continue
        edges = graph.out_edges(node.name)
        after = graph[edges[0].dst] if len(edges) == 1 else None
        limit = None if after is None else _bound(graph, after, "minimum", node.name)
        if after is not None and limit is not None and limit > 0:
            yield Activation(source, after.name, limit)
        else:
            yield Activation(source, node.name)


def _rectified(graph: Graph, node: Node) -> Value | None:
    edges = graph.in_edges(node.name)
    if node.op == ops.Pointwise("relu"):
        return Value(edges[0].src, edges[0].out)
    for e in edges:
        if _bound(graph, node, "maximum", e.src) == 0:
            return Value(e.src, e.out)
    return None


def _bound(graph: Graph, node: Node, fn: str, of: str) -> float | None:
    """The one number with which ``node`` bounds the value of ``of``."""
    if node.op != ops.Pointwise(fn):
        return None
    others = [graph[e.src].op for e in graph.in_edges(node.name) if e.src != of]
    if len(others) != 1 or not isinstance(others[0], ops.Constant):
        return None
    values = np.unique(others[0].value.data)
    return float(values[0]) if len(values) == 1 else None


def _thresholds(
    graph: Graph, found: list[Activation], data: Mapping[str, Array], percentile: float
) -> dict[str, tuple[Array, int]]:
    """Per activation: the thresholds of its channels, and how many of these were never active."""
    probe = graph.copy()
    for node in [n for n in probe if isinstance(n.op, ops.Output)]:
        probe.remove(node.name)
    for a in found:
        probe.add(probe.fresh(f"{a.node}.probe"), ops.Output(), a.node)
    names = {a.node: n for a, n in zip(found, FloatSimulator(probe).outputs, strict=True)}
    peaks: dict[str, Array] = {}
    for values in _batches(probe, data):
        for a in found:
            top = _by_channel(values[names[a.node]]).max(1)
            peaks[a.node] = np.maximum(peaks.get(a.node, top), top)
    counts = {name: np.zeros((len(p), BINS), np.int64) for name, p in peaks.items()}
    if percentile < 100:
        for values in _batches(probe, data):
            for a in found:
                _count(counts[a.node], _by_channel(values[names[a.node]]), peaks[a.node])
    return {
        a.node: _chosen(a, peaks[a.node], counts[a.node], percentile, graph[a.node]) for a in found
    }


def _batches(graph: Graph, data: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    simulator = FloatSimulator(graph)
    samples = len(next(iter(data.values())))
    for start in range(0, samples, BATCH):
        yield simulator.run({k: x[start : start + BATCH] for k, x in data.items()}, 1)[0]


def _by_channel(value: Array) -> Array:
    """(N, C, ...) as (C, everything else)."""
    moved = np.moveaxis(value, 1, 0) if value.ndim > 1 else value[None]
    return moved.reshape(len(moved), -1)


def _count(counts: Array, values: Array, peaks: Array) -> None:
    """Add to the histogram of every channel, from 0 to its peak."""
    for channel in np.flatnonzero(peaks > 0):
        place = np.minimum(values[channel] / peaks[channel] * BINS, BINS - 1).astype(np.int64)
        counts[channel] += np.bincount(place[values[channel] > 0], minlength=BINS)


def _chosen(
    a: Activation, peaks: Array, counts: Array, percentile: float, node: Node
) -> tuple[Array, int]:
    silent = int((peaks <= 0).sum())
    if silent == len(peaks):
        text = f"{node.name} is never active on the calibration data"
        raise fail("E182", text, node.loc, help="calibrate with data that the network was made for")
    theta = peaks.astype(np.float64)
    if percentile < 100:
        reached = np.cumsum(counts, 1) >= counts.sum(1, keepdims=True) * (percentile / 100)
        theta = peaks * (np.argmax(reached, 1) + 1) / BINS
    if a.limit is not None:
        theta = np.minimum(theta, a.limit)
    theta = np.where(theta > 0, theta, theta.max())  # a channel that other data may wake
    mantissa, exponent = np.frexp(theta)
    top = 1 << THRESHOLD_BITS
    return np.ldexp(np.ceil(mantissa * top) / top, exponent), silent


def neuron(theta: Array, shape: tuple[int, ...]) -> ops.Neuron:
    """Integrate and fire, from half the threshold, with reset by subtraction."""
    per_channel = theta.reshape(-1, *[1] * (len(shape) - 1)) if shape else theta.reshape(())
    body = (
        Line("u", "add", ("v", "x")),
        Line("s", "gt", ("u", "theta")),
        Line("r", "mul", ("s", "theta")),
        Line("w", "sub", ("u", "r")),
    )
    states = (State("v", "w", Param(per_channel / 2)),)
    consts = (Const("theta", Param(per_channel)),)
    return ops.Neuron(Kernel(("x",), states, consts, body, ("s",)), shape)


class _Builder:
    """Rebuilds the network: once before the first ReLU, per step to the mean, once after it."""

    def __init__(
        self,
        graph: Graph,
        found: dict[str, Activation],
        thresholds: dict[str, tuple[Array, int]],
        steps: int,
        delay: int,
    ) -> None:
        self.graph, self.found, self.thresholds = graph, found, thresholds
        self.delay = delay
        self.new = Graph(graph.name, steps)
        self.at: dict[Value, Value] = {}
        self.means: dict[Value, Value] = {}
        self.problems: list[Diagnostic] = []

    def build(self) -> Graph:
        """The spiking network; CompileError E180 with everything that has no spiking form."""
        for node in self.graph:
            operands = [self.at[Value(e.src, e.out)] for e in self.graph.in_edges(node.name)]
            if node.name in self.found:
                self._activation(node, self.found[node.name])
            elif any(a.limit is not None and self._clips(a, node) for a in self.found.values()):
                self.at[Value(node.name)] = operands[0]  # part of the neuron
            else:
                self._other(node, operands)
        if self.problems:
            raise CompileError(self.problems)
        return self.new

    def _clips(self, a: Activation, node: Node) -> bool:
        sources = {e.src for e in self.graph.in_edges(a.node)}
        return node.name in sources and _rectified(self.graph, node) == a.source

    def _activation(self, node: Node, a: Activation) -> None:
        source = self.at[a.source]
        if self.new.type_of(source).clock is Clock.END:
            text = f"{node.name} comes after an operator that is not linear"
            hint = "only networks of linear layers and ReLUs are converted"
            raise CompileError([*self.problems, error("E180", text, node.loc, help=hint)])
        theta = self.thresholds[node.name][0]
        made = neuron(theta, node.type.shape)
        spikes = self.new.add(node.name, made, source, loc=node.loc).name
        scale = Param(made.kernel.consts[0].values.data)
        factor = self.new.add(f"{node.name}.theta", ops.Constant(scale), loc=node.loc).name
        name = f"{node.name}.amplitude"
        self.new.add(name, ops.Pointwise("mul"), spikes, factor, loc=node.loc)
        self.at[Value(node.name)] = Value(name)

    def _other(self, node: Node, operands: list[Value]) -> None:
        types = [self.new.type_of(v) for v in operands]
        late = any(t.clock is Clock.STEP for t in types) and not self._linear(node)
        if late and isinstance(node.op, ops.MaxPool1d | ops.MaxPool2d | ops.MaxPool3d):
            text = f"{node.name}: the maximum of rates is not the rate of a maximum"
            hint = "train with average pooling, or with a stride in the convolution"
            self.problems.append(error("E180", text, node.loc, help=hint))
        elif late:
            operands = [self._mean(v) for v in operands]
        self.new.add(node.name, node.op, *operands, loc=node.loc)
        self.at[Value(node.name)] = Value(node.name)

    def _linear(self, node: Node) -> bool:
        edges = self.graph.in_edges(node.name)
        if isinstance(node.op, _LINEAR):
            return True
        if isinstance(node.op, ops.Reduce):
            return node.op.fn in ("sum", "mean")
        if not isinstance(node.op, ops.Pointwise):
            return False
        fixed = [self.new.type_of(self.at[Value(e.src, e.out)]).clock is not Clock.STEP
                 for e in edges]  # fmt: skip
        if node.op.fn in ("add", "sub", "neg"):
            return True
        return (node.op.fn == "mul" and any(fixed)) or (node.op.fn == "div" and fixed[1])

    def _mean(self, v: Value) -> Value:
        """The mean of a value over the steps that count."""
        if self.new.type_of(v).clock is not Clock.STEP:
            return v
        if v not in self.means:
            name = self.new.fresh(f"{v.src}.mean")
            self.new.add(name, ops.TimeMean(self.delay), v, loc=self.new[v.src].loc)
            self.means[v] = Value(name)
        return self.means[v]
