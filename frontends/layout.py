"""Which axis of a traced tensor is batch, which is time, and what shape one sample has.

Every axis is a product of factors in row-major order: ``TIME``, ``BATCH`` or a number.  So
``(T*B, C)`` after ``flatten(0, 1)`` is ``((TIME, BATCH), (C,))`` and a later ``view(T, B, C)``
finds both factors again.  The numbers, in order, are the shape of one sample at one step.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


class Special(enum.Enum):
    """A factor that is not part of a sample's shape."""

    TIME = "time"
    BATCH = "batch"


TIME, BATCH = Special.TIME, Special.BATCH


@dataclass(frozen=True, slots=True)
class Late:
    """Time without the first ``start`` steps, which are discarded as warm-up."""

    start: int


Factor = int | Special | Late
Axis = tuple[Factor, ...]
Axes = tuple[Axis, ...]


def inner(axes: Axes) -> tuple[int, ...]:
    """Shape of one sample at one step.

    >>> inner(((TIME, BATCH), (3,), (8,)))
    (3, 8)
    """
    return tuple(f for axis in axes for f in axis if isinstance(f, int))


def timed(axes: Axes) -> bool:
    """Whether time, or its later part, is among the factors."""
    return any(f is TIME or isinstance(f, Late) for axis in axes for f in axis)


def over_steps(axis: Axis) -> bool:
    """Whether the axis is time, or its later part, and nothing else."""
    return len(axis) == 1 and timed((axis,))


def first_step(axes: Axes) -> int:
    """Number of steps that are discarded as warm-up."""
    return max((f.start for axis in axes for f in axis if isinstance(f, Late)), default=0)


def merge(factors: list[Factor]) -> Axis:
    """Join adjacent numbers; ones vanish next to anything else.

    >>> merge([3, 4, TIME, 1])
    (12, <Special.TIME: 'time'>)
    """
    out: list[Factor] = []
    for f in factors:
        if isinstance(f, int) and out and isinstance(last := out[-1], int):
            out[-1] = last * f
        elif f != 1:
            out.append(f)
    return tuple(out) or (1,)


@dataclass(frozen=True, slots=True)
class Extents:
    """The sizes used for one trace."""

    steps: int
    batch: int | None

    def size(self, axis: Axis) -> int:
        """Number of elements along an axis."""
        return math.prod(map(self.factor, axis))

    def factor(self, f: Factor) -> int:
        """Number of elements of a factor."""
        if isinstance(f, int):
            return f
        if isinstance(f, Late):
            return self.steps - f.start
        return self.steps if f is TIME else self.batch or 1

    def shape(self, axes: Axes) -> tuple[int, ...]:
        """Shape of the traced tensor."""
        return tuple(self.size(axis) for axis in axes)

    def classify(self, shape: tuple[int, ...]) -> Axes:
        """Recognise batch and time in a new tensor by the extents chosen for this trace."""
        special: dict[int, Axis] = {self.steps: (TIME,)}
        if self.batch is not None:
            special |= {self.batch: (BATCH,), self.batch * self.steps: (TIME, BATCH)}
        return tuple(special.get(n, (n,)) for n in shape)

    def regroup(self, axes: Axes, shape: tuple[int, ...]) -> Axes | None:
        """Axes after a row-major reshape, or None if it cuts through batch or time."""
        rest = [f for axis in axes for f in axis if f != 1]
        out: list[Axis] = []
        for extent in shape:
            taken: list[Factor] = []
            need = extent
            while need > 1:
                if not rest:
                    return None
                f, n = rest[0], self.size((rest[0],))
                if need % n == 0:
                    taken.append(rest.pop(0))
                    need //= n
                elif isinstance(f, int) and n % need == 0:
                    taken.append(need)
                    rest[0] = n // need
                    need = 1
                else:
                    return None
            out.append(merge(taken))
        return tuple(out) if not rest else None


def record(name: str, axes: Axes) -> dict[str, object]:
    """What a model file says about an output: its axes, which is time, and the first step in it."""

    def word(f: Factor) -> int | str:
        return f if isinstance(f, int) else "batch" if f is BATCH else "time"

    factors = [[word(f) for f in axis] for axis in axes]
    time = next((i for i, axis in enumerate(axes) if timed((axis,))), None)
    return {"name": name, "axes": factors, "time_axis": time, "first_step": first_step(axes)}
