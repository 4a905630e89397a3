"""Operators that turn values into spikes by a code of which the number of the step is part."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.op import Op, Types, one
from snnc.types import SPIKE, Clock, TensorType

#: Seeds are 32-bit numbers.
SEEDS = 1 << 32


@dataclass(frozen=True, slots=True)
class RateCode(Op):
    """``s[t] = [h(seed, t, i) < floor(2**32 * x / peak)]``: a spike with probability ``x / peak``.

    ``i`` is the row-major number of the element, ``t`` that of the step, from 0.  ``h`` is a hash
    into 32 bits instead of a random generator: the spikes are the same on every machine::

        h(seed, t, i) = mix(mix(seed + (t + 1) * 0x9E3779B9) ^ (i * 0x9E3779B9))   (mod 2**32)
        mix(n): n ^= n >> 16;  n *= 0x7FEB352D;  n ^= n >> 15;  n *= 0x846CA68B;  n ^= n >> 16

    ``mix`` is the bijection lowbias32 (C. Wellons, public domain).
    """

    seed: int = 0
    peak: float = 1.0

    def infer(self, inputs: Types) -> Types:
        check_seed(self.seed)
        if not 0 < self.peak < float("inf"):
            raise ValueError(f"the value of certain spikes is {self.peak}")
        return coded(inputs)


def check_seed(seed: int) -> None:
    """ValueError unless it is a seed."""
    if not 0 <= seed < SEEDS:
        raise ValueError(f"seed {seed} is no 32-bit number")


def coded(inputs: Types) -> Types:
    """Types of the spikes that a code makes of a static value or one of the first loop."""
    x = one(inputs)
    if x.clock not in (Clock.ONCE, Clock.STEP):
        raise ValueError(f"needs a value of the first loop, got {x}")
    return (TensorType(x.shape, SPIKE, Clock.STEP),)
