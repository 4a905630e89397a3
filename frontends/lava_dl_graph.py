"""The graph of a lava-dl network in the making, layer by layer.

A layer's delays hold up its spikes.  In the graph a delay lies on the edge that reads them; where
neurons differ in delay, the weights that read them are split by delay, and the parts add up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.frontends.lava_dl_file import Fields, RawLayer
from snnc.frontends.lava_dl_neurons import Neuron, UnsupportedError, neuron_kernel, per_channel
from snnc.frontends.lava_dl_options import LavaDlOptions
from snnc.frontends.readouts import READOUTS
from snnc.graph import Edge, Graph
from snnc.params import Param
from snnc.types import TensorType

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

#: Longest delay of Loihi's synapses, and of lava-dl's axons.
MAX_DELAY = 63
MAX_SIZE = 1 << 27


@dataclass(frozen=True)
class Signal:
    """What the last layer passes on.

    Attributes:
        node: The node that computes it.
        shape: How its readers see it; row-major the same elements as the node's.
        delay: Steps, of every element (in ``shape``) or of all.
    """

    node: str
    shape: Shape
    delay: Array


class Builder:
    """The graph in the making, layer by layer."""

    def __init__(self, name: str, options: LavaDlOptions, steps: int) -> None:
        self.options = options
        self.graph = Graph(name, steps)
        self.grid = options.grid(0.0, 1.0)
        self.last: Signal | None = None
        self._edges: list[Edge] = []

    # -- nodes --------------------------------------------------------------------------------

    def emit(self, name: str, op: ops.Op, layer: RawLayer, *operands: tuple[str, int]) -> str:
        """Declare an operator; operands are nodes that exist, with delays."""
        types = op.infer(tuple(self.graph[src].type for src, _ in operands))
        if any(t.size > MAX_SIZE for t in types):
            raise ValueError(f"{math.prod(types[0].shape)} values are too many")
        name = self.graph.fresh(name)
        self.graph.declare(name, op, types, layer.loc)
        for port, (src, delay) in enumerate(operands):
            self._edges.append(Edge(src, name, port, 0, delay))
        return name

    def connect_later(self, src: str, dst: str, delay: int) -> None:
        """Close a loop: the first operand of ``dst`` is ``src`` of ``delay`` steps ago."""
        self._edges.append(Edge(src, dst, 0, 0, delay))

    def source(self, shape: Shape, layer: RawLayer, encoder: bool = False) -> Signal:
        """The network's input."""
        if encoder:
            self.grid = self.options.grid(-1.0, 2.0**-5)
        op = ops.Input(TensorType(shape), *self.grid)
        return Signal(self.emit("input", op, layer), shape, np.zeros((), np.int64))

    def arriving(self, layer: RawLayer, shape: Shape | None) -> Signal:
        """What the layer reads; the input of the network, of this shape, if it is the first."""
        if self.last is None:
            shape = self.options.shape or shape
            if shape is None:
                hint = "name it: --lava-dl input=CxHxW"
                raise ValueError(f"the file does not say the shape of the input; {hint}")
            self.last = self.source(shape, layer)
        return self.last

    def read(self, signal: Signal, layer: RawLayer, delay: int) -> tuple[str, int]:
        """The signal of ``delay`` steps ago in its shape, as an operand."""
        if self.graph[signal.node].type.shape == signal.shape:
            return signal.node, delay
        name = f"layer{layer.index}.reshape"
        return self.emit(name, ops.Reshape(signal.shape), layer, (signal.node, delay)), 0

    def uniform(self, signal: Signal, layer: RawLayer) -> tuple[str, int]:
        """The signal as an operand of a layer that cannot tell its elements apart."""
        delays = np.unique(signal.delay)
        if len(delays) > 1:
            raise UnsupportedError("it reads spikes of different delays; only dense layers can")
        return self.read(signal, layer, int(delays[0]))

    def weighted(self, signal: Signal, weight: Array, layer: RawLayer, extra: Array) -> str:
        """``weight @ signal``, each product after the delay of its element plus ``extra``."""
        delay = np.broadcast_to(signal.delay, signal.shape).reshape(1, -1) + extra
        delay = np.broadcast_to(delay, weight.shape)
        parts = []
        name = f"layer{layer.index}.dense"
        for d in np.unique(delay[weight != 0]) if weight.any() else np.zeros(1, np.int64):
            part = weight * (delay == d)
            operand = self.read(signal, layer, int(d))
            parts.append((self.emit(name, ops.Linear(weights(part)), layer, operand), 0))
        return (
            parts[0][0] if len(parts) == 1 else self.emit(f"{name}.sum", ops.Sum(), layer, *parts)
        )

    def fire(self, node: str, layer: RawLayer, encoder: tuple[float, float] | None = None) -> None:
        """Put the layer's neurons behind ``node``, and pass on their spikes."""
        shape = self.graph[node].type.shape
        zero = np.zeros((), np.int64)
        if layer.neuron is None:
            if "bias" in layer.fields or "delay" in layer.fields:
                raise UnsupportedError("a bias or a delay without neurons is not read")
            self.last = Signal(node, shape, zero)
            return
        _check_theta(layer.neuron)
        bias = None
        if encoder is None and "bias" in layer.fields:
            bias = per_channel(array(layer.fields, "bias"), "bias", shape, -(1 << 31), 1 << 31)
        neuron = Neuron(layer.neuron, shape, self.options, bias, encoder)
        op = ops.Neuron(neuron_kernel(layer, neuron), shape)
        name = self.emit(f"layer{layer.index}.neuron", op, layer, (node, 0))
        fires = op.kernel.outputs[0] != "v1"  # a readout's voltage is there in the same step
        delay = zero + self.options.delay_shift * fires
        if "delay" in layer.fields and not reads_delay(layer, shape):
            delay = delay + _delays(layer, shape)
        self.last = Signal(name, shape, delay)

    def finish(self) -> Graph:
        """Add the output and connect everything."""
        assert self.last is not None, "a file has at least one layer"
        layer = RawLayer(0, "output")
        shape = self.last.shape
        if len(np.unique(self.last.delay)) > 1:
            flat = math.prod(shape)
            signal = replace(self.last, shape=(flat,), delay=self.last.delay.reshape(-1))
            node = self.weighted(signal, np.eye(flat), layer, np.zeros((), np.int64))
            self.last = Signal(node, shape, np.zeros((), np.int64))
        operand = self.uniform(self.last, layer)
        readout = self.options.readout
        read = self.emit(f"output.{readout}", READOUTS[readout](), layer, operand)
        self.emit("output", ops.Output(), layer, (read, 0))
        for edge in self._edges:
            self.graph.connect(edge)
        self.graph.verify()
        return self.graph


