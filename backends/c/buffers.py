"""Static arrays of the emitted C: element type, proven interval, order in memory."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.backends.c.nest import Walk, walk
from snnc.backends.c.words import SIZES, Bounds, index_type
from snnc.graph import Edge, Node
from snnc.types import Int


@dataclass(frozen=True, slots=True)
class Buffer:
    """A static array: C expression, element type, proven interval, shape.

    ``ids`` is the stem of the spike list ``<ids>[]``, ``<ids>_n``, or None if there is none; if
    the array is ``only_listed``, nobody but the trace reads its elements.  With ``channels``, the
    first axis of a value of so many channels is innermost in memory (``layouts``), also where
    another name of it has another shape.
    """

    name: str
    ctype: str
    bounds: Bounds
    shape: tuple[int, ...]
    ids: str | None = None
    only_listed: bool = False
    channels: int = 0

    def walk(self, target: tuple[int, ...]) -> Walk:
        """Where the elements of ``target`` find theirs in this array."""
        return walk(self.shape, target, self.channels)

    @property
    def size(self) -> int:
        """Number of elements."""
        n = 1
        for extent in self.shape:
            n *= extent
        return n

    @property
    def is_spikes(self) -> bool:
        """Whether every element is 0 or 1."""
        return self.bounds[0] >= 0 and self.bounds[1] <= 1

    @property
    def bytes(self) -> int:
        """Memory of the array and its spike list."""
        count = SIZES[self.ctype] * self.size
        return count + (SIZES[index_type(self.size)] * self.size + 4 if self.ids else 0)


@dataclass(frozen=True, slots=True)
class Delay:
    """A value seen ``edge.delay`` steps later: a queue ``name[delay][size]``, the oldest first."""

    name: str
    edge: Edge
    buffer: Buffer


def bounds_of(node: Node, out: int = 0) -> Bounds:
    """Proven interval of an output."""
    dtype = node.types[out].dtype
    assert isinstance(dtype, Int), "checked before"
    return dtype.bounds
