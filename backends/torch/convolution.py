"""Convolutions of bytes by oneDNN, where sums in float32 are exact.

For bytes it has direct algorithms alone, which add products of integers in 32 bits.  torch offers
them under private names: they are used only if they are there and give exact sums here.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from snnc.backends.torch.products import EXACT
from snnc.backends.torch.program import Bounds

#: Channels in and out, groups and axes with which sums are looked at.
_CHECKED = ((1, 1, 1, 2), (3, 5, 1, 1), (32, 32, 1, 2), (8, 16, 4, 2), (4, 8, 1, 3))
_FLOAT = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


class ByteConvolution:
    """Correlates bytes from 0 to 127 with weights (C_out, C_in/groups, ...) of 8 bits.

    Args:
        weight: Integers.
        stride: By axis, as everything else.
        padding: Zeros on both sides.
        dilation: Distance of taps.
        groups: Of channels.
    """

    def __init__(
        self,
        weight: Tensor,
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        dilation: tuple[int, ...],
        groups: int,
    ) -> None:
        self.geometry = list(stride), list(padding), list(dilation), groups
        self.weight = weight.to(torch.int8)
        self.packed: Tensor | None = None
        self.ones = torch.ones(len(weight))
        self.zeros = torch.zeros(len(weight), dtype=torch.int64)

    def __getstate__(self) -> dict[str, Any]:
        """A copy packs its own weights."""
        return {**self.__dict__, "packed": None}

    def __call__(self, x: Tensor) -> Tensor:
        """Sums in float32, of int8 (N, C_in, ...); channels are the last in memory."""
        if self.packed is None:
            packing = _operator("qconv_prepack")
            self.packed = packing(self.weight, self.ones, 1.0, 0, *self.geometry)
        given = x.view(torch.uint8), 1.0, 0, self.packed, self.ones, self.zeros, None
        operator = _operator("qconv_pointwise")
        found: Tensor = operator(*given, *self.geometry, 1.0, 0, torch.float32, "none", [], "")
        return found


def fits(x: Bounds, weight: Tensor, bound: int) -> bool:
    """Whether such a convolution is exact for values of a range and a bound of all partial sums."""
    if not weight.numel() or weight.ndim - 2 not in _FLOAT or bound >= EXACT[torch.float32]:
        return False
    return x[0] >= 0 and x[1] <= 127 and int(weight.min()) >= -128 and int(weight.max()) <= 127


def _operator(name: str) -> Any:
    return getattr(torch.ops.onednn, name)


@functools.cache
def exact_on_cpu() -> bool:
    """Whether it is there and exact on this processor, of the largest products of every sign."""
    for channels, out, groups, axes in _CHECKED:
        size = (9,) * axes
        x = torch.tensor([127, 127, 0, 1, 126], dtype=torch.int8)
        x = x.repeat(2 * channels * 9**axes)[: 2 * channels * 9**axes].reshape(2, channels, *size)
        ends = torch.tensor([-128, 127, 127, -127, 1, 0, -128])
        shape = (out, channels // groups, *(3,) * axes)
        count = out * channels // groups * 3**axes
        weight = ends.repeat(count)[:count].reshape(shape)
        for stride, padding in ((1, 1), (2, 0)):
            geometry = (stride,) * axes, (padding,) * axes, (1,) * axes, groups
            try:
                found = ByteConvolution(weight, *geometry)(x)
            except (AttributeError, RuntimeError, TypeError):
                return False
            want = _FLOAT[axes](x.double(), weight.double(), None, *geometry)
            if not torch.equal(found.double(), want):
                return False
    return True