def array(fields: Fields, name: str) -> Array:
    """A field that must be numbers."""
    value = fields[name]
    if not isinstance(value, str):
        return value
    raise ValueError(f"{name} is a text")


def weights(value: Array) -> Param:
    """Weights as a parameter, exactly."""
    exact = np.abs(value).max(initial=0) <= 1 << 24 and not (value % 1).any()
    return Param(np.asarray(value, np.float32 if exact else np.float64))


def _check_theta(fields: Fields) -> None:
    """Older files have the threshold twice."""
    theta, mantissa = np.asarray(fields.get("theta", 0)), np.asarray(fields.get("vThMant", 0))
    numbers = theta.dtype.kind in "iuf" and mantissa.dtype.kind in "iuf"
    if "theta" in fields and not (numbers and (theta == 64 * mantissa).all()):
        raise ValueError(f"theta is {theta!s:.40}, and not 64 * vThMant")


def reads_delay(layer: RawLayer, shape: Shape) -> bool:
    """Whether the delay is one of the layer's synapses, not of its own spikes."""
    size = array(layer.fields, "delay").size
    return size not in (1, shape[0], math.prod(shape))


def _delays(layer: RawLayer, shape: Shape) -> Array:
    """Delays of the layer's own spikes, rounded down as lava-dl does."""
    found = whole_steps(array(layer.fields, "delay")).reshape(-1)
    if found.size == math.prod(shape):
        return found.reshape(shape)
    return np.broadcast_to(found.reshape(-1, *[1] * (len(shape) - 1)), shape)


def whole_steps(value: Array) -> Array:
    """Delays in steps, rounded down as lava-dl does."""
    steps = np.floor(np.asarray(value, np.float64))
    if steps.size and not (steps.min() >= 0 and steps.max() <= MAX_DELAY):
        raise ValueError(
            f"delays are 0 to {MAX_DELAY} steps, not {steps.min():g} to {steps.max():g}"
        )
    return steps.astype(np.int64)
