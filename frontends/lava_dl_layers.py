"""The layers of lava-dl as operators: weights, pools, averages and recurrence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from snnc import ops
from snnc.frontends.lava_dl_file import RawLayer
from snnc.frontends.lava_dl_graph import (
    MAX_SIZE,
    Array,
    Builder,
    Shape,
    Signal,
    array,
    reads_delay,
    weights,
    whole_steps,
)
from snnc.frontends.lava_dl_neurons import UnsupportedError
from snnc.params import Param
from snnc.types import SPIKE


@dataclass(frozen=True)
class LayerKind:
    """A type of layers: its fields, and what adds it to the graph."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    add: Callable[[Builder, RawLayer], None]


def _ints(layer: RawLayer, name: str, count: int, default: int, lo: int) -> tuple[int, ...]:
    """``count`` integers of at least ``lo``; one number stands for all."""
    value = array(layer.fields, name) if name in layer.fields else np.asarray(default)
    if value.dtype.kind not in "iub" or value.size not in (1, count):
        raise ValueError(f"{name} must be {count} integers, it is {value!s:.60}")
    found = tuple(int(n) for n in np.broadcast_to(value.reshape(-1), count))
    if any(not lo <= n <= 1 << 24 for n in found):
        raise ValueError(f"{name} is {found}")
    return found


def _shape(layer: RawLayer) -> Shape:
    value = array(layer.fields, "shape")
    if value.dtype.kind not in "iu" or not 1 <= value.size <= 3:
        raise ValueError(f"shape is {value!s:.60}, not one to three integers")
    found = tuple(int(n) for n in value.reshape(-1))
    if min(found) < 1 or math.prod(found) > MAX_SIZE:
        raise ValueError(f"shape is {found}")
    return found


def _synapse_delays(layer: RawLayer, weight: Array) -> Array:
    """Delays of the connections, to broadcast to the weight; see ``_reads_delay``."""
    if "delay" not in layer.fields or not reads_delay(layer, weight.shape[:1]):
        return np.zeros((), np.int64)
    found = whole_steps(array(layer.fields, "delay"))
    if found.size == weight.shape[1]:
        return found.reshape(1, -1)
    if found.size == weight.size:
        return found.reshape(weight.shape)
    raise ValueError(f"{found.size} delays for a weight of {weight.shape}")


def _matrix(layer: RawLayer, name: str, columns: int | None = None) -> Array:
    """A weight matrix; a vector is one in row-major order."""
    value = np.asarray(array(layer.fields, name), np.float64)
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
        value = array(layer.fields, name) if name in layer.fields else np.asarray(default)
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
    if "delay" in layer.fields and reads_delay(layer, weight.shape[:1]):
        raise UnsupportedError("delays of recurrent connections are not read")
    signal = _flat(b.arriving(layer, (weight.shape[1],)))
    if signal.shape != (weight.shape[1],):
        raise ValueError(f"it reads {weight.shape[1]} values, and {signal.shape[0]} arrive")
    forward = b.weighted(signal, weight, layer, np.zeros((), np.int64))
    back = b.graph.fresh(f"layer{layer.index}.recurrent")
    like = b.graph[forward]
    b.graph.declare(back, ops.Linear(weights(feedback)), like.types, layer.loc)
    total = b.emit(f"layer{layer.index}.sum", ops.Sum(), layer, (forward, 0), (back, 0))
    b.fire(total, layer)
    assert b.last is not None, "just made"
    if b.graph[b.last.node].type.dtype != SPIKE:
        raise UnsupportedError("graded spikes in a recurrent layer are not read")
    b.connect_later(b.last.node, back, 1)


def _conv(b: Builder, layer: RawLayer) -> None:
    weight = np.asarray(array(layer.fields, "weight"), np.float64)
    if weight.ndim == 5 and weight.shape[4] == 1:
        weight = weight[..., 0]
    if weight.ndim != 4:
        raise ValueError(f"weight has shape {weight.shape}, not (out, in, height, width)")
    stride, dilation = (_ints(layer, name, 2, 1, 1) for name in ("stride", "dilation"))
    padding, (groups,) = _ints(layer, "padding", 2, 0, 0), _ints(layer, "groups", 1, 1, 1)
    geometry = (stride[:2], padding[:2], dilation[:2])
    op = ops.Conv2d(weights(weight), None, *geometry, groups)  # type: ignore[arg-type]
    node = b.emit(f"layer{layer.index}.conv", op, layer, b.uniform(b.arriving(layer, None), layer))
    _expect(b, node, layer)
    b.fire(node, layer)


def _pool(b: Builder, layer: RawLayer) -> None:
    """A sum over windows times one weight: a convolution of each channel with itself."""
    signal = b.arriving(layer, None)
    if len(signal.shape) != 3:
        raise ValueError(f"it reads (channels, height, width), not {signal.shape}")
    weight = np.asarray(array(layer.fields, "weight"), np.float64)
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
    op = ops.Conv2d(weights(every), None, kernel, (0, 0), (1, 1), channels)
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
