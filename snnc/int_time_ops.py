"""Integer operators between the clocks: what repeats over time, and what collects over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from snnc.op import Types, one
from snnc.time_ops import Crossing
from snnc.types import INT, Clock, TensorType


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
