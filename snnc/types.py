"""Value types: the shape of one sample at one time step, its elements, and when it changes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import ClassVar


class Clock(str):
    """When a value changes within one sample.

    Most networks have one loop over time, and three clocks: ``ONCE`` before it, ``STEP`` in it,
    ``END`` after it.  A network may have several loops in a row, each with its own steps.  Those
    of the second are the clocks ``step2`` and ``end2``; what is known after one loop is constant
    in all later ones.

    Equal clocks are one object, and a clock is its name.

    >>> Clock("step2").phase, Clock("step2").kind is Clock.STEP, Clock.of(Clock.END, 1)
    (2, True, 'end')
    """

    __slots__ = ()

    ONCE: ClassVar[Clock]  # constant over the sequence, e.g. a projection of a static image
    STEP: ClassVar[Clock]  # every tick
    END: ClassVar[Clock]  # known after the last tick, e.g. a readout

    def __new__(cls, name: str) -> Clock:  # noqa: PYI034  equal clocks are one object
        if name not in _CLOCKS:
            if not _LATER.fullmatch(name):
                raise ValueError(f"there is no clock {name!r:.40}")
            _CLOCKS[name] = str.__new__(cls, name)
        return _CLOCKS[name]

    @classmethod
    def of(cls, kind: Clock, phase: int) -> Clock:
        """The clock of this kind in the loop number ``phase``, which counts from 1."""
        return cls(kind.kind + (str(phase) if phase > 1 else ""))

    @property
    def kind(self) -> Clock:
        """``ONCE``, ``STEP`` or ``END``."""
        return Clock(self.rstrip("0123456789"))

    @property
    def phase(self) -> int:
        """Number of the loop that it belongs to: 1 for the first, 0 for ``ONCE``."""
        digits = self[len(self.kind) :]
        return int(digits) if digits else int(self is not Clock.ONCE)

    @property
    def order(self) -> int:
        """Place in time: clocks of larger order come later."""
        return 2 * self.phase - (self.kind is Clock.STEP)


#: Every clock by name; the later loops' are added when they are first used.
_CLOCKS: dict[str, Clock] = {}
_CLOCKS |= {name: str.__new__(Clock, name) for name in ("once", "step", "end")}
_LATER = re.compile("(step|end)([2-9]|[1-9][0-9]{1,3})")
Clock.ONCE, Clock.STEP, Clock.END = (_CLOCKS[name] for name in ("once", "step", "end"))


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
        return math.prod(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]@{self.clock}"


def latest(clocks: tuple[Clock, ...]) -> Clock:
    """Clock of an operator applied to values of these clocks (constants are ONCE).

    Raises ValueError for a mix of a value per step with one known later, or with the steps of
    another loop: crossing needs an operator.
    """
    last = max(clocks, key=lambda c: c.order, default=Clock.ONCE)
    if any(c.kind is Clock.STEP and c is not last for c in clocks):
        if last.kind is Clock.STEP:
            raise ValueError("mixes the steps of two loops")
        raise ValueError("mixes a per-step value with one known after the last step")
    return last
