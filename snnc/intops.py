"""Integer operators: exactly which integers flow, with every width, shift and rounding a field.

All values are mathematical integers; ``prove-ranges`` shows that they fit the words a backend
uses.  ``backends/numpy/simulator.py`` is the executable definition of every operator here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snnc.conv_ops import Pair
from snnc.kernel import INT_FUNCTIONS, ROUNDINGS, Kernel
from snnc.op import Op, Types, one
from snnc.params import Param
from snnc.time_ops import Crossing
from snnc.types import INT, Clock, TensorType, latest
from snnc.windows import convolved, pooled


def _integers(**params: Param | None) -> None:
    for name, param in params.items():
        if param is not None and not param.is_integer:
            raise ValueError(f"{name} must be integers, got {param}")


@dataclass(frozen=True, slots=True)
class IntInput(Op):
    """A network input: integers in ``[lo, hi]``; the real value is ``scale * n``."""

    shape: tuple[int, ...]
    clock: Clock
    lo: int
    hi: int
    scale: float

    def infer(self, inputs: Types) -> Types:
        if inputs:
            raise ValueError("an IntInput has no predecessors")
        return (TensorType(self.shape, INT, self.clock),)


@dataclass(frozen=True, slots=True)
class IntOutput(Op):
    """A network output.

    The real value is ``scale * n``, for TimeMean also divided by the number of steps.
    ``scale`` is a scalar or broadcasts to the value's shape.
    """

    scale: Param
    per_step: bool = False

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        return (TensorType(x.shape, INT, x.clock),)


@dataclass(frozen=True, slots=True)
class IntLinear(Op):
    """``y = ((weight @ x) << shift) + bias`` over the last axis; weight is (out, in)."""

    weight: Param
    bias: Param | None = None
    shift: int = 0

    def infer(self, inputs: Types) -> Types:
        _integers(weight=self.weight, bias=self.bias)
        x = one(inputs)
        out, fan_in = self.weight.shape
        if not x.shape or x.shape[-1] != fan_in:
            raise ValueError(f"weight has {fan_in} columns, input is {x}")
        if self.bias is not None and self.bias.shape != (out,):
            raise ValueError(f"bias {self.bias} for {out} rows")
        return (TensorType((*x.shape[:-1], out), INT, x.clock),)


@dataclass(frozen=True, slots=True)
class IntConv2d(Op):
    """``y = (conv(x, weight) << shift) + bias``; weight is (C_out, C_in/groups, kH, kW)."""

    weight: Param
    bias: Param | None = None
    shift: int = 0
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def infer(self, inputs: Types) -> Types:
        _integers(weight=self.weight, bias=self.bias)
        x = one(inputs)
        shape = convolved(
            x.shape, self.weight.shape, self.stride, self.padding, self.dilation, self.groups
        )
        if self.bias is not None and self.bias.shape != shape[:1]:
            raise ValueError(f"bias {self.bias} for {shape[0]} channels")
        return (TensorType(shape, INT, x.clock),)


@dataclass(frozen=True, slots=True)
class _IntPool(Op):
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        shape = pooled(x.shape, self.kernel, self.stride, self.padding)
        return (TensorType(shape, INT, x.clock),)


@dataclass(frozen=True, slots=True)
class IntSumPool2d(_IntPool):
    """Sum over windows of (C, H, W); padding adds nothing."""


@dataclass(frozen=True, slots=True)
class IntMaxPool2d(_IntPool):
    """Maximum over windows; padding never wins."""


@dataclass(frozen=True, slots=True)
class IntReshape(Op):
    """Row-major reshape of one sample."""

    shape: tuple[int, ...]

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        y = TensorType(self.shape, INT, x.clock)
        if x.size != y.size:
            raise ValueError(f"cannot reshape {x} to {self.shape}")
        return (y,)


@dataclass(frozen=True, slots=True)
class IntSum(Op):
    """``y = x0 + x1 + …``; all operands are in the same unit."""

    def infer(self, inputs: Types) -> Types:
        if not inputs or len({x.shape for x in inputs}) != 1:
            raise ValueError(f"cannot add shapes {[x.shape for x in inputs]}")
        return (TensorType(inputs[0].shape, INT, latest(tuple(x.clock for x in inputs))),)


@dataclass(frozen=True, slots=True)
class IntRescale(Op):
    """``y = rsh(x * multiplier, shift, rounding) + bias``: a change of unit.

    ``multiplier`` and ``bias`` are scalars or broadcast to the value's shape.
    """

    multiplier: Param
    shift: int = 0
    rounding: str = "half_away"
    bias: Param | None = None

    def infer(self, inputs: Types) -> Types:
        _integers(multiplier=self.multiplier, bias=self.bias)
        x = one(inputs)
        if self.rounding not in ROUNDINGS or not 0 <= self.shift <= 62:
            raise ValueError(f"shift {self.shift}, rounding {self.rounding!r}")
        for param in (self.multiplier, self.bias):
            if param is not None and np.broadcast_shapes(x.shape, param.shape) != x.shape:
                raise ValueError(f"{param} does not broadcast to {x}")
        return (TensorType(x.shape, INT, x.clock),)


@dataclass(frozen=True, slots=True)
class IntNeuron(Op):
    """A population: an integer elementwise program with state; one output per kernel output."""

    kernel: Kernel
    shape: tuple[int, ...]

    def infer(self, inputs: Types) -> Types:
        self.kernel.check(INT_FUNCTIONS)
        if len(inputs) != len(self.kernel.inputs):
            raise ValueError(f"kernel takes {len(self.kernel.inputs)} inputs, got {len(inputs)}")
        if any(x.clock is Clock.END for x in inputs):
            raise ValueError("a neuron cannot read what is known only after the last step")
        for const in (*self.kernel.consts, *self.kernel.tables):
            _integers(values=const.values, index=const.index)
        shapes = [x.shape for x in inputs] + [c.shape for c in self.kernel.consts]
        if np.broadcast_shapes(self.shape, *shapes) != self.shape:
            raise ValueError(f"inputs {shapes} do not broadcast to {self.shape}")
        return tuple(TensorType(self.shape, INT, Clock.STEP) for _ in self.kernel.outputs)


@dataclass(frozen=True, slots=True)
class _IntCrossing(Crossing):
    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        if x.clock is not self.source:
            raise ValueError(f"{type(self).__name__} needs a value of clock {self.source}, got {x}")
        return (TensorType(x.shape, INT, self.target),)


@dataclass(frozen=True, slots=True)
class IntRepeat(_IntCrossing):
    """The same value at every step."""

    source: ClassVar[Clock] = Clock.ONCE
    target: ClassVar[Clock] = Clock.STEP


@dataclass(frozen=True, slots=True)
class IntTimeSum(_IntCrossing):
    """Sum over the steps."""


@dataclass(frozen=True, slots=True)
class IntTimeLast(_IntCrossing):
    """Value of the last step."""


@dataclass(frozen=True, slots=True)
class IntTimeMax(_IntCrossing):
    """Maximum over the steps."""


@dataclass(frozen=True, slots=True)
class IntTimeStack(_IntCrossing):
    """All steps, as a sequence; only an IntOutput may follow. Its shape is that of one step."""


INTOPS: dict[str, type[Op]] = {
    op.__name__: op
    for op in (
        *(IntInput, IntOutput, IntLinear, IntConv2d, IntSumPool2d, IntMaxPool2d),
        *(IntReshape, IntSum, IntRescale, IntNeuron),
        *(IntRepeat, IntTimeSum, IntTimeLast, IntTimeMax, IntTimeStack),
    )
}
