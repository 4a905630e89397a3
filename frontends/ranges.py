"""Range and grid of the values of an input."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Grids that real data lie on: counts, 8-bit images, 4-bit digits, dyadic fractions.
GRIDS = (
    1.0,
    *(2.0**-k for k in range(1, 4)),
    1 / 15,
    *(2.0**-k for k in range(4, 8)),
    1 / 127,
    1 / 255,
    *(2.0**-k for k in range(8, 13)),
)

#: Largest multiple of the grid step that counts as being on the grid.
LARGEST = 255 * 256


def observed(values: npt.ArrayLike) -> tuple[float, float, float]:
    """(lo, hi, step) of the values; step is 0 if they are on no grid.

    >>> observed(np.float32([0, 3 / 255, 1]))
    (0.0, 1.0, 0.00392156862745098)
    >>> observed([0.0, 0.5, 0.123456])[2]
    0.0
    """
    x = np.asarray(values, np.float32)
    if x.size == 0 or not np.isfinite(x).all():
        return 0.0, 1.0, 0.0
    lo, hi = float(x.min()), float(x.max())
    for step in GRIDS:
        k = np.rint(x.astype(np.float64) / step)
        if np.abs(k).max() <= LARGEST:
            whole = np.float32(round(1 / step))
            on_grid = (k * step).astype(np.float32) == x
            if (on_grid | (k.astype(np.float32) / whole == x)).all():
                return lo, hi, step
    return lo, hi, 0.0
