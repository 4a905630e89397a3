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

import numpy as np
import numpy.typing as npt

from snnc.passes.row_scale import RowScales, largest

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Most bits of a grid that is looked for.
MOST_BITS = 8
#: What float32 leaves of ``s * q``, next to it: two roundings, and one of the largest weight.
NEAR = 2.0**-20
#: Weights of every row that are tried first.
FIRST = 8
#: Rows that are tried at once.
ROWS = 64


def grid_of(rows: Floats) -> tuple[RowScales, Ints] | None:
    """Scales and integers of (rows, columns) that are on a grid of at most ``MOST_BITS`` bits.

    None if a row is on none.  A row of zeros gets the median scale of the others.

    >>> scales, codes = grid_of(np.array([[0.25, -0.75, 0.5], [0.5, 0.0, 1.0]]))
    >>> scales.floats.tolist(), codes.tolist()
    ([0.25, 0.25], [[1, -3, 2], [2, 0, 4]])
    """
    peak = np.maximum(rows.max(1, initial=0.0), -rows.min(1, initial=0.0))
    some = np.flatnonzero(peak > 0)
    if not len(some):
        return None
    found = []
    for start in range(0, len(some), ROWS):  # mostly, some of the first rows are on no grid
        part = some[start : start + ROWS]
        if (own := _tops(np.abs(rows[part]) / peak[part, None])) is None:
            return None
        found.append(own)
    tops = np.concatenate(found)
    full = _shared(peak[some], tops)
    if full is None:
        usual = np.sort(peak[some] / tops)[len(some) // 2]
        peaks = _spread(peak[some], some, len(rows), usual)
        scales = RowScales(peaks, np.full(len(rows), 100.0), 0)
        scales = _with_tops(scales, _spread(tops, some, len(rows), 1.0))
    else:
        one, top = full
        scales = RowScales(np.full(len(rows), one), np.full(len(rows), 100.0), 0)
        scales = _with_tops(scales, np.full(len(rows), top))
    codes = np.rint(rows / scales.floats[:, None]).astype(np.int64)
    return (scales, codes) if int(np.abs(codes).max()) <= largest(MOST_BITS) else None


def bits_of(codes: Ints) -> int:
    """Bits of symmetric integers with their sign.

    >>> bits_of(np.array([-1, 1])), bits_of(np.array([7])), bits_of(np.array([8]))
    (2, 4, 5)
    """
    return max(2, int(np.abs(codes).max(initial=0)).bit_length() + 1)


def _with_tops(scales: RowScales, tops: Floats) -> RowScales:
    return RowScales(scales.peak, scales.percent, MOST_BITS, tops)


def _spread(values: Floats, places: Ints, count: int, rest: float) -> Floats:
    found = np.full(count, rest)
    found[places] = values
    return found


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
