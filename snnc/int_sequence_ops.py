"""Integer operators from one loop over time to a later one."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.op import Types, integers
from snnc.params import Param
from snnc.time_ops import Hold, Sequence
from snnc.types import INT, TensorType


@dataclass(frozen=True, slots=True)
class IntHold(Hold):
    """The same value at every step of the loop number ``phase``, which is not the first."""

    def infer(self, inputs: Types) -> Types:
        # a dataclass with slots is made anew, so that super() without arguments fails
        (y,) = Hold.infer(self, inputs)
        return (TensorType(y.shape, INT, y.clock),)


@dataclass(frozen=True, slots=True)
class _IntSequence(Sequence):
    def infer(self, inputs: Types) -> Types:
        (y,) = Sequence.infer(self, inputs)
        return (TensorType(y.shape, INT, y.clock),)


@dataclass(frozen=True, slots=True)
class IntReplay(_IntSequence):
    """``y[t] = x[t]``, once more in the next loop."""


@dataclass(frozen=True, slots=True)
class IntTimeFlip(_IntSequence):
    """``y[t] = x[T - 1 - t]``: the last step first."""


@dataclass(frozen=True, slots=True)
class IntTimeMix(_IntSequence):
    """``y[t] = sum_s weight[t, s] x[s]``; weight is (T, T), and T the only number of steps."""

    weight: Param

    def infer(self, inputs: Types) -> Types:
        integers(weight=self.weight)
        if len(self.weight.shape) != 2 or self.weight.shape[0] != self.weight.shape[1]:
            raise ValueError(f"a matrix over the steps must be square, got {self.weight}")
        if not self.weight.shape[0]:
            raise ValueError("a matrix over no steps")
        return _IntSequence.infer(self, inputs)

    @property
    def steps(self) -> int:
        """The only number of steps for which it is defined."""
        return self.weight.shape[0]
