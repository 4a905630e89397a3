"""Integer operators that a network is made of besides its layers.

All values are mathematical integers; ``prove-ranges`` shows that they fit the words a backend
uses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.kernel import INT_FUNCTIONS, ROUNDINGS, Kernel
from snnc.network_ops import kernel_clock
from snnc.op import Op, Types, integers, one
from snnc.params import Param
from snnc.types import INT, Clock, TensorType, latest


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
        integers(multiplier=self.multiplier, bias=self.bias)
        x = one(inputs)
        if self.rounding not in ROUNDINGS or not 0 <= self.shift <= 62:
            raise ValueError(f"shift {self.shift}, rounding {self.rounding!r}")
        for param in (self.multiplier, self.bias):
            if param is not None and np.broadcast_shapes(x.shape, param.shape) != x.shape:
                raise ValueError(f"{param} does not broadcast to {x}")
        return (TensorType(x.shape, INT, x.clock),)


@dataclass(frozen=True, slots=True)
class IntNeuron(Op):
    """A population: an integer elementwise program with state; one output per kernel output.

    Without state it is a function, which is computed when its inputs are known.
    """

    kernel: Kernel
    shape: tuple[int, ...]

    def infer(self, inputs: Types) -> Types:
        self.kernel.check(INT_FUNCTIONS)
        if len(inputs) != len(self.kernel.inputs):
            raise ValueError(f"kernel takes {len(self.kernel.inputs)} inputs, got {len(inputs)}")
        clock = kernel_clock(self.kernel, inputs)
        for const in (*self.kernel.consts, *self.kernel.tables):
            integers(values=const.values, index=const.index)
        shapes = [x.shape for x in inputs] + [c.shape for c in self.kernel.consts]
        if np.broadcast_shapes(self.shape, *shapes) != self.shape:
            raise ValueError(f"inputs {shapes} do not broadcast to {self.shape}")
        return tuple(TensorType(self.shape, INT, clock) for _ in self.kernel.outputs)
