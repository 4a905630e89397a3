"""Convolutions over one, two or three axes, behind a channel axis."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.layer_shapes import check_bias
from snnc.op import Op, Types, one
from snnc.params import Param
from snnc.types import FLOAT32, TensorType
from snnc.windows import Sizes, convolved, spread

Single = tuple[int]
Pair = tuple[int, int]
Triple = tuple[int, int, int]


def _biased(shape: tuple[int, ...], bias: Param | None, x: TensorType) -> Types:
    check_bias(bias, shape[0])
    return (TensorType(shape, FLOAT32, x.clock),)


@dataclass(frozen=True, slots=True)
class _Conv(Op):
    weight: Param
    bias: Param | None = None
    stride: Sizes = ()
    padding: Sizes = ()
    dilation: Sizes = ()
    groups: int = 1

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        attrs = (self.stride, self.padding, self.dilation, self.groups)
        return _biased(convolved(x.shape, self.weight.shape, *attrs), self.bias, x)


@dataclass(frozen=True, slots=True)
class Conv1d(_Conv):
    """1-D cross-correlation of (C, L); weight is (C_out, C_in/groups, k)."""

    stride: Single = (1,)
    padding: Single = (0,)
    dilation: Single = (1,)


@dataclass(frozen=True, slots=True)
class Conv2d(_Conv):
    """2-D cross-correlation of (C, H, W); weight is (C_out, C_in/groups, kH, kW)."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)


@dataclass(frozen=True, slots=True)
class Conv3d(_Conv):
    """3-D cross-correlation of (C, D, H, W); weight is (C_out, C_in/groups, kD, kH, kW)."""

    stride: Triple = (1, 1, 1)
    padding: Triple = (0, 0, 0)
    dilation: Triple = (1, 1, 1)


@dataclass(frozen=True, slots=True)
class _ConvTranspose(Op):
    weight: Param
    bias: Param | None = None
    stride: Sizes = ()
    padding: Sizes = ()
    extra: Sizes = ()
    dilation: Sizes = ()
    groups: int = 1

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        attrs = (self.stride, self.padding, self.extra, self.dilation, self.groups)
        return _biased(spread(x.shape, self.weight.shape, *attrs), self.bias, x)


@dataclass(frozen=True, slots=True)
class ConvTranspose1d(_ConvTranspose):
    """Transposed 1-D convolution: every input adds ``x * weight`` to k outputs, ``stride`` apart.

    Weight is (C_in, C_out/groups, k); ``extra`` outputs are added at the end.
    """

    stride: Single = (1,)
    padding: Single = (0,)
    extra: Single = (0,)
    dilation: Single = (1,)


@dataclass(frozen=True, slots=True)
class ConvTranspose2d(_ConvTranspose):
    """Transposed 2-D convolution of (C, H, W); weight is (C_in, C_out/groups, kH, kW)."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    extra: Pair = (0, 0)
    dilation: Pair = (1, 1)


@dataclass(frozen=True, slots=True)
class ConvTranspose3d(_ConvTranspose):
    """Transposed 3-D convolution of (C, D, H, W); weight is (C_in, C_out/groups, kD, kH, kW)."""

    stride: Triple = (1, 1, 1)
    padding: Triple = (0, 0, 0)
    extra: Triple = (0, 0, 0)
    dilation: Triple = (1, 1, 1)
