"""Sparse matrices of exact integers: what a connection does to the values that it carries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Matrix:
    """Entries sorted by row, then column, each place once and none of them zero.

    Attributes:
        shape: (out, in).
        rows: Of the entries.
        cols: Likewise.
        values: Likewise.
    """

    shape: tuple[int, int]
    rows: Ints
    cols: Ints
    values: Ints

    @classmethod
    def of(cls, shape: tuple[int, int], rows: Ints, cols: Ints, values: Ints) -> Matrix:
        """From entries in any order; those of one place are added.

        >>> Matrix.of((2, 2), np.array([1, 1]), np.array([0, 0]), np.array([3, 4])).dense()
        array([[0, 0],
               [7, 0]])
        """
        place = np.asarray(rows, np.int64) * shape[1] + cols
        order = np.argsort(place, kind="stable")
        place, values = place[order], np.asarray(values, np.int64)[order]
        first = np.flatnonzero(np.diff(place, prepend=-1))
        total = np.add.reduceat(values, first) if len(first) else values[:0]
        place = place[first][total != 0]
        return cls(shape, place // max(shape[1], 1), place % max(shape[1], 1), total[total != 0])

    @classmethod
    def identity(cls, size: int) -> Matrix:
        """Every value as it is."""
        return cls.gather(size, np.arange(size))

    @classmethod
    def gather(cls, size: int, source: Ints) -> Matrix:
        """Output i is input ``source[i]`` of ``size``, or 0 where that is negative."""
        source = np.asarray(source, np.int64).reshape(-1)
        rows = np.flatnonzero(source >= 0)
        return cls.of((len(source), size), rows, source[rows], np.ones(len(rows), np.int64))

    @classmethod
    def from_dense(cls, data: Ints) -> Matrix:
        """The same as an array."""
        rows, cols = np.nonzero(data)
        return cls.of((data.shape[0], data.shape[1]), rows, cols, data[rows, cols])

    def __matmul__(self, other: Matrix) -> Matrix:
        """First ``other``, then this."""
        assert self.shape[1] == other.shape[0], "shapes that do not meet"
        starts = np.searchsorted(other.rows, np.arange(other.shape[0] + 1))
        counts = np.diff(starts)[self.cols]
        mine = np.repeat(np.arange(len(self.rows)), counts)
        within = np.arange(len(mine)) - np.repeat(np.cumsum(counts) - counts, counts)
        theirs = starts[self.cols][mine] + within
        values = self.values[mine] * other.values[theirs]
        shape = (self.shape[0], other.shape[1])
        return Matrix.of(shape, self.rows[mine], other.cols[theirs], values)

    def __add__(self, other: Matrix) -> Matrix:
        pairs = ((self.rows, other.rows), (self.cols, other.cols), (self.values, other.values))
        return Matrix.of(self.shape, *(np.concatenate(pair) for pair in pairs))

    def scaled(self, rows: Ints) -> Matrix:
        """Every row times a number of its own."""
        return Matrix.of(self.shape, self.rows, self.cols, self.values * rows[self.rows])

    def part(self, rows: Ints, cols: Ints) -> Matrix:
        """These rows and columns, in that order."""
        to = np.full(self.shape[0], -1)
        to[rows] = np.arange(len(rows))
        at = np.full(self.shape[1], -1)
        at[cols] = np.arange(len(cols))
        keep = (to[self.rows] >= 0) & (at[self.cols] >= 0)
        shape = (len(rows), len(cols))
        return Matrix.of(shape, to[self.rows[keep]], at[self.cols[keep]], self.values[keep])

    def bounds(self, lo: int, hi: int) -> tuple[Ints, Ints]:
        """Least and largest value of every output, if all inputs are in [lo, hi]."""
        low = np.minimum(self.values * lo, self.values * hi)
        high = np.maximum(self.values * lo, self.values * hi)
        sums = [np.zeros(self.shape[0], np.int64) for _ in range(2)]
        np.add.at(sums[0], self.rows, low)
        np.add.at(sums[1], self.rows, high)
        return sums[0], sums[1]

    @property
    def starts(self) -> Ints:
        """Position of the first entry of every row, and the end: the index of CSR."""
        return np.searchsorted(self.rows, np.arange(self.shape[0] + 1)).astype(np.int64)

    def dense(self) -> Ints:
        """As an array."""
        found = np.zeros(self.shape, np.int64)
        found[self.rows, self.cols] = self.values
        return found
