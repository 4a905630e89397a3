"""Loops over all elements of a shape, for arrays that lie in memory in different orders.

Every array is seen through its strides along the axes of the shape; an operand that broadcasts
has strides of 0.  Axes that all arrays walk in one go become one loop, and the loops are ordered
as the first array lies, so that a constant per channel or per feature needs no division.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod

from snnc.backends.c.writer import CWriter

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Walk:
    """Where the elements of an array lie: sum of index * stride over the axes."""

    strides: tuple[int, ...]


def row_major(shape: Shape, target: Shape) -> Walk:
    """The walk of an array of ``shape`` that broadcasts to ``target``."""
    shape = (1,) * (len(target) - len(shape)) + shape
    strides = tuple(0 if n == 1 else prod(shape[a + 1 :]) for a, n in enumerate(shape))
    return Walk(strides)


def walk(shape: Shape, target: Shape, channels: int = 0) -> Walk:
    """The walk of an array; with ``channels``, its first axis is innermost."""
    if not channels:
        return row_major(shape, target)
    assert len(shape) == len(target), "such an array does not broadcast"
    assert shape[0] == channels, "such an array keeps its channels"
    outer = row_major(shape[1:], target[1:]).strides
    return Walk((0 if channels == 1 else 1, *(s * channels for s in outer)))


@dataclass(frozen=True, slots=True)
class Nest:
    """Loops: the extent of each, and the axis by which an array moves on, innermost last."""

    loops: tuple[tuple[int, int], ...]

    @property
    def inner(self) -> int:
        """Extent of the innermost loop."""
        return self.loops[-1][0] if self.loops else 1

    def at(self, array: Walk) -> str:
        """Element number in an array."""
        terms = []
        for n, (_, axis) in enumerate(self.loops):
            if stride := array.strides[axis]:
                terms.append(f"i{n}" if stride == 1 else f"i{n} * {stride}u")
        return " + ".join(terms) or "0u"

    @contextmanager
    def open(self, w: CWriter) -> Iterator[None]:
        """Write the loops around a body."""
        with ExitStack() as stack:
            for n, (extent, _) in enumerate(self.loops):
                stack.enter_context(w.loop(f"i{n}", extent))
            if not self.loops:
                stack.enter_context(w.block(""))
            yield


def nest_of(target: Shape, arrays: Sequence[Walk]) -> Nest:
    """Loops over all elements of ``target`` in the order of the first array."""
    loops: list[tuple[int, int]] = []
    for axis in sorted(range(len(target)), key=lambda a: -arrays[0].strides[a]):
        if target[axis] == 1:
            continue
        if loops and all(a.strides[loops[-1][1]] == target[axis] * a.strides[axis] for a in arrays):
            loops[-1] = (loops[-1][0] * target[axis], axis)
        else:
            loops.append((target[axis], axis))
    return Nest(tuple(loops))


@contextmanager
def nest(w: CWriter, target: Shape, arrays: Sequence[Walk]) -> Iterator[Nest]:
    """Write such loops around a body."""
    loops = nest_of(target, arrays)
    with loops.open(w):
        yield loops
