"""The functions of integer kernels on tensors of integers, of 32 or 64 bits or in float64.

They give what ``backends/numpy/arithmetic.py`` defines, as long as all values are below ``ROOM`` of
their type, which whoever chooses the type makes sure of.  Comparisons and selections are sums,
products and clamps: those are fast on every device, and have gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Magnitude below which sums and differences of two values are exact in a type, and products of
#: values that are proven to stay below it.
ROOM = {torch.int32: 1 << 30, torch.float64: 1 << 51, torch.int64: 1 << 63}
#: Shifted products below it are rounded in float64.
FLOAT_ROOM = 1 << 48
#: ``1 + NUDGE`` moves a tie away from zero, and nothing else across one: float64 has 53 bits.
NUDGE = 2.0**-50


def rsh(x: Tensor, shift: int, rounding: str) -> Tensor:
    """Divide integers by ``2**shift`` and round."""
    if shift == 0:
        return x
    if x.is_floating_point():
        return rsh(x.long(), shift, rounding).to(x.dtype)
    bits = torch.iinfo(x.dtype).bits
    if shift > bits - 2:
        return rsh(x.long(), shift, rounding).to(x.dtype)
    half = 1 << (shift - 1)
    if rounding == "floor":
        return x >> shift
    if rounding == "half_up":
        return (x + half) >> shift
    if rounding == "half_away":
        return (x + (x >> (bits - 1)) + half) >> shift
    if rounding == "half_even":
        return (x + ((x >> shift) & 1) + (half - 1)) >> shift
    if rounding == "trunc":
        return (x + ((x >> (bits - 1)) & ((1 << shift) - 1))) >> shift
    raise ValueError(f"unknown rounding {rounding!r}")


def rounded(x: Tensor, rounding: str) -> Tensor:
    """Round float64; of ``half_away``, ``x`` has been multiplied by ``1 + NUDGE``."""
    if rounding in ("half_away", "half_even"):
        return x.round_()
    if rounding == "half_up":
        return x.add_(0.5).floor_()
    return x.floor_() if rounding == "floor" else x.trunc_()


def factor(multiplier: Tensor, shift: int, rounding: str) -> Tensor:
    """What to multiply by before ``rounded``, for ``rsh(x * multiplier, shift, rounding)``.

    Exact if the product is below ``FLOAT_ROOM`` and the shift at most 48: then ``x * multiplier``
    is exact in float64, dividing by a power of two changes no digit, and half an odd number
    times ``1 + NUDGE`` is above the half, with any rounding of that product, while the next
    multiple of ``2**-shift`` stays on its side.
    """
    scaled = multiplier.double() * 2.0**-shift
    return scaled * (1 + NUDGE) if rounding == "half_away" else scaled


def rdiv(x: Tensor, d: Tensor) -> Tensor:
    """``x / d`` of int64 rounded half away from zero."""
    size = d.abs()
    quotient = torch.div(x.abs() + size // 2, size, rounding_mode="floor")
    return torch.where((x < 0) == (d < 0), quotient, -quotient)


def isqrt(x: Tensor) -> Tensor:
    """``floor(sqrt(x))`` of int64 from 0 to ``2**62``, exactly."""
    root = x.double().sqrt().long()  # off by one at most
    root = root - (root * root > x).long()
    return root + ((root + 1) * (root + 1) <= x).long()


def wrap(x: Tensor, bits: int) -> Tensor:
    """Words of ``bits`` bits that end at ``+2**(bits-1)``, of int64."""
    top = 1 << (bits - 1)
    return top - ((top - x) & ((1 << bits) - 1))


def gt(a: Tensor, b: Tensor) -> Tensor:
    """1 where a > b, else 0, in the type of the operands."""
    if a.dtype == torch.int64:
        return (a > b).long()
    return (a - b).clamp_(0, 1)


def ne(a: Tensor, b: Tensor) -> Tensor:
    """1 where a differs from b, else 0."""
    if a.dtype == torch.int64:
        return (a != b).long()
    return (a - b).abs_().clamp_(0, 1)


def ge(a: Tensor, b: Tensor) -> Tensor:
    """1 where a >= b, else 0."""
    return 1 - gt(b, a)


def lt(a: Tensor, b: Tensor) -> Tensor:
    """1 where a < b, else 0."""
    return gt(b, a)


def le(a: Tensor, b: Tensor) -> Tensor:
    """1 where a <= b, else 0."""
    return ge(b, a)


def eq(a: Tensor, b: Tensor) -> Tensor:
    """1 where a equals b, else 0."""
    return 1 - ne(a, b)


def truth(a: Tensor) -> Tensor:
    """1 where a is not 0."""
    return (a != 0).long() if a.dtype == torch.int64 else a.abs().clamp_(0, 1)


def both(a: Tensor, b: Tensor) -> Tensor:
    """1 where neither is 0."""
    return truth(a) * truth(b)


def either(a: Tensor, b: Tensor) -> Tensor:
    """1 where one is not 0."""
    return torch.maximum(truth(a), truth(b))


def zero(a: Tensor) -> Tensor:
    """1 where a is 0."""
    return 1 - truth(a)


def inverse(a: Tensor) -> Tensor:
    """1 where a is 0, of zeros and ones."""
    return 1 - a


def select(c: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """A where c is 1, b where it is 0."""
    if a.dtype == torch.int64:
        return torch.where(c != 0, a, b)
    return torch.addcmul(b, c, a - b)


def chosen(c: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """A where c is not 0, else b."""
    return select(truth(c), a, b)


def same(a: Tensor) -> Tensor:
    """The value itself."""
    return a


def entry(i: Tensor, table: Tensor) -> Tensor:
    """Elements of a table."""
    return table[i]
