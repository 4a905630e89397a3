"""Operators between clocks: over the steps of a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from snnc.op import Op, Types, one
from snnc.types import FLOAT32, Clock, TensorType


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
