"""The layers of lava-dl as operators: weights, pools, averages, recurrence and delays.

A layer's delays hold up its spikes.  In the graph a delay lies on the edge that reads them; where
neurons differ in delay, the weights that read them are split by delay, and the parts add up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.frontends.lava_dl_file import Fields, RawLayer
from snnc.frontends.lava_dl_neurons import Neuron, UnsupportedError, neuron_kernel, per_channel
from snnc.frontends.lava_dl_options import LavaDlOptions
from snnc.graph import Edge, Graph
from snnc.params import Param
from snnc.types import SPIKE, TensorType

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

#: Longest delay of Loihi's synapses, and of lava-dl's axons.
MAX_DELAY = 63
_MAX_SIZE = 1 << 27
_READOUTS: dict[str, type[ops.Op]] = {
    "stack": ops.TimeStack,
    "sum": ops.TimeSum,
    "mean": ops.TimeMean,
    "last": ops.TimeLast,
    "max": ops.TimeMax,
}


@dataclass(frozen=True)
class LayerKind:
    """A type of layers: its fields, and what adds it to the graph."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    add: Callable[[Builder, RawLayer], None]


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
        if any(t.size > _MAX_SIZE for t in types):
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
            parts.append((self.emit(name, ops.Linear(_weights(part)), layer, operand), 0))
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
            bias = per_channel(_array(layer.fields, "bias"), "bias", shape, -(1 << 31), 1 << 31)
        neuron = Neuron(layer.neuron, shape, self.options, bias, encoder)
        op = ops.Neuron(neuron_kernel(layer, neuron), shape)
        name = self.emit(f"layer{layer.index}.neuron", op, layer, (node, 0))
        delay = zero + self.options.delay_shift
        if "delay" in layer.fields and not _reads_delay(layer, shape):
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
        read = self.emit(f"output.{readout}", _READOUTS[readout](), layer, operand)
        self.emit("output", ops.Output(), layer, (read, 0))
        for edge in self._edges:
            self.graph.connect(edge)
        self.graph.verify()
        return self.graph


def _array(fields: Fields, name: str) -> Array:
    value = fields[name]
    if not isinstance(value, str):
        return value
    raise ValueError(f"{name} is a text")


def _weights(value: Array) -> Param:
    return Param(np.asarray(value, np.float64).astype(np.float32))


def _ints(layer: RawLayer, name: str, count: int, default: int, lo: int) -> tuple[int, ...]:
    """``count`` integers of at least ``lo``; one number stands for all."""
    value = _array(layer.fields, name) if name in layer.fields else np.asarray(default)
    if value.dtype.kind not in "iub" or value.size not in (1, count):
        raise ValueError(f"{name} must be {count} integers, it is {value!s:.60}")
    found = tuple(int(n) for n in np.broadcast_to(value.reshape(-1), count))
    if any(not lo <= n <= 1 << 24 for n in found):
        raise ValueError(f"{name} is {found}")
    return found


def _shape(layer: RawLayer) -> Shape:
    value = _array(layer.fields, "shape")
    if value.dtype.kind not in "iu" or not 1 <= value.size <= 3:
        raise ValueError(f"shape is {value!s:.60}, not one to three integers")
    found = tuple(int(n) for n in value.reshape(-1))
    if min(found) < 1 or math.prod(found) > _MAX_SIZE:
        raise ValueError(f"shape is {found}")
    return found


def _check_theta(fields: Fields) -> None:
    """Older files have the threshold twice."""
    theta, mantissa = np.asarray(fields.get("theta", 0)), np.asarray(fields.get("vThMant", 0))
    numbers = theta.dtype.kind in "iuf" and mantissa.dtype.kind in "iuf"
    if "theta" in fields and not (numbers and (theta == 64 * mantissa).all()):
        raise ValueError(f"theta is {theta!s:.40}, and not 64 * vThMant")


def _reads_delay(layer: RawLayer, shape: Shape) -> bool:
    """Whether the delay is one of the layer's synapses, not of its own spikes."""
    size = _array(layer.fields, "delay").size
    return size not in (1, shape[0], math.prod(shape))


def _delays(layer: RawLayer, shape: Shape) -> Array:
    """Delays of the layer's own spikes, rounded down as lava-dl does."""
    found = _steps(_array(layer.fields, "delay")).reshape(-1)
    if found.size == math.prod(shape):
        return found.reshape(shape)
    return np.broadcast_to(found.reshape(-1, *[1] * (len(shape) - 1)), shape)


