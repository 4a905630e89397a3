"""Integer layers with weights, and pools."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.layer_shapes import check_bias, check_tokens, embedding_shape, linear_shape
from snnc.op import Op, Types, integers, one
from snnc.params import Param
from snnc.types import INT, Int, TensorType
from snnc.windows import Sizes, convolved, pooled, spread


@dataclass(frozen=True, slots=True)
class IntLinear(Op):
    """``y = ((weight @ x) << shift) + bias`` over the last axis; weight is (out, in)."""

    weight: Param
    bias: Param | None = None
    shift: int = 0

    def infer(self, inputs: Types) -> Types:
        integers(weight=self.weight, bias=self.bias)
        x = one(inputs)
        return (TensorType(linear_shape(x, self.weight, self.bias), INT, x.clock),)


@dataclass(frozen=True, slots=True)
class IntConv(Op):
    """``y = (conv(x, weight) << shift) + bias``; weight is (C_out, C_in/groups, k, …).

    Over as many axes behind the channels as ``stride``, ``padding`` and ``dilation`` have entries.
    """

    weight: Param
    bias: Param | None
    shift: int
    stride: Sizes
    padding: Sizes
    dilation: Sizes
    groups: int = 1

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        attrs = (self.stride, self.padding, self.dilation, self.groups)
        return _channels(self, convolved(x.shape, self.weight.shape, *attrs), x)


@dataclass(frozen=True, slots=True)
class IntConvTranspose(Op):
    """``y = (transposed_conv(x, weight) << shift) + bias``; weight is (C_out, C_in/groups, k, …).

    Element i of x adds ``x[i] * weight[k]`` to ``y[i * stride + k * dilation - padding]``; y has
    ``extra`` elements more at the end of every axis.  The outputs' channels come first, unlike in
    torch.
    """

    weight: Param
    bias: Param | None
    shift: int
    stride: Sizes
    padding: Sizes
    extra: Sizes
    dilation: Sizes
    groups: int = 1

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        out, per_group, *kernel = self.weight.shape
        if self.groups < 1 or out % self.groups:
            raise ValueError(f"{out} channels in {self.groups} group(s)")
        weight = (per_group * self.groups, out // self.groups, *kernel)
        attrs = (self.stride, self.padding, self.extra, self.dilation, self.groups)
        return _channels(self, spread(x.shape, weight, *attrs), x)


def _channels(op: IntConv | IntConvTranspose, shape: Sizes, x: TensorType) -> Types:
    integers(weight=op.weight, bias=op.bias)
    check_bias(op.bias, shape[0])
    return (TensorType(shape, INT, x.clock),)


@dataclass(frozen=True, slots=True)
class _IntPool(Op):
    kernel: Sizes
    stride: Sizes
    padding: Sizes

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        shape = pooled(x.shape, self.kernel, self.stride, self.padding)
        return (TensorType(shape, INT, x.clock),)


@dataclass(frozen=True, slots=True)
class IntSumPool(_IntPool):
    """Sum over windows of (C, …); padding adds nothing."""


@dataclass(frozen=True, slots=True)
class IntMaxPool(_IntPool):
    """Maximum over windows of (C, …); padding never wins."""


@dataclass(frozen=True, slots=True)
class IntEmbedding(Op):
    """``y = weight[x]``: one row per token number; weight is (tokens, features)."""

    weight: Param

    def infer(self, inputs: Types) -> Types:
        integers(weight=self.weight)
        x = one(inputs)
        shape = embedding_shape(x, self.weight)
        if isinstance(x.dtype, Int) and x.dtype.lo is not None:
            check_tokens(*x.dtype.bounds, self.weight.shape[0])
        return (TensorType(shape, INT, x.clock),)
