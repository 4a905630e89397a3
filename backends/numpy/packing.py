"""Products with integer weights of which several share one float64.

A float64 holds every integer of at most 53 bits and its sign.  Sums of small weights need fewer:
those of ``n`` rows are added at once, in fields of ``k`` bits, by the weights ::

    W[j] = sum_i w[i, j] * 2**(k * i),    i = 0 … n - 1,    n = 54 // k

If ``sum_j |w[i, j]| * max |x_j| < 2**(k - 1)`` for every row, any part of ``sum_j w[i, j] * x_j``,
added in any order, is in ``±(2**(k - 1) - 1)``.  So any part of ``x @ W`` is an integer of at most
``(2**(k - 1) - 1) * (2**(k * n) - 1) / (2**k - 1) < 2**(k * n - 1) <= 2**53``: no addition rounds,
whatever their order.  What the fields below ``i`` hold together is less than half of ``2**(k * i)``
by the same formula, so that ``x @ W / 2**(k * i)`` has the field's sum as its nearest integer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Rows that are best multiplied at a time: sums are taken out of what is still in the cache.
ROWS = 128
#: Least columns, and least weights, of a matrix for which fewer products outweigh the taking out.
COLUMNS, WEIGHTS = 128, 1 << 18


@dataclass(frozen=True)
class Packed:
    """The weights of a layer, (out, in), in fields.

    Attributes:
        matrix: (in, out / n, rounded up): rows ``i * out / n`` and on have the field ``i``.
        width: Bits of a field, ``k``.
        outputs: Rows of the weights.
    """

    matrix: Array
    width: int
    outputs: int

    @classmethod
    def of(cls, w: Array, bound: int) -> Packed | None:
        """Pack, if it pays.

        Args:
            w: (out, in), integers.
            bound: Largest size of a sum or of any part of it, proven.
        """
        width = bound.bit_length() + 1
        fields = 54 // width
        if fields < 3 or w.ndim != 2 or w.shape[1] < COLUMNS or w.size < WEIGHTS:
            return None  # a float32 takes half the time of a float64
        rows = -(-len(w) // fields)
        matrix = np.zeros((w.shape[1], rows))
        for i in range(fields):
            part = w[i * rows : (i + 1) * rows]
            matrix[:, : len(part)] += part.T * 2.0 ** (width * i)
        return cls(matrix, width, len(w))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of an operand."""
        return self.matrix.dtype

    def product(self, x: Array, kind: type[np.signedinteger]) -> Array:
        """``x @ w.T`` of a float64 operand (..., in) as integers of this kind, (..., out)."""
        rest = x @ self.matrix
        found = np.empty((*x.shape[:-1], self.outputs), kind)
        sums, rows = np.empty_like(rest), rest.shape[-1]
        for i in range((self.outputs - 1) // rows, 0, -1):  # the highest field first
            unit = 2.0 ** (self.width * i)
            np.multiply(rest, 1 / unit, out=sums)
            np.rint(sums, out=sums)
            place = found[..., i * rows : (i + 1) * rows]
            place[...] = sums[..., : place.shape[-1]]
            sums *= unit
            rest -= sums
        found[..., :rows] = rest
        return found
