"""The layers of NIR as operators: weights, pools, reshapes, scales and delays.

A NIR node becomes a chain of operators with one data operand each.  Shapes are those of one
sample at one step; a chain raises ValueError, in the user's terms, if its input does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.frontends.nir_file import RawNode
from snnc.frontends.nir_neurons import fitted
from snnc.ops import AvgPool2d, Conv2d, Linear, Op, Pointwise, Reshape, SumPool2d
from snnc.params import Param
from snnc.types import TensorType

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class UnsupportedError(Exception):
    """The node is valid NIR, and there is no operator for it."""


@dataclass(frozen=True, slots=True)
class Link:
    """One operator of a chain; ``constant`` is its second operand."""

    op: Op
    constant: Param | None = None


#: Longest delay in steps, and most different ones of one Delay node.
MAX_DELAY, MAX_DELAYS = 1 << 16, 256
_WHOLE = "it must be a whole number, 0 or more"

#: Required parameters by kind; all others have defaults or do not change the meaning.
REQUIRED: dict[str, tuple[str, ...]] = {
    "Input": ("shape",),
    "Output": (),
    "Linear": ("weight",),
    "Affine": ("weight", "bias"),
    "Conv1d": ("weight",),
    "Conv2d": ("weight",),
    "SumPool2d": ("kernel_size",),
    "AvgPool2d": ("kernel_size",),
    "Flatten": (),
    "Scale": ("scale",),
    "Delay": ("delay",),
}

#: Parameters that are known and optional, or that only repeat a shape.
OPTIONAL: dict[str, tuple[str, ...]] = {
    "Conv1d": ("bias", "stride", "padding", "dilation", "groups"),
    "Conv2d": ("bias", "stride", "padding", "dilation", "groups"),
    "SumPool2d": ("stride", "padding"),
    "AvgPool2d": ("stride", "padding"),
    "Flatten": ("start_dim", "end_dim"),
}
SHAPES = frozenset({"shape", "input_shape", "input_type", "output_type"})


def declared(node: RawNode) -> Shape | None:
    """The shape that an Input or Output node claims."""
    value = node.fields.get("shape")
    if not isinstance(value, np.ndarray) or value.ndim > 1 or value.size > 16:
        return None
    return tuple(int(n) for n in value.reshape(-1))


def implied(node: RawNode) -> Shape | None:
    """The shape of the input that the parameters of a node fix, if they do."""
    arrays = {k: v for k, v in node.fields.items() if isinstance(v, np.ndarray)}
    weight, extent = arrays.get("weight"), arrays.get("input_shape")
    if node.kind in ("Linear", "Affine") and weight is not None and weight.ndim >= 2:
        return (weight.shape[-1],)
    if node.kind in ("Conv1d", "Conv2d"):
        if weight is None or extent is None or weight.ndim != extent.size + 2:
            return None
        (groups,) = _whole(node, "groups", 1, 1)
        return (weight.shape[1] * groups, *(int(n) for n in extent.reshape(-1)))
    if node.kind == "Flatten":
        claim = arrays.get("input_type")
        return None if claim is None else tuple(int(n) for n in claim.reshape(-1))
    own = arrays.get({"Scale": "scale", "Threshold": "threshold"}.get(node.kind, "v_threshold"))
    own = arrays.get("r") if own is None else own
    return None if own is None or not own.ndim else own.shape


def chain(node: RawNode, shape: Shape, counted: bool) -> tuple[Link, ...]:
    """The operators of a layer whose input has this shape.

    Args:
        node: Not a neuron, and not a delay.
        shape: Of the input.
        counted: Whether ``start_dim`` of Flatten counts the batch axis, as torch does.

    Raises:
        ValueError: If the input or a parameter does not fit.
        UnsupportedError: If there is no operator for it.
    """
    return _CHAINS[node.kind](node, shape, counted)


def _array(node: RawNode, name: str) -> Array:
    value = node.fields[name]
    assert not isinstance(value, str), "only padding may be text"
    return value


def _whole(node: RawNode, name: str, default: int, count: int) -> tuple[int, ...]:
    """``count`` integers; one number stands for all."""
    value = np.asarray(node.fields.get(name, default))
    if value.dtype.kind not in "iub" or value.size not in (1, count):
        raise ValueError(f"{name} must be {count} integers, it is {value!s:.60}")
    found = tuple(int(n) for n in np.broadcast_to(value.reshape(-1), count))
    if any(abs(n) > 1 << 31 for n in found):
        raise ValueError(f"{name} is {found}")
    return found


def _weights(value: Array) -> Param:
    return Param(value if value.dtype.kind == "f" else value.astype(np.float32))


def _bias(node: RawNode, rows: int) -> Param | None:
    """The bias, None if it is zero or ``False``; one number stands for all rows."""
    if "bias" not in node.fields:
        return None
    value = _array(node, "bias")
    if not value.any():
        return None
    if value.size not in (1, rows):
        raise ValueError(f"bias of shape {value.shape} for {rows} rows")
    return _weights(np.broadcast_to(value.reshape(-1), rows))


def _linear(node: RawNode, shape: Shape, counted: bool) -> tuple[Link, ...]:
    weight = _array(node, "weight")
    while weight.ndim > 2 and weight.shape[0] == 1:
        weight = weight[0]
    if weight.ndim != 2:
        raise ValueError(f"weight has shape {weight.shape}, not (out, in)")
    bias = _bias(node, len(weight)) if node.kind == "Affine" else None
    return (Link(Linear(_weights(weight), bias)),)


def _padding(
    node: RawNode, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[int, ...]:
    value = node.fields.get("padding", 0)
    if not isinstance(value, str):
        return _whole(node, "padding", 0, len(kernel))
    if value == "valid":
        return (0,) * len(kernel)
    if value != "same":
        raise ValueError(f"padding is {value!r}, possible are numbers, 'same' and 'valid'")
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if any(t % 2 for t in total) or any(s != 1 for s in stride):
        raise UnsupportedError("padding 'same' is not symmetric for this kernel and stride")
    return tuple(t // 2 for t in total)


def _conv(node: RawNode, axes: int) -> Conv2d:
    """The convolution over ``axes`` axes as one over two; the first has extent 1 for Conv1d."""
    weight = _array(node, "weight")
    if weight.ndim != axes + 2:
        raise ValueError(f"weight has shape {weight.shape}, not (out, in, {axes} x kernel)")
    stride = _whole(node, "stride", 1, axes)
    dilation = _whole(node, "dilation", 1, axes)
    padding = _padding(node, weight.shape[2:], stride, dilation)
    if min(*stride, *dilation, 1) < 1 or min(*padding, 0) < 0:
        raise ValueError(f"stride {stride}, dilation {dilation}, padding {padding}")
    (groups,) = _whole(node, "groups", 1, 1)
    if groups < 1:
        raise ValueError(f"{groups} groups")
    if axes == 1:
        weight = weight[:, :, None]
        stride, dilation, padding = (1, *stride), (1, *dilation), (0, *padding)
    bias = _bias(node, len(weight))
    pairs = (stride[:2], padding[:2], dilation[:2])
    (s0, s1), (p0, p1), (d0, d1) = pairs
    return Conv2d(_weights(weight), bias, (s0, s1), (p0, p1), (d0, d1), groups)


def _conv1d(node: RawNode, shape: Shape, counted: bool) -> tuple[Link, ...]:
    if len(shape) != 2:
        raise ValueError(f"needs (channels, length), got {shape}")
    op = _conv(node, 1)
    (out,) = op.infer((TensorType((shape[0], 1, shape[1])),))
    return (
        Link(Reshape((shape[0], 1, shape[1]))),
        Link(op),
        Link(Reshape((out.shape[0], out.shape[2]))),
    )


def _conv2d(node: RawNode, shape: Shape, counted: bool) -> tuple[Link, ...]:
    return (Link(_conv(node, 2)),)


def _pool(node: RawNode, shape: Shape, counted: bool) -> tuple[Link, ...]:
    kernel = _whole(node, "kernel_size", 1, 2)
    stride = _whole(node, "stride", 1, 2) if "stride" in node.fields else kernel
    padding = _whole(node, "padding", 0, 2)
    op = SumPool2d if node.kind == "SumPool2d" else AvgPool2d
    (k0, k1), (s0, s1), (p0, p1) = kernel, stride, padding
    return (Link(op((k0, k1), (s0, s1), (p0, p1))),)


def _flatten(node: RawNode, shape: Shape, counted: bool) -> tuple[Link, ...]:
    (start,), (end,) = _whole(node, "start_dim", 0, 1), _whole(node, "end_dim", -1, 1)
    if counted:
        start, end = (n - 1 if n > 0 else n for n in (start, end))
    rank = len(shape)
    first, last = (n + rank if n < 0 else n for n in (start, end))
    if not 0 <= first <= last < rank:
        raise ValueError(f"cannot flatten axes {start} to {end} of shape {shape}")
    size = int(np.prod(shape[first : last + 1]))
    return (Link(Reshape((*shape[:first], size, *shape[last + 1 :]))),)


def _scale(node: RawNode, shape: Shape, counted: bool) -> tuple[Link, ...]:
    value = _array(node, "scale")
    while value.ndim > len(shape) and value.shape[0] == 1:
        value = value[0]
    if value.size == 1:
        value = value.reshape(())
    elif value.shape != shape:
        raise ValueError(f"scale of shape {value.shape} for an input of shape {shape}")
    return (Link(Pointwise("mul"), _weights(value)),)


def _through(node: RawNode, shape: Shape, counted: bool) -> tuple[Link, ...]:
    return ()


_CHAINS: dict[str, Callable[[RawNode, Shape, bool], tuple[Link, ...]]] = {
    "Input": _through,
    "Output": _through,
    "Linear": _linear,
    "Affine": _linear,
    "Conv1d": _conv1d,
    "Conv2d": _conv2d,
    "SumPool2d": _pool,
    "AvgPool2d": _pool,
    "Flatten": _flatten,
    "Scale": _scale,
    "Delay": _through,
}


def delay_steps(node: RawNode, shape: Shape, dt: float) -> Array:
    """Steps of a Delay node: one number, or one for each neuron.

    Raises:
        ValueError: If one is negative, or not a whole number of steps, or the shape does not fit.
        UnsupportedError: If there are too many different ones.
    """
    value = fitted(np.asarray(_array(node, "delay"), np.float64), shape)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.round(value / dt)
        wrong = (np.abs(steps - value / dt) > 1e-3) | (steps < 0) | (steps > MAX_DELAY)
    if wrong.any():
        time = float(value[wrong].reshape(-1)[0])
        raise ValueError(f"a delay of {time:g} is {time / dt:g} steps of {dt:g}: {_WHOLE}")
    different = np.unique(steps)
    if len(different) > MAX_DELAYS:
        raise UnsupportedError(f"{len(different)} different delays")
    return np.asarray(different[0] if len(different) == 1 else steps).astype(np.int64)
