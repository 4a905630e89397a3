"""Integer operators that turn values into spikes by a code."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.code_ops import check_seed, coded
from snnc.op import Op, Types
from snnc.types import INT, TensorType


@dataclass(frozen=True, slots=True)
class IntRateCode(Op):
    """``s[t] = [h(seed, t, i) < floor(x * multiplier / 2**shift)]``, with the hash of RateCode."""

    seed: int
    multiplier: int
    shift: int = 0

    def infer(self, inputs: Types) -> Types:
        check_seed(self.seed)
        if not 0 < self.multiplier < 1 << 62 or not 0 <= self.shift <= 62:
            raise ValueError(f"multiplier {self.multiplier}, shift {self.shift}")
        (y,) = coded(inputs)
        return (TensorType(y.shape, INT, y.clock),)
