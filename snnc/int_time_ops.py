"""Integer operators between the clocks: what repeats over time, and what collects over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snnc.kernel import ROUNDINGS
from snnc.op import Op, Types, integers, one
from snnc.params import Param
from snnc.time_ops import Crossing
from snnc.types import INT, Clock, TensorType


@dataclass(frozen=True, slots=True)
class _IntCrossing(Crossing):
    def infer(self, inputs: Types) -> Types:
        (y,) = Crossing.infer(self, inputs)
        return (TensorType(y.shape, INT, y.clock),)


@dataclass(frozen=True, slots=True)
class IntCollect(_IntCrossing):
    """Steps from ``start`` on, counted from 0: those before are warm-up."""

    start: int = 0

    def infer(self, inputs: Types) -> Types:
        if self.start < 0:
            raise ValueError(f"starts to collect at step {self.start}")
        # a dataclass with slots is made anew, so that super() without arguments fails
        return _IntCrossing.infer(self, inputs)


@dataclass(frozen=True, slots=True)
class IntRepeat(_IntCrossing):
    """The same value at every step."""

    source: ClassVar[Clock] = Clock.ONCE
    target: ClassVar[Clock] = Clock.STEP


@dataclass(frozen=True, slots=True)
class IntTimeSum(IntCollect):
    """Sum over the steps."""


@dataclass(frozen=True, slots=True)
class IntTimeMean(IntCollect):
    """``y = (sum << shift) / n``, rounded half away from zero, of the ``n`` steps that count.

    Without any, 0.
    """

    shift: int = 0

    def infer(self, inputs: Types) -> Types:
        if not 0 <= self.shift <= 40:
            raise ValueError(f"shift of {self.shift} bits")
        return IntCollect.infer(self, inputs)


@dataclass(frozen=True, slots=True)
class IntTimeLast(_IntCrossing):
    """Value of the last step."""


@dataclass(frozen=True, slots=True)
class IntTimeMax(IntCollect):
    """Maximum over the steps."""


@dataclass(frozen=True, slots=True)
class IntTimeStack(IntCollect):
    """All steps, as a sequence; only an IntOutput may follow. Its shape is that of one step."""


@dataclass(frozen=True, slots=True)
class IntStepTable(Op):
    """A constant of its own at every step of the loop number ``phase``: ``y[t] = values[t]``."""

    values: Param
    phase: int = 1

    def infer(self, inputs: Types) -> Types:
        integers(values=self.values)
        if inputs:
            raise ValueError("an IntStepTable has no predecessors")
        if not self.values.shape or not self.values.shape[0]:
            raise ValueError(f"needs a value per step, got {self.values}")
        return (TensorType(self.values.shape[1:], INT, Clock.of(Clock.STEP, self.phase)),)


@dataclass(frozen=True, slots=True)
class IntStepRescale(Op):
    """``y[t] = rsh(x[t] * multiplier[t], shift, rounding) + bias[t]``.

    ``multiplier`` and ``bias`` have one row per step, which broadcasts to the value's shape.
    """

    multiplier: Param
    shift: int = 0
    rounding: str = "half_away"
    bias: Param | None = None

    def infer(self, inputs: Types) -> Types:
        integers(multiplier=self.multiplier, bias=self.bias)
        x = one(inputs)
        if x.clock.kind is not Clock.STEP:
            raise ValueError(f"IntStepRescale needs a value per step, got {x}")
        if self.rounding not in ROUNDINGS or not 0 <= self.shift <= 62:
            raise ValueError(f"shift {self.shift}, rounding {self.rounding!r}")
        for param in (self.multiplier, self.bias):
            if param is None:
                continue
            if param.shape[:1] != self.multiplier.shape[:1] or not param.data.size:
                raise ValueError(f"{param} has no row for each of the steps")
            if np.broadcast_shapes(x.shape, param.shape[1:]) != x.shape:
                raise ValueError(f"{param} does not broadcast to {x}")
        return (TensorType(x.shape, INT, x.clock),)
