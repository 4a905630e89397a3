"""Per-row weight scales: symmetric integers with the clip that minimises the squared error.

A row ``w`` becomes ``s * q`` with integers ``|q| <= 2**(bits-1) - 1``.  Candidates are
``s = c * max|w| / qmax`` for ``c = 0.25, 0.26, … 1``; the one with the smallest sum of squares
wins, the largest ``c`` on ties.  Errors are accumulated as integers, so the choice does not depend
on the order or width of a CPU's float additions.

Nearly all candidates are told apart by float sums and their bounds of error, and those below which
the largest weights of a row alone lose more than the best candidate so far are not tried; integers
decide where that is not enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.exact import Expr, leaf
from snnc.passes.row_blocks import Rows, blocks, peaks

#: Parts of a row whose largest weights bound what clipping loses.
_LARGEST = 100

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Of the weights of a row that the method ``percentile`` does not clip.
PERCENTILE_PER_MILLE = 990
#: The most of a row's largest weight that its largest integer may stand for, in percent.
MOST_PERCENT = 120


def largest(bits: int) -> int:
    """Largest magnitude of a symmetric integer weight."""
    return (1 << (bits - 1)) - 1


def least_trained(bits: int) -> int:
    """Smallest integer that a weight may become by training.

    Of 2 bits all four integers are used, -2 too: the fourth is a third more to choose from.
    """
    return -2 if bits == 2 else -largest(bits)


@dataclass(frozen=True)
class RowScales:
    """The scale of each row, ``peak * percent / (100 * top)``: exact as numbers, and rounded.

    Exact matters: the largest weight of a row is then represented exactly, and an input on the
    threshold stays on it.  The top is the largest integer of ``bits``, or each row's own.
    """

    peak: Floats
    percent: Floats
    bits: int
    tops: Floats | None = None

    @property
    def floats(self) -> Floats:
        """The scales as floats."""
        return self.percent / 100 * self.peak / self._top

    def exact(self, shape: tuple[int, ...]) -> Expr:
        """The scales as exact numbers, reshaped to broadcast against a layer's output."""
        peak, percent = leaf(self.peak.reshape(shape)), leaf(self.percent.reshape(shape))
        top = self._top
        return peak * percent / leaf(100.0 * (top if self.tops is None else top.reshape(shape)))

    @property
    def _top(self) -> Floats:
        return np.asarray(float(largest(self.bits))) if self.tops is None else self.tops