def _steps(value: Array) -> Array:
    steps = np.floor(np.asarray(value, np.float64))
    if steps.size and not (steps.min() >= 0 and steps.max() <= MAX_DELAY):
        raise ValueError(
            f"delays are 0 to {MAX_DELAY} steps, not {steps.min():g} to {steps.max():g}"
        )
    return steps.astype(np.int64)


def _synapse_delays(layer: RawLayer, weight: Array) -> Array:
    """Delays of the connections, to broadcast to the weight; see ``_reads_delay``."""
    if "delay" not in layer.fields or not _reads_delay(layer, weight.shape[:1]):
        return np.zeros((), np.int64)
    found = _steps(_array(layer.fields, "delay"))
    if found.size == weight.shape[1]:
        return found.reshape(1, -1)
    if found.size == weight.size:
        return found.reshape(weight.shape)
    raise ValueError(f"{found.size} delays for a weight of {weight.shape}")


def _matrix(layer: RawLayer, name: str, columns: int | None = None) -> Array:
    """A weight matrix; a vector is one in row-major order."""
    value = np.asarray(_array(layer.fields, name), np.float64)
    rows = math.prod(_shape(layer)) if "shape" in layer.fields else len(value)
    if value.ndim == 1 and rows and value.size % rows == 0:
        value = value.reshape(rows, -1)
    if value.ndim > 2 and value.size == value.shape[0] * value.shape[1]:
        value = value.reshape(value.shape[:2])
    if value.ndim != 2 or len(value) != rows or (columns is not None and value.shape[1] != columns):
        raise ValueError(f"{name} has shape {value.shape} for {rows} neurons")
    return value


def _input(b: Builder, layer: RawLayer) -> None:
    if b.last is not None:
        raise ValueError("an input layer must be the first")
    shape = _shape(layer)
    signal = b.source(shape, layer, layer.neuron is not None)
    if layer.neuron is None:
        b.last = signal
        return
    transform = []
    for name, default in (("weight", 64.0), ("bias", 0.0)):
        value = _array(layer.fields, name) if name in layer.fields else np.asarray(default)
        if value.size != 1:
            raise ValueError(f"{name} has {value.size} values, not one")
        transform.append(float(value.reshape(())))
    b.fire(signal.node, layer, (transform[0], transform[1]))


def _dense(b: Builder, layer: RawLayer) -> None:
    weight = _matrix(layer, "weight")
    signal = b.arriving(layer, (weight.shape[1],))
    signal = _flat(signal)
    if signal.shape != (weight.shape[1],):
        raise ValueError(f"it reads {weight.shape[1]} values, and {signal.shape[0]} arrive")
    b.fire(b.weighted(signal, weight, layer, _synapse_delays(layer, weight)), layer)


def _recurrent(b: Builder, layer: RawLayer) -> None:
    """``W x[t] + R s[t-1]``: lava-dl's recurrent block, and a Dense of Lava from and to a LIF."""
    if layer.neuron is None:
        raise ValueError("it is recurrent and has no neurons")
    weight = _matrix(layer, "weight")
    feedback = _matrix(layer, "weight_rec", len(weight))
    if "delay" in layer.fields and _reads_delay(layer, weight.shape[:1]):
        raise UnsupportedError("delays of recurrent connections are not read")
    signal = _flat(b.arriving(layer, (weight.shape[1],)))
    if signal.shape != (weight.shape[1],):
        raise ValueError(f"it reads {weight.shape[1]} values, and {signal.shape[0]} arrive")
    forward = b.weighted(signal, weight, layer, np.zeros((), np.int64))
    back = b.graph.fresh(f"layer{layer.index}.recurrent")
    like = b.graph[forward]
    b.graph.declare(back, ops.Linear(_weights(feedback)), like.types, layer.loc)
    total = b.emit(f"layer{layer.index}.sum", ops.Sum(), layer, (forward, 0), (back, 0))
    b.fire(total, layer)
    assert b.last is not None, "just made"
    if b.graph[b.last.node].type.dtype != SPIKE:
        raise UnsupportedError("graded spikes in a recurrent layer are not read")
    b.connect_later(b.last.node, back, 1)


