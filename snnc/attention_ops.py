"""Operators that combine computed values with each other: products and softmax."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.op import Op, Types, broadcast, checked_axis, one
from snnc.types import FLOAT32, TensorType, latest


@dataclass(frozen=True, slots=True)
class Matmul(Op):
    """``y[…, i, j] = sum_k a[…, i, k] b[…, k, j]`` of two computed values; leading axes broadcast.

    With integers below A and B in magnitude and K terms, ``|y| <= K A B``.
    """

    def infer(self, inputs: Types) -> Types:
        if len(inputs) != 2:
            raise ValueError(f"multiplies two matrices, got {len(inputs)}")
        a, b = inputs
        if min(len(a.shape), len(b.shape)) < 2 or a.shape[-1] != b.shape[-2]:
            raise ValueError(f"cannot multiply {a} by {b}")
        lead = broadcast((a.shape[:-2], b.shape[:-2]))
        shape = (*lead, a.shape[-2], b.shape[-1])
        return (TensorType(shape, FLOAT32, latest((a.clock, b.clock))),)


@dataclass(frozen=True, slots=True)
class Softmax(Op):
    """``y_i = exp(x_i) / sum_j exp(x_j)`` along one axis; every value lies in [0, 1].

    With a second operand, which broadcasts, only the elements count where it is not 0: the others
    are 0, and so is a whole row of which no element counts.
    """

    axis: int

    def infer(self, inputs: Types) -> Types:
        x, *masks = inputs if len(inputs) == 2 else (one(inputs),)
        if not x.shape[checked_axis(self.axis, x.shape)]:
            raise ValueError(f"softmax of nothing: axis {self.axis} of {x} is empty")
        if broadcast((x.shape, *(m.shape for m in masks))) != x.shape:
            raise ValueError(f"a mask {masks[0]} for {x}")
        return (TensorType(x.shape, FLOAT32, latest((x.clock, *(m.clock for m in masks)))),)
