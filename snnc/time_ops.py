"""Operators between clocks: over the steps of a sample, and from one loop to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snnc.op import Op, Types, one
from snnc.params import Param
from snnc.types import FLOAT32, Clock, TensorType


@dataclass(frozen=True, slots=True)
class StepTable(Op):
    """A parameter of its own at every step of the loop number ``phase``: ``y[t] = values[t]``.

    The network holds for as many steps as there are values.
    """

    values: Param
    phase: int = 1

    def infer(self, inputs: Types) -> Types:
        if inputs:
            raise ValueError("a StepTable has no predecessors")
        if not self.values.shape or not self.values.shape[0]:
            raise ValueError(f"needs a value per step, got {self.values}")
        clock = Clock.of(Clock.STEP, self.phase)
        return (TensorType(self.values.shape[1:], FLOAT32, clock),)


@dataclass(frozen=True, slots=True)
class StepAffine(Op):
    """``y[t] = scale[t] * x[t] + offset[t]``: a normalization of its own at every step.

    ``scale`` and ``offset`` have one row per step, which broadcasts to the value's shape.
    References: BNTT (arXiv:2010.01729), TEBN (NeurIPS 2022).
    """

    scale: Param
    offset: Param | None = None

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        if x.clock.kind is not Clock.STEP:
            raise ValueError(f"StepAffine needs a value per step, got {x}")
        for param in (self.scale, self.offset):
            if param is None:
                continue
            if param.shape[:1] != self.scale.shape[:1] or not param.data.size:
                raise ValueError(f"{param} has no row for each of the steps")
            if np.broadcast_shapes(x.shape, param.shape[1:]) != x.shape:
                raise ValueError(f"{param} does not broadcast to {x}")
        return (TensorType(x.shape, FLOAT32, x.clock),)


@dataclass(frozen=True, slots=True)
class Crossing(Op):
    """An operator between clocks; ``source`` and ``target`` say which."""

    source: ClassVar[Clock] = Clock.STEP
    target: ClassVar[Clock] = Clock.END

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        if x.clock.kind is not self.source:
            raise ValueError(f"{type(self).__name__} needs a value of clock {self.source}, got {x}")
        return (TensorType(x.shape, FLOAT32, Clock.of(self.target, x.clock.phase)),)


@dataclass(frozen=True, slots=True)
class Repeat(Crossing):
    """The same value at every step of the first loop."""

    source: ClassVar[Clock] = Clock.ONCE
    target: ClassVar[Clock] = Clock.STEP


@dataclass(frozen=True, slots=True)
class Collect(Crossing):
    """Steps from ``start`` on, counted from 0: those before are warm-up."""

    start: int = 0

    def infer(self, inputs: Types) -> Types:
        if self.start < 0:
            raise ValueError(f"starts to collect at step {self.start}")
        # a dataclass with slots is made anew, so that super() without arguments fails
        return Crossing.infer(self, inputs)


@dataclass(frozen=True, slots=True)
class TimeSum(Collect):
    """Sum over the steps."""


@dataclass(frozen=True, slots=True)
class TimeMean(Collect):
    """Mean over the steps."""


@dataclass(frozen=True, slots=True)
class TimeLast(Crossing):
    """Value of the last step."""


@dataclass(frozen=True, slots=True)
class TimeMax(Collect):
    """Maximum over the steps."""


@dataclass(frozen=True, slots=True)
class TimeStack(Collect):
    """All steps, as a sequence: the value of an output that has a time axis.

    Its shape stays that of one step; only an Output may follow.
    """


@dataclass(frozen=True, slots=True)
class Hold(Op):
    """The same value at every step of the loop number ``phase``, which is not the first."""

    phase: int

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        if self.phase < 2 or x.clock.kind is Clock.STEP or x.clock.phase >= self.phase:
            raise ValueError(f"Hold needs a value known before loop {self.phase}, got {x}")
        return (TensorType(x.shape, FLOAT32, Clock.of(Clock.STEP, self.phase)),)


@dataclass(frozen=True, slots=True)
class Sequence(Op):
    """A sequence of one loop, read element by element in the next, which has as many steps."""

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        if x.clock.kind is not Clock.STEP:
            raise ValueError(f"{type(self).__name__} needs a value per step, got {x}")
        return (TensorType(x.shape, FLOAT32, Clock.of(Clock.STEP, x.clock.phase + 1)),)


@dataclass(frozen=True, slots=True)
class Replay(Sequence):
    """``y[t] = x[t]``, once more in the next loop."""


@dataclass(frozen=True, slots=True)
class TimeFlip(Sequence):
    """``y[t] = x[T - 1 - t]``: the last step first."""


@dataclass(frozen=True, slots=True)
class TimeMix(Sequence):
    """``y[t] = sum_s weight[t, s] x[s] + bias[t]``; weight is (T, T), bias (T,).

    The parallel spiking neuron before its threshold (arXiv:2304.12760, equation 6).
    """

    weight: Param
    bias: Param | None = None

    def infer(self, inputs: Types) -> Types:
        steps = self.weight.shape[:1]
        if len(self.weight.shape) != 2 or self.weight.shape[1:] != steps:
            raise ValueError(f"a matrix over the steps must be square, got {self.weight}")
        if self.bias is not None and self.bias.shape != steps:
            raise ValueError(f"bias {self.bias} for {steps[0]} steps")
        # a dataclass with slots is made anew, so that super() without arguments fails
        return Sequence.infer(self, inputs)

    @property
    def steps(self) -> int:
        """The only number of steps for which it is defined."""
        return self.weight.shape[0]
