"""Value types: the shape of one sample at one time step, its elements, and when it changes."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Clock(enum.StrEnum):
    """When a value changes within one sample."""

    ONCE = "once"  # constant over the sequence, e.g. a projection of a static image
    STEP = "step"  # every tick
    END = "end"  # known after the last tick, e.g. a readout


@dataclass(frozen=True, slots=True)
class Float:
    """IEEE-754 binary floating point of ``width`` bits."""

    width: int = 32

    def __str__(self) -> str:
        return f"f{self.width}"


@dataclass(frozen=True, slots=True)
class Int:
    """A mathematical integer, known to lie in ``[lo, hi]`` once ranges are proven.

    Until then both bounds are None and the type prints as ``int``.  The width is that of the
    smallest two's-complement (or unsigned, if ``lo >= 0``) word that holds the interval.

    >>> str(Int(0, 1)), str(Int(-128, 127)), str(Int(0, 255)), str(Int())
    ('u1', 'i8', 'u8', 'int')
    """

    lo: int | None = None
    hi: int | None = None

    def __post_init__(self) -> None:
        if (self.lo is None) != (self.hi is None):
            raise ValueError("give both bounds or none")
        if self.lo is not None and self.hi is not None and self.lo > self.hi:
            raise ValueError(f"empty interval [{self.lo}, {self.hi}]")

    @property
    def bounds(self) -> tuple[int, int]:
        """The proven interval; an assertion fails if there is none yet."""
        assert self.lo is not None, "the range is not proven yet"
        assert self.hi is not None, "the range is not proven yet"
        return self.lo, self.hi

    @property
    def signed(self) -> bool:
        """Whether a sign bit is needed."""
        return self.bounds[0] < 0

    @property
    def width(self) -> int:
        """Bits of the smallest word that holds every value."""
        lo, hi = self.bounds
        if lo >= 0:
            return max(1, hi.bit_length())
        return max((-lo - 1).bit_length(), hi.bit_length() if hi > 0 else 0) + 1

    def __str__(self) -> str:
        if self.lo is None:
            return "int"
        return f"{'i' if self.signed else 'u'}{self.width}"


DType = Float | Int
FLOAT32 = Float(32)
INT = Int()
SPIKE = Int(0, 1)


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape without batch and time, element type and clock.

    >>> str(TensorType((2, 34, 34), SPIKE))
    'u1[2,34,34]@step'
    """

    shape: tuple[int, ...]
    dtype: DType = FLOAT32
    clock: Clock = Clock.STEP

    @property
    def size(self) -> int:
        """Number of elements."""
        n = 1
        for extent in self.shape:
            n *= extent
        return n

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]@{self.clock}"


def latest(clocks: tuple[Clock, ...]) -> Clock:
    """Clock of an operator applied to values of these clocks (constants are ONCE).

    Raises ValueError for a mix of STEP and END: crossing needs an operator.
    """
    kinds = set(clocks)
    if {Clock.STEP, Clock.END} <= kinds:
        raise ValueError("mixes a per-step value with one known after the last step")
    for clock in (Clock.END, Clock.STEP):
        if clock in kinds:
            return clock
    return Clock.ONCE
