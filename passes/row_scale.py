"""Per-row weight scales: symmetric integers with the clip that minimises the squared error.

A row ``w`` becomes ``s * q`` with integers ``|q| <= 2**(bits-1) - 1``.  Candidates are
``s = c * max|w| / qmax`` for ``c = 0.25, 0.26, … 1``; the one with the smallest sum of squares
wins, the largest ``c`` on ties.  Errors are accumulated as integers, so the choice does not depend
on the order or width of a CPU's float additions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnc.exact import Expr, leaf

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def largest(bits: int) -> int:
    """Largest magnitude of a symmetric integer weight."""
    return (1 << (bits - 1)) - 1


@dataclass(frozen=True)
class RowScales:
    """The scale of each row, ``peak * percent / (100 * largest)``: exact as numbers, and rounded.

    Exact matters: the largest weight of a row is then represented exactly, and an input on the
    threshold stays on it.
    """

    peak: Floats
    percent: Floats
    bits: int

    @property
    def floats(self) -> Floats:
        """The scales as floats."""
        return self.percent / 100 * self.peak / largest(self.bits)

    def exact(self, shape: tuple[int, ...]) -> Expr:
        """The scales as exact numbers, reshaped to broadcast against a layer's output."""
        peak, percent = leaf(self.peak.reshape(shape)), leaf(self.percent.reshape(shape))
        return peak * percent / leaf(100.0 * largest(self.bits))


def row_scales(rows: Floats, bits: int) -> RowScales:
    """The scale of each row of a (rows, columns) matrix.

    A row of zeros gets the median of the others, 1 if there are none: its bias is then as fine
    as theirs.

    >>> row_scales(np.array([[254.0, -3.0], [0.0, 0.0]]), 8).floats.tolist()
    [2.0, 2.0]
    """
    top = largest(bits)
    peak = np.abs(rows).max(1, initial=0.0)
    normal = peak > max(peak.max(initial=0.0) * 2.0**-40, np.finfo(np.float64).tiny)
    safe = np.where(normal, peak, 1.0)
    unit_rows = rows / safe[:, None]
    best = np.full(len(rows), np.iinfo(np.int64).max)
    clip = np.full(len(rows), 100.0)
    weight = float(1 << (60 - max(1, rows.shape[1]).bit_length()))
    for percent in range(100, 24, -1):
        step = percent / 100 / top
        error = unit_rows - np.clip(np.rint(unit_rows / step), -top, top) * step
        total = np.rint(np.minimum(error * error, 1.0) * weight).astype(np.int64).sum(1)
        better = total < best
        best = np.where(better, total, best)
        clip = np.where(better, float(percent), clip)
    others = np.sort(peak[normal])
    typical = others[len(others) // 2] if len(others) else float(top)
    return RowScales(np.where(normal, peak, typical), np.where(normal, clip, 100.0), bits)


def quantized(rows: Floats, scales: Floats, bits: int) -> Ints:
    """Integers of the rows, ties to even, clipped to the symmetric range."""
    top = largest(bits)
    out: Ints = np.clip(np.rint(rows / scales[:, None]), -top, top).astype(np.int64)
    return out


def stored(weights: Ints, bits: int) -> npt.NDArray[np.int8] | npt.NDArray[np.int16]:
    """In the smallest type that holds ``bits``."""
    return weights.astype(np.int8) if bits <= 8 else weights.astype(np.int16)
