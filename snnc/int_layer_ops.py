"""Integer layers with weights, and pools."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.conv_ops import Pair
from snnc.op import Op, Types, integers, one
from snnc.params import Param
from snnc.types import INT, Int, TensorType
from snnc.windows import convolved, pooled


@dataclass(frozen=True, slots=True)
class IntLinear(Op):
    """``y = ((weight @ x) << shift) + bias`` over the last axis; weight is (out, in)."""

    weight: Param
    bias: Param | None = None
    shift: int = 0

    def infer(self, inputs: Types) -> Types:
        integers(weight=self.weight, bias=self.bias)
        x = one(inputs)
        out, fan_in = self.weight.shape
        if not x.shape or x.shape[-1] != fan_in:
            raise ValueError(f"weight has {fan_in} columns, input is {x}")
        if self.bias is not None and self.bias.shape != (out,):
            raise ValueError(f"bias {self.bias} for {out} rows")
        return (TensorType((*x.shape[:-1], out), INT, x.clock),)


@dataclass(frozen=True, slots=True)
class IntConv2d(Op):
    """``y = (conv(x, weight) << shift) + bias``; weight is (C_out, C_in/groups, kH, kW)."""

    weight: Param
    bias: Param | None = None
    shift: int = 0
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def infer(self, inputs: Types) -> Types:
        integers(weight=self.weight, bias=self.bias)
        x = one(inputs)
        shape = convolved(
            x.shape, self.weight.shape, self.stride, self.padding, self.dilation, self.groups
        )
        if self.bias is not None and self.bias.shape != shape[:1]:
            raise ValueError(f"bias {self.bias} for {shape[0]} channels")
        return (TensorType(shape, INT, x.clock),)


@dataclass(frozen=True, slots=True)
class _IntPool(Op):
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        shape = pooled(x.shape, self.kernel, self.stride, self.padding)
        return (TensorType(shape, INT, x.clock),)


@dataclass(frozen=True, slots=True)
class IntSumPool2d(_IntPool):
    """Sum over windows of (C, H, W); padding adds nothing."""


@dataclass(frozen=True, slots=True)
class IntMaxPool2d(_IntPool):
    """Maximum over windows; padding never wins."""


@dataclass(frozen=True, slots=True)
class IntEmbedding(Op):
    """``y = weight[x]``: one row per token number; weight is (tokens, features)."""

    weight: Param

    def infer(self, inputs: Types) -> Types:
        integers(weight=self.weight)
        x = one(inputs)
        if len(self.weight.shape) != 2:
            raise ValueError(f"weight must be (tokens, features), got {self.weight}")
        tokens, features = self.weight.shape
        if isinstance(x.dtype, Int) and x.dtype.lo is not None:
            lo, hi = x.dtype.bounds
            if lo < 0 or hi >= tokens:
                raise ValueError(f"token numbers {lo} to {hi} for a table of {tokens} rows")
        return (TensorType((*x.shape, features), INT, x.clock),)
