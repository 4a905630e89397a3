"""Real-valued operators: what the network computes. Names follow NIR where NIR has them.

Shapes are those of one sample at one step.  ``infer`` gives the output types from the input
types and raises ValueError, in the user's terms, if they do not fit.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from snnc.kernel import PREDICATES, REAL_FUNCTIONS, Kernel
from snnc.params import Param
from snnc.types import FLOAT32, SPIKE, Clock, TensorType, latest

Types = tuple[TensorType, ...]
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Op(abc.ABC):
    """What a node computes: a frozen record of parameters with an ``infer`` rule."""

    @abc.abstractmethod
    def infer(self, inputs: Types) -> Types:
        """Types of the outputs."""

    @property
    def params(self) -> dict[str, Param]:
        """The constant parameters, by field name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v for k, v in values.items() if isinstance(v, Param)}


def one(inputs: Types) -> TensorType:
    """Return the only input."""
    if len(inputs) != 1:
        raise ValueError(f"needs one input, got {len(inputs)}")
    return inputs[0]


def pooled(shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair) -> tuple[int, ...]:
    """Shape ``(C, H', W')`` after a window of ``kernel`` over ``(C, H, W)``, rounded down."""
    if len(shape) != 3:
        raise ValueError(f"needs (channels, height, width), got {shape}")
    if min(*kernel, *stride) < 1 or min(padding) < 0:
        raise ValueError(f"window {kernel}, stride {stride}, padding {padding}")
    size = [
        (n + 2 * p - k) // s + 1
        for n, k, s, p in zip(shape[1:], kernel, stride, padding, strict=True)
    ]
    if min(size) < 1:
        raise ValueError(f"window {kernel} is larger than the padded input {shape}")
    return (shape[0], *size)


