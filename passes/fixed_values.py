"""Fixed-point values in the making: an integer name with its fractional bits, or a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.exact import ONE, Expr, leaf, nearest, signs
from snnc.kernel import Kernel, Line
from snnc.passes.kernel_units import lost
from snnc.passes.kernel_writer import KernelWriter
from snnc.profile import Profile

#: How the names of factors begin that are whole numbers in the model, and so are not rounded.
WHOLE = "whole"


class NoIntegerFormError(Exception):
    """A line has no fixed-point form; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """The integer value ``name``: the real value is ``name * 2**-bits``; ``flag``: it is 0 or 1."""

    name: str
    bits: int
    flag: bool = False


Operand = Fixed | Expr


def power(bits: int) -> Expr:
    """``2**bits``."""
    return leaf(float(1 << bits))


class FixedWriter:
    """Writes lines and keeps, by the names of the real kernel, what each value became.

    Args:
        real: The kernel of real numbers.
        bits: ``F``, the fractional bits of what is not whole.
        profile: Rounding, and the bits of factors.
    """

    def __init__(self, real: Kernel, bits: int, profile: Profile) -> None:
        self.real, self.full, self.profile = real, bits, profile
        self.w = KernelWriter(real, profile.rounding)
        self.values: dict[str, Operand] = {c.name: leaf(c.values.data) for c in real.consts}
        self.losses: list[str] = []  # constants that rounding changes visibly
        self.now: Line | None = None

    def bits(self, name: str) -> int:
        """Fractional bits of a value that is already lowered."""
        value = self.values[name]
        return value.bits if isinstance(value, Fixed) else self.bits_of(value)

    def failure(self, why: str) -> NoIntegerFormError:
        """The error for the line that is being lowered."""
        return NoIntegerFormError(f"{self.now}: {why}")

    def bits_of(self, c: Expr) -> int:
        """0 for whole constants, else F."""
        return 0 if not signs(c - leaf(nearest(c).astype(np.float64))).any() else self.full

    def fixed(self, x: Operand, bits: int) -> Fixed:
        """The operand with ``bits`` fractional bits, at least those that it has."""
        if isinstance(x, Expr):
            k = nearest(x * power(bits))
            self.losses += lost(x, k, ONE / power(bits))
            return Fixed(self.w.const("k", k), bits)
        if x.bits == bits:
            return x
        shifted = self.w.emit(self.w.fresh("_l0"), "shl", x.name, shift=bits - x.bits)
        return Fixed(shifted, bits)

    def aligned(self, *operands: Operand) -> list[Fixed]:
        """All operands in the finest of their formats."""
        found = [x.bits if isinstance(x, Fixed) else self.bits_of(x) for x in operands]
        return [self.fixed(x, max(found)) for x in operands]

    def flag(self, x: Operand) -> Fixed:
        """The operand as 0 or 1: whether it is not zero."""
        if isinstance(x, Expr):
            return Fixed(self.w.const("k", (signs(x) != 0).astype(np.int64)), 0, True)
        if x.flag:
            return x
        zero = self.w.const("k", np.array(0))
        return Fixed(self.w.emit(self.w.fresh("_p0"), "ne", x.name, zero), 0, True)
