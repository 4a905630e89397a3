"""Weights that lava-nc's connections take as they are.

A connection keeps 8 bits: with both signs it makes weights even (``proc/dense/models.py`` of
lava-nc 0.10.0), and it shifts the sum by ``weight_exp``.  So ``2 * w`` with an exponent of -1 is
``w`` of -128 to 127, exactly.  What is larger is split: ``w = 256 * high + low``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.backends.lava.stock.matrix import Ints, Matrix
from snnc.backends.lava.stock.neurons import NotStockError

#: Exponents of weights on the chip.
EXPONENTS = range(-8, 8)


@dataclass(frozen=True)
class Weights:
    """``matrix`` times ``2**exponent``; its entries are even, from -256 to 254."""

    matrix: Matrix
    exponent: int


def legal(matrix: Matrix) -> list[Weights]:
    """The connections whose sum is the matrix.

    >>> [(int(w.matrix.values[0]), w.exponent)
    ...  for w in legal(Matrix.from_dense(np.array([[1000]])))]
    [(250, 2)]
    >>> [(int(w.matrix.values[0]), w.exponent)
    ...  for w in legal(Matrix.from_dense(np.array([[1001]])))]
    [(-46, -1), (8, 7)]

    Raises:
        NotStockError: If some weight needs more than two.
    """
    values = matrix.values
    if not len(values):
        return []
    exponent = min(_trailing_zeros(values), EXPONENTS[-1] + 1)
    short = values >> exponent
    if short.min() >= -128 and short.max() <= 127:
        return [Weights(_with(matrix, 2 * short), exponent - 1)]
    low = (values + 128) % 256 - 128
    high = (values - low) >> 8
    if high.min() < -128 or high.max() > 127:
        size = int(np.abs(matrix.values).max())
        raise NotStockError(f"a weight of {size} needs more than 16 bits", "smaller weights")
    return [
        Weights(_with(matrix, 2 * low), -1),
        Weights(_with(matrix, 2 * high), 7),
    ]


def _with(matrix: Matrix, values: Ints) -> Matrix:
    return Matrix.of(matrix.shape, matrix.rows, matrix.cols, values)


def _trailing_zeros(values: Ints) -> int:
    """The largest k for which all values are multiples of 2**k."""
    merged = int(np.bitwise_or.reduce(np.abs(values)))
    return (merged & -merged).bit_length() - 1