def convolved(
    shape: tuple[int, ...],
    weight: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[int, ...]:
    """Shape after a 2-D convolution with a weight of shape (C_out, C_in/groups, kH, kW)."""
    if len(weight) != 4:
        raise ValueError(f"weight must be (out, in/groups, height, width), got {weight}")
    out, per_group, kh, kw = weight
    if len(shape) != 3 or shape[0] != per_group * groups or out % groups:
        raise ValueError(f"weight {weight} with {groups} group(s) does not fit input {shape}")
    reach = (dilation[0] * (kh - 1) + 1, dilation[1] * (kw - 1) + 1)
    return (out, *pooled(shape, reach, stride, padding)[1:])


@dataclass(frozen=True, slots=True)
class Input(Op):
    """A network input. ``lo``, ``hi``: observed range; ``step``: its grid, 0 if none was found."""

    type: TensorType
    lo: float = 0.0
    hi: float = 1.0
    step: float = 0.0

    def infer(self, inputs: Types) -> Types:
        if inputs:
            raise ValueError("an Input has no predecessors")
        return (self.type,)


@dataclass(frozen=True, slots=True)
class Output(Op):
    """A network output; the node's name is the output's name."""

    def infer(self, inputs: Types) -> Types:
        return (one(inputs),)


@dataclass(frozen=True, slots=True)
class Constant(Op):
    """A parameter of the model as a value; broadcasts like any array."""

    value: Param

    def infer(self, inputs: Types) -> Types:
        if inputs:
            raise ValueError("a Constant has no predecessors")
        return (TensorType(self.value.shape, FLOAT32, Clock.ONCE),)


@dataclass(frozen=True, slots=True)
class Linear(Op):
    """``y = weight @ x + bias`` over the last axis; weight is (out, in), bias (out,)."""

    weight: Param
    bias: Param | None = None

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        out, fan_in = self.weight.shape
        if not x.shape or x.shape[-1] != fan_in:
            raise ValueError(f"weight has {fan_in} columns, input is {x}")
        if self.bias is not None and self.bias.shape != (out,):
            raise ValueError(f"bias {self.bias} for {out} rows")
        return (TensorType((*x.shape[:-1], out), FLOAT32, x.clock),)


@dataclass(frozen=True, slots=True)
class Conv2d(Op):
    """2-D cross-correlation of (C, H, W); weight is (C_out, C_in/groups, kH, kW)."""

    weight: Param
    bias: Param | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        shape = convolved(
            x.shape, self.weight.shape, self.stride, self.padding, self.dilation, self.groups
        )
        return (TensorType(shape, FLOAT32, x.clock),)


@dataclass(frozen=True, slots=True)
class BatchNorm(Op):
    """``y = weight * (x - mean) / sqrt(var + eps) + bias`` per channel (axis 0), in eval mode."""

    mean: Param
    var: Param
    weight: Param | None = None
    bias: Param | None = None
    eps: float = 1e-5

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        if not x.shape or self.mean.shape != x.shape[:1]:
            raise ValueError(f"statistics {self.mean} for input {x}")
        return (TensorType(x.shape, FLOAT32, x.clock),)


@dataclass(frozen=True, slots=True)
class _Pool(Op):
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        shape = pooled(x.shape, self.kernel, self.stride, self.padding)
        return (TensorType(shape, FLOAT32, x.clock),)


@dataclass(frozen=True, slots=True)
class SumPool2d(_Pool):
    """Sum over windows of (C, H, W)."""


@dataclass(frozen=True, slots=True)
class AvgPool2d(_Pool):
    """Mean over windows; padded zeros count, as in torch with ``count_include_pad=True``."""


@dataclass(frozen=True, slots=True)
class MaxPool2d(_Pool):
    """Maximum over windows; padding never wins."""


@dataclass(frozen=True, slots=True)
class Reshape(Op):
    """Row-major reshape of one sample."""

    shape: tuple[int, ...]

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        y = TensorType(self.shape, x.dtype, x.clock)
        if x.size != y.size:
            raise ValueError(f"cannot reshape {x} to {self.shape}")
        return (y,)


@dataclass(frozen=True, slots=True)
class Pointwise(Op):
    """One real function of ``snnc.kernel.REAL_FUNCTIONS``, element by element, broadcasting."""

    fn: str

    def infer(self, inputs: Types) -> Types:
        if REAL_FUNCTIONS.get(self.fn) != len(inputs):
            raise ValueError(f"{self.fn!r} does not take {len(inputs)} operands")
        try:
            shape = np.broadcast_shapes(*(x.shape for x in inputs))
        except ValueError:
            raise ValueError(f"shapes {[x.shape for x in inputs]} do not broadcast") from None
        dtype = SPIKE if self.fn in PREDICATES else FLOAT32
        return (TensorType(shape, dtype, latest(tuple(x.clock for x in inputs))),)


@dataclass(frozen=True, slots=True)
class Sum(Op):
    """``y = x0 + x1 + …`` of equal shapes: residual connections."""

    def infer(self, inputs: Types) -> Types:
        if not inputs or len({x.shape for x in inputs}) != 1:
            raise ValueError(f"cannot add shapes {[x.shape for x in inputs]}")
        return (TensorType(inputs[0].shape, FLOAT32, latest(tuple(x.clock for x in inputs))),)


@dataclass(frozen=True, slots=True)
class Neuron(Op):
    """A population of neurons: an elementwise program with state; one output per kernel output.

    Inputs are the kernel's, in order.
    """

    kernel: Kernel
    shape: tuple[int, ...]

    def infer(self, inputs: Types) -> Types:
        self.kernel.check(REAL_FUNCTIONS)
        if len(inputs) != len(self.kernel.inputs):
            raise ValueError(f"kernel takes {len(self.kernel.inputs)} inputs, got {len(inputs)}")
        if any(x.clock is Clock.END for x in inputs):
            raise ValueError("a neuron cannot read what is known only after the last step")
        shapes = [x.shape for x in inputs] + [c.shape for c in self.kernel.consts]
        if np.broadcast_shapes(self.shape, *shapes) != self.shape:
            raise ValueError(f"inputs {shapes} do not broadcast to {self.shape}")
        spiking = {x.name for x in self.kernel.body if x.fn in PREDICATES}
        return tuple(
            TensorType(self.shape, SPIKE if name in spiking else FLOAT32, Clock.STEP)
            for name in self.kernel.outputs
        )


@dataclass(frozen=True, slots=True)
class Crossing(Op):
    """An operator between clocks; ``source`` and ``target`` say which."""

    source: ClassVar[Clock] = Clock.STEP
    target: ClassVar[Clock] = Clock.END

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        if x.clock is not self.source:
            raise ValueError(f"{type(self).__name__} needs a value of clock {self.source}, got {x}")
        return (TensorType(x.shape, FLOAT32, self.target),)


@dataclass(frozen=True, slots=True)
class Repeat(Crossing):
    """The same value at every step."""

    source: ClassVar[Clock] = Clock.ONCE
    target: ClassVar[Clock] = Clock.STEP


@dataclass(frozen=True, slots=True)
class TimeSum(Crossing):
    """Sum over the steps."""


@dataclass(frozen=True, slots=True)
class TimeMean(Crossing):
    """Mean over the steps."""


@dataclass(frozen=True, slots=True)
class TimeLast(Crossing):
    """Value of the last step."""


@dataclass(frozen=True, slots=True)
class TimeMax(Crossing):
    """Maximum over the steps."""


@dataclass(frozen=True, slots=True)
class TimeStack(Crossing):
    """All steps, as a sequence: the value of an output that has a time axis.

    Its shape stays that of one step; only an Output may follow.
    """


OPS: dict[str, type[Op]] = {
    op.__name__: op
    for op in (
        *(Input, Output, Constant, Linear, Conv2d, BatchNorm, SumPool2d, AvgPool2d, MaxPool2d),
        *(Reshape, Pointwise, Sum, Neuron),
        *(Repeat, TimeSum, TimeMean, TimeLast, TimeMax, TimeStack),
    )
}
