"""Integer layers with weights and delays."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.delay_ops import check_columns
from snnc.layer_shapes import check_bias
from snnc.op import Op, Types, integers, one
from snnc.params import Param
from snnc.types import INT, TensorType


@dataclass(frozen=True, slots=True)
class IntDelayLinear(Op):
    """``y[t] = ((sum_c weight[:, c] x.flat[index[c]][t - delay[c]]) << shift) + bias``.

    Weight is (out, columns); before the first step x was zero.
    """

    weight: Param
    index: Param
    delay: Param
    bias: Param | None = None
    shift: int = 0

    def infer(self, inputs: Types) -> Types:
        integers(weight=self.weight, bias=self.bias)
        x = one(inputs)
        check_columns(self.weight, self.index, self.delay, x)
        out = self.weight.shape[0]
        check_bias(self.bias, out)
        if not 0 <= self.shift <= 62:
            raise ValueError(f"shift of {self.shift} bits")
        return (TensorType((out,), INT, x.clock),)
