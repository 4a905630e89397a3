"""Windows that sum, average or take the maximum of each channel, and their opposite."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.conv_ops import Pair, Single, Triple
from snnc.op import Op, Types, one
from snnc.types import FLOAT32, TensorType
from snnc.windows import Sizes, pooled


@dataclass(frozen=True, slots=True)
class _Pool(Op):
    kernel: Sizes
    stride: Sizes
    padding: Sizes = ()

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        shape = pooled(x.shape, self.kernel, self.stride, self.padding)
        return (TensorType(shape, FLOAT32, x.clock),)


@dataclass(frozen=True, slots=True)
class _Pool1d(_Pool):
    kernel: Single
    stride: Single
    padding: Single = (0,)


@dataclass(frozen=True, slots=True)
class _Pool2d(_Pool):
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)


@dataclass(frozen=True, slots=True)
class _Pool3d(_Pool):
    kernel: Triple
    stride: Triple
    padding: Triple = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class SumPool1d(_Pool1d):
    """Sum over windows of (C, L)."""


@dataclass(frozen=True, slots=True)
class SumPool2d(_Pool2d):
    """Sum over windows of (C, H, W)."""


@dataclass(frozen=True, slots=True)
class SumPool3d(_Pool3d):
    """Sum over windows of (C, D, H, W)."""


@dataclass(frozen=True, slots=True)
class AvgPool1d(_Pool1d):
    """Mean over windows of (C, L); padded zeros count."""


@dataclass(frozen=True, slots=True)
class AvgPool2d(_Pool2d):
    """Mean over windows; padded zeros count, as in torch with ``count_include_pad=True``."""


@dataclass(frozen=True, slots=True)
class AvgPool3d(_Pool3d):
    """Mean over windows of (C, D, H, W); padded zeros count."""


@dataclass(frozen=True, slots=True)
class MaxPool1d(_Pool1d):
    """Maximum over windows of (C, L); padding never wins."""


@dataclass(frozen=True, slots=True)
class MaxPool2d(_Pool2d):
    """Maximum over windows; padding never wins."""


@dataclass(frozen=True, slots=True)
class MaxPool3d(_Pool3d):
    """Maximum over windows of (C, D, H, W); padding never wins."""


@dataclass(frozen=True, slots=True)
class Upsample(Op):
    """Nearest neighbour: each element ``factor`` times along each of the last axes.

    ``y[c, i, j] = x[c, i // factor[0], j // factor[1]]``.
    """

    factor: tuple[int, ...]

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        lead = len(x.shape) - len(self.factor)
        if lead < 0 or not self.factor or min(self.factor) < 1:
            raise ValueError(f"factor {self.factor} for {x}")
        sizes = (n * f for n, f in zip(x.shape[lead:], self.factor, strict=True))
        return (TensorType((*x.shape[:lead], *sizes), x.dtype, x.clock),)