def row_scales(
    rows: Rows, bits: int, method: str = "mse", importance: Floats | None = None
) -> RowScales:
    """The scale of each row of a (rows, columns) matrix.

    A row of zeros gets the median of the others, 1 if there are none: its bias is then as fine
    as theirs.

    Args:
        rows: The weights.
        bits: Of an integer with its sign.
        method: ``max``: no weight is clipped; ``percentile``: the largest 1 % may be; ``mse``.
        importance: (rows, columns) that multiplies squared errors.

    >>> row_scales(np.array([[254.0, -3.0], [0.0, 0.0]]), 8).floats.tolist()
    [2.0, 2.0]
    """
    top = largest(bits)
    peak = _percentiles(rows) if method == "percentile" else peaks(rows)
    normal = peak > max(peak.max(initial=0.0) * 2.0**-40, np.finfo(np.float64).tiny)
    clip = np.full(len(rows), 100.0)
    for some, block in blocks(rows) if method == "mse" else ():
        fit = np.flatnonzero(normal[some])
        size = np.abs(block if len(fit) == len(block) else block[fit])
        size /= peak[some][fit, None]
        if importance is None:
            clip[some][fit] = _best_clips(size, top)
        else:
            clip[some][fit] = _weighted_clips(size, _shares(importance[some][fit]), top)
    others = np.sort(peak[normal])
    typical = others[len(others) // 2] if len(others) else float(top)
    return RowScales(np.where(normal, peak, typical), clip, bits)


def _best_clips(size: Floats, top: int) -> Floats:
    """The best candidate, in percent, of every row of magnitudes whose largest is 1."""
    count = size.shape[1]
    weight = float(1 << (60 - max(1, count).bit_length()))
    # a float sum is off by less than this share, and integers by half of one for every term
    slack = (count + 16) * 2.0**-50
    half = (count + 1) / weight
    parts = np.arange(0, count, max(1, count // _LARGEST))
    largest_ones = np.maximum.reduceat(size, parts, 1)  # of every part of the row
    found = np.full(len(size), 100.0)
    room = np.empty_like(size)
    error = _errors(size, 100, top, room)
    best = np.einsum("ij,ij->i", error, error)  # float sums of squares
    exact = np.full(len(size), -1)  # their integers, once they are needed
    alive = np.arange(len(size))
    for percent in range(99, 24, -1):
        lost = np.maximum(largest_ones[alive] - percent / 100, 0.0)
        least = (lost * lost).sum(1) * (1 - slack) - half
        alive = alive[least <= best[alive] * (1 + slack) + half]
        if not len(alive):
            break
        part = size if len(alive) == len(size) else size[alive]
        error = _errors(part, percent, top, room[: len(alive)])
        sums = np.einsum("ij,ij->i", error, error)
        margin = (sums + best[alive]) * slack + half
        surely = sums + margin < best[alive]
        unsure = alive[~surely & (sums <= best[alive] + margin)]
        better = list(alive[surely])
        for row in unsure:
            if exact[row] < 0:
                exact[row] = _integer_error(size[row], int(found[row]), top, weight)
            total = _integer_error(size[row], percent, top, weight)
            if total < exact[row]:
                better.append(row)
        if better:
            where = np.array(sorted(better))
            found[where], exact[where] = percent, -1
            best[where] = sums[np.searchsorted(alive, where)]
    return found


def _weighted_clips(size: Floats, share: Floats, top: int) -> Floats:
    """The same with squared errors times ``share``, at most 1; every error is an integer."""
    weight = float(1 << (60 - max(1, size.shape[1]).bit_length()))
    best = np.full(len(size), np.iinfo(np.int64).max)
    found = np.full(len(size), 100.0)
    room = np.empty_like(size)
    for percent in range(100, 24, -1):
        error = _errors(size, percent, top, room)
        cost = error * error * share * weight
        total = np.rint(cost, out=cost).astype(np.int64).sum(1)
        better = total < best
        best = np.where(better, total, best)
        found = np.where(better, float(percent), found)
    return found


def _errors(size: Floats, percent: int, top: int, room: Floats) -> Floats:
    """What quantizing and clipping changes, in ``room``."""
    step = percent / 100 / top
    np.divide(size, step, out=room)
    np.rint(room, out=room)
    np.minimum(room, top, out=room)
    np.multiply(room, step, out=room)
    return np.subtract(size, room, out=room)


def _integer_error(size: Floats, percent: int, top: int, weight: float) -> int:
    """Sum of squared errors in units of ``1 / weight``, every one rounded."""
    error = _errors(size, percent, top, np.empty_like(size))
    return int(np.rint(error * error * weight).astype(np.int64).sum())


def _percentiles(rows: Rows) -> Floats:
    """The largest magnitude of each row but the largest 1 in 100; not 0 if one is not."""
    found = np.zeros(len(rows))
    place = -(-rows.shape[1] * PERCENTILE_PER_MILLE // 1000) - 1
    for some, block in blocks(rows) if rows.shape[1] else ():
        sizes = np.sort(np.abs(block), 1)
        found[some] = np.where(sizes[:, place] > 0, sizes[:, place], sizes[:, -1])
    return found


def _shares(importance: Floats) -> Floats:
    """Importances of at most 1 in each row."""
    peak = importance.max(1, initial=0.0, keepdims=True)
    out: Floats = np.where(peak > 0, importance / np.where(peak > 0, peak, 1.0), 1.0)
    return out


def quantized(rows: Rows, scales: Floats, bits: int) -> npt.NDArray[Any]:
    """Integers of the rows, ties to even, clipped to the symmetric range, as they are stored."""
    top = largest(bits)
    out = np.empty(rows.shape, _word(bits))
    for some, block in blocks(rows):
        room = block / scales[some, None]
        np.rint(room, out=room)
        out[some] = np.clip(room, -top, top, out=room)
    return out


def stored(weights: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """In the smallest type that holds ``bits``."""
    return weights.astype(_word(bits), copy=False)


def _word(bits: int) -> type[np.int8 | np.int16]:
    return np.int8 if bits <= 8 else np.int16
