"""Units that are small multiples of one number: sums over windows of different sizes.

An average over windows of 4, 6 and 9 elements has units of 1/4, 1/6 and 1/9, which are 9, 6 and 4
times 1/36.  Multiplying the sums by such whole numbers brings them to one unit and loses nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: The largest multiple of the smallest unit's own measure.
_MOST_PARTS = 1 << 12
_LARGEST = 1 << 15
#: Relative error of a share that a model keeps as a float32.
_CLOSE = 2.0**-22


def multiples(units: Floats, axes: tuple[int, ...]) -> tuple[Ints, Floats] | None:
    """Whole numbers n and units u that do not change along ``axes``, with ``units = n * u``.

    ``u`` is the smallest unit along ``axes``, divided by the same whole number everywhere.

    >>> n, u = multiples(np.array([1 / 4, 1 / 6, 1 / 9]), (0,))
    >>> n.tolist(), float(u[0]) == 1 / 36
    ([9, 6, 4], True)

    Returns:
        None if there are no such numbers up to ``2**15``, or a unit is not positive.
    """
    if not (units > 0).all():
        return None
    least = units.min(axes, keepdims=True)
    share = units / least
    different = np.unique(share)
    for parts in range(1, int(min(_MOST_PARTS, _LARGEST / different[-1])) + 1):
        counts = different * parts
        if (np.abs(counts - np.rint(counts)) <= _CLOSE * counts).all():
            return np.rint(share * parts).astype(np.int64), least / parts
    return None
