"""Operators that multiply, shift and add; their factors are the same at all steps or not."""

from __future__ import annotations

from torch import Tensor

from snnc.backends.torch.arithmetic import rsh
from snnc.backends.torch.operator import Function, Operator, StepFunction
from snnc.backends.torch.program import Program, Record


class _Rescaling(Operator):
    multiplier: Tensor
    bias: Tensor | None

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a = node["attributes"]
        self.register_buffer("multiplier", program.tensor(a["multiplier"]))
        self.register_buffer("bias", None if a["bias"] is None else program.tensor(a["bias"]))
        self.shift, self.rounding = a["shift"], a["rounding"]


class Rescale(_Rescaling, Function):
    """``rsh(x * multiplier, shift, rounding) + bias``."""

    def forward(self, *operands: Tensor) -> Tensor:
        y = rsh(operands[0].long() * self.multiplier, self.shift, self.rounding)
        return (y if self.bias is None else y + self.bias).to(self.word)


class StepRescale(_Rescaling, StepFunction):
    """``y[t] = rsh(x[t] * multiplier[t], shift, rounding) + bias[t]``."""

    def forward(self, now: int, *operands: Tensor) -> Tensor:
        y = rsh(operands[0].long() * self.multiplier[now], self.shift, self.rounding)
        return (y if self.bias is None else y + self.bias[now]).to(self.word)