def _conv(b: Builder, layer: RawLayer) -> None:
    weight = np.asarray(_array(layer.fields, "weight"), np.float64)
    if weight.ndim == 5 and weight.shape[4] == 1:
        weight = weight[..., 0]
    if weight.ndim != 4:
        raise ValueError(f"weight has shape {weight.shape}, not (out, in, height, width)")
    stride, dilation = (_ints(layer, name, 2, 1, 1) for name in ("stride", "dilation"))
    padding, (groups,) = _ints(layer, "padding", 2, 0, 0), _ints(layer, "groups", 1, 1, 1)
    geometry = (stride[:2], padding[:2], dilation[:2])
    op = ops.Conv2d(_weights(weight), None, *geometry, groups)  # type: ignore[arg-type]
    node = b.emit(f"layer{layer.index}.conv", op, layer, b.uniform(b.arriving(layer, None), layer))
    _expect(b, node, layer)
    b.fire(node, layer)


def _pool(b: Builder, layer: RawLayer) -> None:
    """A sum over windows times one weight: a convolution of each channel with itself."""
    signal = b.arriving(layer, None)
    if len(signal.shape) != 3:
        raise ValueError(f"it reads (channels, height, width), not {signal.shape}")
    weight = np.asarray(_array(layer.fields, "weight"), np.float64)
    weight = (
        weight.reshape(weight.shape[:4]) if weight.ndim == 5 and weight.shape[4] == 1 else weight
    )
    if weight.ndim != 4 or weight.shape[:2] != (1, 1):
        raise ValueError(f"weight has shape {weight.shape}, not (1, 1, height, width)")
    kernel = (weight.shape[2], weight.shape[3])
    stride = _ints(layer, "stride", 2, 1, 1)
    plain = _ints(layer, "padding", 2, 0, 0) == (0, 0) and _ints(layer, "dilation", 2, 1, 1) == (
        1,
        1,
    )
    if (
        not plain
        or stride != kernel
        or any(n % k for n, k in zip(signal.shape[1:], kernel, strict=True))
    ):
        raise UnsupportedError("only pools whose windows tile their input are read")
    channels = signal.shape[0]
    every = np.broadcast_to(weight, (channels, 1, *kernel))
    op = ops.Conv2d(_weights(every), None, kernel, (0, 0), (1, 1), channels)
    node = b.emit(f"layer{layer.index}.pool", op, layer, b.uniform(signal, layer))
    _expect(b, node, layer)
    b.fire(node, layer)


def _flatten(b: Builder, layer: RawLayer) -> None:
    if b.last is None:
        raise ValueError("there is nothing to flatten")
    b.last = _flat(b.last)


def _average(b: Builder, layer: RawLayer) -> None:
    """Means of equal groups of neurons, the output of a population code."""
    if b.last is None:
        raise ValueError("there is nothing to average")
    signal, groups = _flat(b.last), _shape(layer)[0]
    size, rest = divmod(signal.shape[0], groups)
    if rest:
        raise ValueError(f"{signal.shape[0]} values are no {groups} equal groups")
    weight = np.repeat(np.eye(groups), size, 1)
    node = b.weighted(signal, weight, layer, np.zeros((), np.int64))
    share = b.graph.fresh(f"layer{layer.index}.share")
    b.graph.add(share, ops.Constant(Param(np.asarray(1 / size))), loc=layer.loc)
    name = f"layer{layer.index}.average"
    node = b.emit(name, ops.Pointwise("mul"), layer, (node, 0), (share, 0))
    b.last = Signal(node, (groups,), np.zeros((), np.int64))


def _flat(signal: Signal) -> Signal:
    size = math.prod(signal.shape)
    delay = signal.delay if signal.delay.ndim == 0 else signal.delay.reshape(-1)
    return replace(signal, shape=(size,), delay=delay)


def _expect(b: Builder, node: str, layer: RawLayer) -> None:
    """Compare with the shape that the file claims."""
    found = b.graph[node].type.shape
    if "shape" in layer.fields and _shape(layer) != found:
        raise ValueError(f"its output has shape {found}, the file says {_shape(layer)}")


_CONNECTED = ("shape", "inFeatures", "outFeatures", "bias", "delay")
_WINDOW = ("shape", "inChannels", "outChannels", "kernelSize", "stride", "padding", "dilation")

#: The types of layers that are read.
LAYERS: dict[str, LayerKind] = {
    "input": LayerKind(("shape",), ("weight", "bias"), _input),
    "dense": LayerKind(("weight",), _CONNECTED, _dense),
    "dense_rec": LayerKind(("weight", "weight_rec"), _CONNECTED, _recurrent),
    "conv": LayerKind(("weight",), (*_WINDOW, "groups", "bias", "delay"), _conv),
    "pool": LayerKind(("weight",), (*_WINDOW, "delay"), _pool),
    "flatten": LayerKind((), ("shape",), _flatten),
    "average": LayerKind(("shape",), (), _average),
}
