"""Integer operators that rearrange, select or reduce the elements of one sample."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.op import Op, Types, one
from snnc.types import INT, TensorType


@dataclass(frozen=True, slots=True)
class IntReshape(Op):
    """Row-major reshape of one sample."""

    shape: tuple[int, ...]

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        y = TensorType(self.shape, INT, x.clock)
        if x.size != y.size:
            raise ValueError(f"cannot reshape {x} to {self.shape}")
        return (y,)
