"""A value of a neuron's kernel in words of 16 bits, as expressions of C."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.backends.c.words import Bounds, fits

#: The highest bit of a word, and what is added to numbers with a sign.
SIGN = 32768


class NoLanesError(Exception):
    """The kernel has values of more than 32 bits, or an operation that lanes lack."""


@dataclass(frozen=True, slots=True)
class Lane:
    """C expressions, free of side effects, of a value's words.

    Attributes:
        low: The low word.
        high: The high word and ``lift``, modulo 2**16; empty if one word holds the value.
        bounds: Proven interval of the value.
        lift: What the high word is more than the value's own.
    """

    low: str
    high: str
    bounds: Bounds
    lift: int = 0

    @property
    def is_narrow(self) -> bool:
        """Whether one word holds the value."""
        return fits(self.bounds, "int16_t")


def constant(value: int) -> Lane:
    """A number as words."""
    high = "" if fits((value, value), "int16_t") else f"{(value >> 16) & 65535}"
    return Lane(f"{value & 65535}", high, (value, value))


def is_negative(x: Lane) -> bool:
    """Whether a value is one word, and at most 0."""
    return not x.high and x.bounds[1] <= 0 and not x.low[0].isdigit()


def is_short(bounds: Bounds) -> bool:
    """Whether the low word of a number from -65535 to 0 says it all."""
    return bounds[0] > -65536 and bounds[1] <= 0


def is_only_short(x: Lane) -> bool:
    """Whether a value is one word, but not one with a sign."""
    return not x.high and x.bounds[0] < -32768


def carry(rounding: str, low: str, negative: str) -> str:
    """What the rounding adds to the high half, of which ``low`` is the rest."""
    if rounding == "half_up" or (rounding == "half_away" and not negative):
        return f" + ({low} >> 15)"
    if rounding == "half_away":  # a half of a negative number goes down
        return f" + ({low} > (uint16_t)({SIGN - 1}u + {negative}))"
    if rounding == "trunc" and negative:
        return f" + ({negative} & ({low} != 0u))"
    return ""


def over(word: str, factor: str) -> str:
    """The high half of a product of words."""
    return f"(uint16_t)(((uint32_t){word} * {factor}) >> 16)"


def lifted(text: str, lift: int) -> str:
    """An expression of a word and a constant, modulo 2**16.

    >>> lifted("h", 32767 - 5), lifted("h", -1), lifted("h", 65536)
    ('h + 32762', 'h - 1', 'h')
    """
    lift = (lift + SIGN) % (2 * SIGN) - SIGN
    if lift == 0:
        return text
    return f"{text} + {lift}" if lift > 0 else f"{text} - {-lift}"
