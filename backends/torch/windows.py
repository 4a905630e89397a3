"""Convolutions and pools over any number of axes, on values (N, C, ...)."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import chain
from math import prod

import torch
from torch import Tensor
from torch.nn import functional

from snnc.backends.torch.convolution import ByteConvolution, exact_on_cpu, fits
from snnc.backends.torch.layers import Weighted
from snnc.backends.torch.operator import Function, Operator
from snnc.backends.torch.products import product
from snnc.backends.torch.program import Program, Record, word

Sizes = tuple[int, ...]


def windows(x: Tensor, size: Sizes, stride: Sizes, dilation: Sizes) -> Tensor:
    """Windows of (N, C, ...) as (N, C, *places, *size), without a copy."""
    for axis, (k, s, d) in enumerate(zip(size, stride, dilation, strict=True), 2):
        x = x.unfold(axis, d * (k - 1) + 1, s)[..., ::d]
    return x


def padded(x: Tensor, before: Sizes, after: Sizes, fill: int = 0) -> Tensor:
    """``fill`` around the last axes; negative sizes cut."""
    sides = list(chain.from_iterable(zip(before[::-1], after[::-1], strict=True)))
    return functional.pad(x, sides, value=fill) if any(sides) else x


class Convolution(Weighted):
    """``(conv(x, weight) << shift) + bias``, cross-correlation as in torch.

    Where it is not one of bytes, a product of weights by windows, not the device's own
    convolution: that may compute in a transformed domain, where sums of integers are not exact.
    Windows are laid out with channels first, so that what is copied for them stands in a row; so
    are the sums.
    """

    matrix: Tensor

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a = node["attributes"]
        self.stride, self.dilation = tuple(a["stride"]), tuple(a["dilation"])
        self.size = tuple(self.weight.shape[2:])
        self.before = self.after = tuple(a["padding"])
        self.groups: int = a["groups"]
        weight = self.kernel()
        matrix = weight.reshape(self.groups, len(weight) // self.groups, prod(weight.shape[1:]))
        self.keep("matrix", matrix.to(self.computed))
        self.bytes = fits(program.operand_bounds(node), weight, self.bound)
        self.direct: ByteConvolution | None = None

    def kernel(self) -> Tensor:
        """The weight (C_out, C_in/groups, ...) that the windows are multiplied by."""
        return self.weight

    def forward(self, *operands: Tensor) -> Tensor:
        return self.finish(self.sums(*operands), len(self.size))

    def sums(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        if self.computed != torch.int64:
            x = x.to(self.computed)
        return self.correlated(padded(x, self.before, self.after))

    def correlated(self, x: Tensor) -> Tensor:
        """The products of all windows."""
        if self.bytes and x.device.type == "cpu" and x.numel() and exact_on_cpu():
            if self.direct is None:  # padding is done
                geometry = self.stride, (0,) * len(self.size), self.dilation, self.groups
                self.direct = ByteConvolution(self.kernel(), *geometry)
            return self.direct(x)
        view = windows(x.transpose(0, 1), self.size, self.stride, self.dilation)
        rank, n = len(self.size), view.shape[1]
        places, channels = view.shape[2 : 2 + rank], len(view) // self.groups
        view = view.reshape(self.groups, channels, n, *places, *self.size)
        order = (0, 1, *range(3 + rank, 3 + 2 * rank), 2, *range(3, 3 + rank))
        columns = view.permute(order).reshape(
            self.groups, channels * prod(self.size), n * prod(places)
        )
        parts = [product(m, c, self.bound) for m, c in zip(self.matrix, columns, strict=True)]
        y = parts[0] if self.groups == 1 else torch.cat(parts)
        return y.reshape(len(y), n, *places).transpose(0, 1)


class TransposedConvolution(Convolution):
    """``y[i * stride + k * dilation - padding] += weight[k] * x[i]``, then shift and bias.

    The same as windows of mirrored weights over x with ``stride - 1`` zeros between its elements.
    """

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a = node["attributes"]
        self.spread, self.stride = self.stride, (1,) * len(self.stride)
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.size, strict=True)]
        self.before = tuple(r - p for r, p in zip(reach, a["padding"], strict=True))
        self.after = tuple(b + e for b, e in zip(self.before, a["extra"], strict=True))

    def kernel(self) -> Tensor:
        return self.weight.flip(tuple(range(2, self.weight.ndim)))

    def sums(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        sizes = [(m - 1) * s + 1 for m, s in zip(x.shape[2:], self.spread, strict=True)]
        wide = x.new_zeros(*x.shape[:2], *sizes)
        wide[(slice(None), slice(None), *(slice(None, None, s) for s in self.spread))] = x
        return super().sums(wide)


class Pool(Function):
    """A reduction of windows."""

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        a = node["attributes"]
        self.size, self.stride = tuple(a["kernel"]), tuple(a["stride"])
        self.padding = tuple(a["padding"])
        self.inner = word(program.operand_bounds(node))

    def reduced(self, x: Tensor, fill: int, merge: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Windows merged to a value: along one axis after the other, all windows at once."""
        x = padded(x, self.padding, self.padding, fill)
        for axis, (k, s) in enumerate(zip(self.size, self.stride, strict=True), 2):
            reach = x.shape[axis] - k + 1
            x = reduce(merge, (x.narrow(axis, i, reach)[_every(axis, s)] for i in range(k)))
        return x


def _every(axis: int, stride: int) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, slice(None, None, stride))


class SumPool(Pool):
    """Sum over windows; padding adds nothing."""

    def forward(self, *operands: Tensor) -> Tensor:
        return self.reduced(operands[0].to(self.word), 0, torch.add)


class MaxPool(Pool):
    """Maximum over windows; padding never wins."""

    def forward(self, *operands: Tensor) -> Tensor:
        x = operands[0].to(self.inner)
        y = self.reduced(x, torch.iinfo(self.inner).min, torch.maximum)
        return y.to(self.word)


#: Layers that slide over one or more axes, by name.
WINDOWS: dict[str, type[Operator]] = {
    "IntConv": Convolution,
    "IntConvTranspose": TransposedConvolution,
    "IntSumPool": SumPool,
    "IntMaxPool": MaxPool,
}
