"""Numeric profiles: the arithmetic that all backends of one artifact share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """How decays are stored and rounded.

    Attributes:
        name: Of the profile.
        decay_bits: Fractional bits P of a decay; a decay ``a`` is ``round(a * 2**P)``.
        rounding: Of the product of a decay and a state.
        threshold_bits: Guard bits raise the median threshold to at least ``2**threshold_bits``.
        max_guard: Most guard bits.
        exact: Nothing is quantized: the model itself is in whole numbers, and its kernels state
            every rounding (``passes/lower_exact.py``).
    """

    name: str
    decay_bits: int
    rounding: str
    threshold_bits: int
    max_guard: int
    exact: bool = False


#: Symmetric rounding has no bias; thresholds of 2**14 keep spikes within 0.1 % of exact arithmetic.
DEFAULT = Profile("default", 16, "half_away", 14, 24)

#: Loihi's neurons: 12-bit decays, rounding toward zero, states of 24 bits, 6 guard bits.
LOIHI = Profile("loihi", 12, "trunc", 6, 6, exact=True)

PROFILES = {p.name: p for p in (DEFAULT, LOIHI)}
