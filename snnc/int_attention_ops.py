"""Products of computed matrices, and softmax, in integers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from snnc.attention_ops import Matmul
from snnc.kernel import ROUNDINGS
from snnc.op import Op, Types, checked_axis, integers, one
from snnc.params import Param
from snnc.types import INT, TensorType


@dataclass(frozen=True, slots=True)
class IntMatmul(Op):
    """``y[…, i, j] = rsh(sum_k a[…, i, k] b[…, k, j], shift, rounding)``; leading axes broadcast.

    Every word of the sum is exact: it is rounded once, after the last summand.
    """

    shift: int = 0
    rounding: str = "half_away"

    def infer(self, inputs: Types) -> Types:
        if not 0 <= self.shift <= 62 or self.rounding not in ROUNDINGS:
            raise ValueError(f"a shift of {self.shift} bits, rounded {self.rounding!r}")
        (y,) = Matmul().infer(inputs)
        return (replace(y, dtype=INT),)


@dataclass(frozen=True, slots=True)
class IntSoftmax(Op):
    """``p_i = (e_i << out_bits) // Z`` along one axis, with ``Z`` the sum of all ``e_i``.

    With ``d_i = max(x) - x_i`` over the elements that count, the table's ``2**F`` entries and
    ``u_i = (d_i * multiplier + (1 << shift >> 1)) >> shift``, the exponent is
    ``e_i = table[u_i % 2**F] >> (u_i // 2**F)``: the table holds ``2**T * 2**(-j / 2**F)``, so
    ``multiplier / 2**shift`` is the logits' unit times ``2**F * log2(e)``.

    Where ``mask``, which broadcasts, or the second operand is 0, ``p_i`` is 0 and the element does
    not count.  If no element does, all are 0.
    """

    axis: int
    table: Param
    multiplier: int
    shift: int
    out_bits: int = 15
    mask: Param | None = None

    def infer(self, inputs: Types) -> Types:
        integers(table=self.table, mask=self.mask)
        if len(inputs) == 2 and (inputs[1].shape, inputs[1].clock) != (
            inputs[0].shape,
            inputs[0].clock,
        ):
            raise ValueError(f"a mask {inputs[1]} for {inputs[0]}")
        x = one(inputs[:1]) if len(inputs) == 2 else one(inputs)
        checked_axis(self.axis, x.shape)
        entries = self.table.data.size
        if self.table.data.ndim != 1 or entries & (entries - 1) or not entries:
            raise ValueError(f"a table of {entries} entries is no power of two")
        if self.table.data.min() < 0 or self.table.data.max() >= 1 << 30:
            raise ValueError("a table's entries have up to 30 bits")
        if self.multiplier < 1 or self.shift < 0 or self.reach * self.multiplier >= 1 << 61:
            raise ValueError(f"a factor of {self.multiplier} / 2**{self.shift}")
        top = int(self.table.data.max()) * x.shape[self.axis]
        if not 0 <= self.out_bits <= 30 or top.bit_length() > 31:
            raise ValueError(f"{self.out_bits} bits of {x.shape[self.axis]} elements")
        if self.mask is not None:
            self._checked_mask(x)
        return (TensorType(x.shape, INT, x.clock),)

    @property
    def reach(self) -> int:
        """A distance ``d`` for which, and beyond which, ``e`` is 0."""
        wanted = (31 * self.table.data.size) << self.shift
        return -(-wanted // self.multiplier)

    def _checked_mask(self, x: TensorType) -> None:
        assert self.mask is not None, "called with a mask only"
        if ((self.mask.data != 0) & (self.mask.data != 1)).any():
            raise ValueError("a mask holds 0 and 1")
        shape = self.mask.shape
        fits = len(shape) == len(x.shape) and all(
            a in (1, b) for a, b in zip(shape, x.shape, strict=True)
        )
        if not fits or not prod(shape):
            raise ValueError(f"a mask {self.mask} for {x}")
