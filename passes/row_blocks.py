"""Matrices of real numbers that are made a few rows at a time.

In float64, weights are twice as large as in the file, and every product with them as large again.
A layer is quantized row by row; only some rows need be there at once, and they fit a cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnc.params import BLOCK

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MadeRows:
    """A matrix that a function makes.

    Attributes:
        shape: Rows and columns.
        make: A new array of the rows from one number to before another, the same every time.
    """

    shape: tuple[int, int]
    make: Callable[[int, int], Floats]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, some: slice) -> Floats:
        start, stop, _ = some.indices(self.shape[0])
        return self.make(start, stop)

    def changed(self, change: Callable[[Floats, slice], Floats]) -> MadeRows:
        """The matrix after ``change``, which is given some rows and which they are."""
        return MadeRows(self.shape, lambda a, b: change(self.make(a, b), slice(a, b)))


#: A matrix, there or made.
Rows = Floats | MadeRows


def blocks(rows: Rows) -> Iterator[tuple[slice, Floats]]:
    """Which rows, and they: so many that they and some of their kind fit a cache."""
    each = max(1, BLOCK // max(1, rows.shape[1]))
    for start in range(0, len(rows), each):
        some = slice(start, min(start + each, len(rows)))
        yield some, rows[some]


def peaks(rows: Rows) -> Floats:
    """The largest magnitude of every row."""
    found = np.zeros(len(rows))
    for some, block in blocks(rows):  # without an array of magnitudes
        np.maximum(block.max(1, initial=0.0), -block.min(1, initial=0.0), out=found[some])
    return found


def beside(parts: list[MadeRows]) -> MadeRows:
    """Matrices with equally many rows as one, side by side."""
    if len(parts) == 1:
        return parts[0]
    columns = sum(p.shape[1] for p in parts)
    return MadeRows(
        (len(parts[0]), columns), lambda a, b: np.concatenate([p.make(a, b) for p in parts], 1)
    )
