"""Operators that multiply, shift and add; their factors are the same at all steps or not."""

from __future__ import annotations

import torch
from torch import Tensor

from snnc.backends.torch.arithmetic import rsh
from snnc.backends.torch.operator import Function, Operator, StepFunction
from snnc.backends.torch.program import Program, Record, magnitude


class _Rescaling(Operator):
    multiplier: Tensor
    bias: Tensor | None

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a = node["attributes"]
        self.register_buffer("multiplier", program.tensor(a["multiplier"]))
        self.register_buffer("bias", None if a["bias"] is None else program.tensor(a["bias"]))
        self.shift, self.rounding = a["shift"], a["rounding"]
        by, bias = (_largest(x) for x in (self.multiplier, self.bias))
        whole = magnitude(program.operand_bounds(node)) * by + (1 << self.shift) + bias
        self.inner = torch.int32 if max(by, whole) < 1 << 31 else torch.int64

    def _rescaled(self, x: Tensor, multiplier: Tensor, bias: Tensor | None) -> Tensor:
        """In the type in which all of it is exact."""
        y = rsh(x.to(self.inner) * multiplier.to(self.inner), self.shift, self.rounding)
        return (y if bias is None else y + bias.to(self.inner)).to(self.word)


def _largest(x: Tensor | None) -> int:
    """The largest absolute value."""
    return 0 if x is None or not x.numel() else int(x.abs().max())


class Rescale(_Rescaling, Function):
    """``rsh(x * multiplier, shift, rounding) + bias``."""

    def forward(self, *operands: Tensor) -> Tensor:
        return self._rescaled(operands[0], self.multiplier, self.bias)


class StepRescale(_Rescaling, StepFunction):
    """``y[t] = rsh(x[t] * multiplier[t], shift, rounding) + bias[t]``."""

    def forward(self, now: int, *operands: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias[now]
        return self._rescaled(operands[0], self.multiplier[now], bias)
