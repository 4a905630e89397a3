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
    """Where the elements of an array lie: ``first + sum of index * stride`` over the axes."""

    strides: tuple[int, ...]
    first: int = 0


def row_major(shape: Shape, target: Shape) -> Walk:
    """The walk of an array of ``shape`` that broadcasts to ``target``."""
    shape = (1,) * (len(target) - len(shape)) + shape
    strides = tuple(0 if n == 1 else prod(shape[a + 1 :]) for a, n in enumerate(shape))
    return Walk(strides)


def walk(shape: Shape, target: Shape, channels: int, border: tuple[Shape, ...]) -> Walk:
    """The walk of an array whose first axis is innermost if it has so many ``channels``.

    Args:
        shape: Shape of the array.
        target: Shape of the loops.
        channels: Elements of the first axis, or 0 for an array in row-major order.
        border: Elements before and after every other axis that are no part of the value.
    """
    if not channels:
        return row_major(shape, target)
    assert len(shape) == len(target), "such an array does not broadcast"
    assert shape[0] == channels, "such an array keeps its channels"
    strides, first, stride = [0] * len(shape), 0, channels
    for axis in range(len(shape) - 1, 0, -1):
        before, after = border[axis - 1] if border else (0, 0)
        strides[axis] = stride
        first += before * stride
        stride *= shape[axis] + before + after
    strides[0] = 1
    broadcast = (0 if n == 1 else s for n, s in zip(shape, strides, strict=True))
    return Walk(tuple(broadcast), first)


@dataclass(frozen=True, slots=True)
class Nest:
    """Open loops: the extent of each, and the axes that it goes over, innermost last."""

    axes: tuple[tuple[int, ...], ...]

    def at(self, array: Walk) -> str:
        """Element number in an array."""
        terms = [f"{array.first}u"] if array.first else []
        for n, axes in enumerate(self.axes):
            if stride := array.strides[axes[-1]]:
                terms.append(f"i{n}" if stride == 1 else f"i{n} * {stride}u")
        return " + ".join(terms) or "0u"


@contextmanager
def nest(w: CWriter, target: Shape, arrays: Sequence[Walk]) -> Iterator[Nest]:
    """Loop over all elements of ``target`` in the order of the first array."""
    order = sorted(range(len(target)), key=lambda a: -arrays[0].strides[a])
    groups: list[tuple[int, ...]] = []
    for axis in order:
        if target[axis] == 1:
            continue
        together = groups and all(
            a.strides[groups[-1][-1]] == target[axis] * a.strides[axis] for a in arrays
        )
        if together:
            groups[-1] = (*groups[-1], axis)
        else:
            groups.append((axis,))
    with ExitStack() as stack:
        for n, axes in enumerate(groups):
            stack.enter_context(w.loop(f"i{n}", prod(target[a] for a in axes)))
        if not groups:
            stack.enter_context(w.block(""))
        yield Nest(tuple(groups))
