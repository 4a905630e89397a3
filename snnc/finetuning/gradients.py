"""Exact integer functions on float64, with gradients of the real functions that they stand for.

Values are integers below ``2**53`` in float64, so that sums and products of weights are exact in
any order.  Rounding passes gradients through as if it were not there; a comparison has the
derivative of an arc tangent, as wide as the threshold.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from snnc.backends.torch import arithmetic

#: Magnitude up to which float64 holds every integer.
ROOM = 1 << 53


class _Exactly(Function):
    @staticmethod
    def forward(ctx: Any, relaxed: Tensor, exact: Tensor) -> Tensor:
        return exact.view_as(exact)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def exactly(relaxed: Tensor, exact: Tensor) -> Tensor:
    """The value of ``exact`` with the gradient of ``relaxed``, of the same shape."""
    value = exact.detach().to(relaxed.dtype)
    if not relaxed.requires_grad:
        return value
    found: Tensor = _Exactly.apply(relaxed, value)  # type: ignore[no-untyped-call]
    return found


class _Shifted(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, factor: Tensor, shift: int, rounding: str, small: bool
    ) -> Tensor:
        ctx.save_for_backward(x, factor)
        ctx.shift = shift
        if small:
            scaled = arithmetic.factor(factor, shift, rounding)
            return arithmetic.rounded(x * scaled, rounding)
        whole = arithmetic.rsh(x.long() * factor.long(), shift, rounding)
        return whole.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, factor = ctx.saved_tensors
        g = gradients[0] * 2.0**-ctx.shift
        own = (g * factor).sum_to_size(x.shape) if ctx.needs_input_grad[0] else None
        other = (g * x).sum_to_size(factor.shape) if ctx.needs_input_grad[1] else None
        return own, other, None, None, None


def shifted(
    x: Tensor, factor: Tensor | float, shift: int, rounding: str, small: bool = False
) -> Tensor:
    """``x * factor / 2**shift``, rounded; ``small``: the product is below ``2**48``."""
    by = factor if isinstance(factor, Tensor) else x.new_tensor(factor)
    if not shift:
        return x * by
    small = small and shift <= 48
    found: Tensor = _Shifted.apply(x, by, shift, rounding, small)  # type: ignore[no-untyped-call]
    return found


class _Step(Function):
    @staticmethod
    def forward(ctx: Any, distance: Tensor, width: Tensor, strict: bool) -> Tensor:
        ctx.save_for_backward(distance, width)
        return (distance > 0 if strict else distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        distance, width = ctx.saved_tensors
        u = distance.mul(math.pi).div_(width)
        return gradients[0] / u.square_().add_(1).mul_(width), None, None


def compared(a: Tensor, b: Tensor, strict: bool) -> Tensor:
    """1 where ``a > b``, or ``a >= b``, else 0.

    The surrogate is as wide as b; where b is 0, as the mean magnitude of a.
    """
    distance = a - b
    if not distance.requires_grad:
        return (distance > 0 if strict else distance >= 0).to(distance.dtype)
    size = b.detach().abs()
    if bool((size < 1).any()):
        typical = a.detach().abs().mean().clamp(min=1)
        size = torch.where(size < 1, typical, size)
    found: Tensor = _Step.apply(distance, size, strict)  # type: ignore[no-untyped-call]
    return found


class _Codes(Function):
    @staticmethod
    def forward(ctx: Any, latent: Tensor, least: float, top: float) -> Tensor:
        ctx.save_for_backward(latent)
        ctx.ends = least, top
        return latent.round().clamp_(least, top)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (latent,) = ctx.saved_tensors
        (g, *_), (least, top) = gradients, ctx.ends
        outward = (latent > top) & (g < 0) | (latent < least) & (g > 0)
        return g.masked_fill(outward, 0), None, None


def codes(latent: Tensor, least: float = -math.inf, top: float = math.inf) -> Tensor:
    """The nearest integers within the ends; no gradient drives a latent further outside."""
    found: Tensor = _Codes.apply(latent, least, top)  # type: ignore[no-untyped-call]
    return found


class _Lookup(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(x, table)
        found: Tensor = table[x.long()]
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        x, table = ctx.saved_tensors
        i = x.long()
        above, below = (i + 1).clamp(max=len(table) - 1), (i - 1).clamp(min=0)
        return gradients[0] * (table[above] - table[below]) / 2, None


def looked_up(x: Tensor, table: Tensor) -> Tensor:
    """Element x of a table; the gradient is its slope."""
    found: Tensor = _Lookup.apply(x, table)  # type: ignore[no-untyped-call]
    return found
