"""Operators that know the number of the step."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor

from snnc.backends.numpy.coding import mix
from snnc.backends.torch.operator import Operator, StepFunction
from snnc.backends.torch.program import Program, Record
from snnc.backends.torch.rescale import StepRescale

_WORD = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9


class StepTable(StepFunction):
    """``y[t] = values[t]``."""

    values: Tensor

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        self.register_buffer("values", program.tensor(node["attributes"]["values"]))

    def forward(self, now: int, *operands: Tensor) -> Tensor:
        row: Tensor = self.values[now]
        return row.to(self.word)


class RateCode(StepFunction):
    """``s[t] = [h(seed, t, i) < floor(x * multiplier / 2**shift)]``: see ``snnc.code_ops``."""

    place: Tensor

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a = node["attributes"]
        self.seed, self.multiplier, self.shift = a["seed"], a["multiplier"], a["shift"]
        place = (torch.arange(prod(self.shape)) * _GOLDEN) & _WORD
        self.keep("place", place.reshape(self.shape))

    def forward(self, now: int, *operands: Tensor) -> Tensor:
        key = int(mix(np.array((self.seed + (now + 1) * _GOLDEN) & _WORD, np.int64)))
        limit = (operands[0].long() * self.multiplier) >> self.shift
        dice: Tensor = hashed(self.place ^ key)
        return torch.lt(dice, limit).to(self.word)


def hashed(n: Tensor) -> Tensor:
    """``snnc.backends.numpy.coding.mix`` of 32-bit numbers; products wrap, their low bits stay."""
    n = n ^ (n >> 16)
    n = (n * 0x7FEB352D) & _WORD
    n = n ^ (n >> 15)
    n = (n * 0x846CA68B) & _WORD
    return n ^ (n >> 16)


#: The operators, by name.
STEPS: dict[str, type[Operator]] = {
    "IntStepTable": StepTable,
    "IntStepRescale": StepRescale,
    "IntRateCode": RateCode,
}
