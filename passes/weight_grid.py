"""Find weights that are integers already: multiples of one number in every row.

Training that quantizes (LSQ, Brevitas, torchao, lava-dl, MINT's shared scales) leaves weights
``s * q`` with small integers q.  Such a row has its largest weight at ``s * top``: every ``top`` up
to the largest integer is tried, and the smallest that makes all weights integers is taken, so that
s is as large as possible.  Rows whose s are multiples of one s keep that one, as their training
had it.  BatchNorm, folded, multiplies rows, which changes s alone.

A row of numbers that are on no grid passes by chance with a probability below one in a million if
it has three weights or more; what passes loses less than a millionth of each weight.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.params import BLOCK
from snnc.passes.row_blocks import Rows, blocks
from snnc.passes.row_scale import RowScales, largest

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Most bits of a grid that is looked for.
MOST_BITS = 8
#: What float32 leaves of ``s * q``, next to it: two roundings, and one of the largest weight.
NEAR = 2.0**-20
#: Weights of every row that are tried first.
FIRST = 8
#: Rows that are tried at once, at most.
ROWS = 64


def grid_of(rows: Rows) -> tuple[RowScales, npt.NDArray[Any]] | None:
    """Scales and integers of (rows, columns) that are on a grid of at most ``MOST_BITS`` bits.

    None if a row is on none.  A row of zeros gets the median scale of the others.

    >>> scales, codes = grid_of(np.array([[0.25, -0.75, 0.5], [0.5, 0.0, 1.0]]))
    >>> scales.floats.tolist(), codes.tolist()
    ([0.25, 0.25], [[1, -3, 2], [2, 0, 4]])
    """
    peak, tops = np.zeros(len(rows)), np.ones(len(rows))
    each = max(1, min(ROWS, BLOCK // max(1, rows.shape[1])))
    for start in range(0, len(rows), each):  # mostly, some of the first rows are on no grid
        block = np.abs(rows[start : start + each])
        peak[start : start + each] = own = block.max(1, initial=0.0)
        if not len(used := np.flatnonzero(own > 0)):
            continue
        if (found := _tops(block[used] / own[used, None])) is None:
            return None
        tops[start + used] = found
    some = np.flatnonzero(peak > 0)
    if not len(some):
        return None
    full = _shared(peak[some], tops[some])
    if full is None:
        peak = np.where(peak > 0, peak, np.sort(peak[some] / tops[some])[len(some) // 2])
    else:
        peak, tops = (np.full(len(rows), value) for value in full)
    scales = RowScales(peak, np.full(len(rows), 100.0), MOST_BITS, tops)
    codes = np.empty(rows.shape, np.int8)
    for part, block in blocks(rows):
        near = np.rint(block / scales.floats[part, None])
        if np.abs(near).max(initial=0.0) > largest(MOST_BITS):
            return None
        codes[part] = near
    return scales, codes


def bits_of(codes: Ints) -> int:
    """Bits of symmetric integers with their sign.

    >>> bits_of(np.array([-1, 1])), bits_of(np.array([7])), bits_of(np.array([8]))
    (2, 4, 5)
    """
    size = max(int(codes.max(initial=0)), -int(codes.min(initial=0)))
    return max(2, size.bit_length() + 1)


def _tops(sizes: Floats) -> Floats | None:
    """The smallest number that makes integers of every row of magnitudes up to 1."""
    order = np.argsort(sizes, 1)  # the smallest that are not zero tell most
    zeros = (sizes == 0).sum(1)
    places = np.minimum(zeros[:, None] + np.arange(FIRST), sizes.shape[1] - 1)
    few = np.take_along_axis(sizes, np.take_along_axis(order, places, 1), 1)
    found = np.zeros(len(sizes))
    for top in range(1, largest(MOST_BITS) + 1):
        open_rows = np.flatnonzero(found == 0)
        likely = open_rows[_whole(few[open_rows] * top).all(1)]
        fits = likely[_whole(sizes[likely] * top).all(1)]
        found[fits] = top
        if (found > 0).all():
            return found
    return None


def _whole(values: Floats) -> npt.NDArray[np.bool_]:
    near = np.rint(values)
    found: npt.NDArray[np.bool_] = np.abs(values - near) <= near * NEAR
    found &= (near > 0) | (values == 0)
    return found


def _shared(peak: Floats, tops: Floats) -> tuple[float, float] | None:
    """Peak and top of a row whose scale all others are multiples of, if there is one."""
    scales = peak / tops
    least = int(np.argmin(scales))
    ratios = scales / scales[least]
    if not _whole(ratios).all() or float((tops * np.rint(ratios)).max()) > largest(MOST_BITS):
        return None
    return float(peak[least]), float(tops[least])
