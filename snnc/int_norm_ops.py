"""Normalizations of one sample at one step, in integers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from snnc.op import Op, Types, integers, one
from snnc.params import Param
from snnc.types import INT, TensorType

#: Magnitudes, in bits, beyond which a word of 63 bits could overflow.
_MOST = 62


@dataclass(frozen=True, slots=True)
class _IntNorm(Op):
    """``n`` elements of the last ``axes`` axes, brought to ``bits`` bits before they are squared.

    With ``d_i`` as the subclass says and ``/`` rounded half away from zero:

    * ``t = max(0, bit_length(max |d|) + lift - bits)`` and ``e_i = d_i * 2**lift / 2**t``;
    * ``q = (sum of e_i² + n // 2) // n``;
    * ``R = max(1, isqrt(q * 4**guard + (eps >> 2t)))``;
    * ``y_i = (e_i * 2**guard * gain_i) / R + offset_i``.

    So no square overflows, whatever the size of the operand, and small numbers lose nothing.
    ``lift`` is as large as the size of ``eps`` allows.
    """

    axes: int
    gain: Param
    offset: Param | None
    eps: int
    lift: int
    bits: int = 24
    guard: int = 6

    def infer(self, inputs: Types) -> Types:
        integers(gain=self.gain, offset=self.offset)
        x = one(inputs)
        if not 1 <= self.axes <= len(x.shape):
            raise ValueError(f"normalizes {self.axes} axes of {x}")
        shape = x.shape[-self.axes :]
        for p in (self.gain, self.offset):
            if p is not None and p.shape not in ((), shape):
                raise ValueError(f"parameter {p} for features {shape}")
        squares = 2 * self.bits + prod(shape).bit_length()
        product = self.bits + self.guard + int(abs(self.gain.data).max(initial=0)).bit_length()
        if self.bits < 2 or self.guard < 0 or not 0 <= self.eps < 1 << (_MOST - 1):
            raise ValueError(f"a norm with {self.bits} bits, {self.guard} more and eps {self.eps}")
        if max(squares, product, 2 * (self.bits + self.guard)) > _MOST:
            raise ValueError(f"{self.bits} bits of {shape} elements exceed {_MOST} bits")
        if not -_MOST <= self.lift < self.bits:
            raise ValueError(f"a shift of {self.lift} bits")
        return (TensorType(x.shape, INT, x.clock),)


@dataclass(frozen=True, slots=True)
class IntLayerNorm(_IntNorm):
    """``_IntNorm`` of ``d_i = n x_i - sum of x``, which is n times the distance from the mean."""

    centered: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class IntRMSNorm(_IntNorm):
    """``_IntNorm`` of ``d_i = x_i``."""

    centered: ClassVar[bool] = False
