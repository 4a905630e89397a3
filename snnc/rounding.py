"""Rounding right shifts and words on exact Python integers: the definition of every backend.

Source of the formulas: for ``x >> p`` (floor of ``x / 2**p``), Loihi rounds toward zero
(``trunc``); ``half_away`` is symmetric and has no bias.
"""

from __future__ import annotations


def rsh(x: int, shift: int, rounding: str) -> int:
    """Return ``x / 2**shift`` as an integer, rounded as asked.

    >>> [rsh(x, 1, "half_away") for x in (-3, -1, 1, 3)]
    [-2, -1, 1, 2]
    >>> [rsh(x, 1, "trunc") for x in (-3, -1, 1, 3)]
    [-1, 0, 0, 1]
    >>> [rsh(x, 1, "floor") for x in (-3, -1, 1, 3)]
    [-2, -1, 0, 1]
    >>> [rsh(x, 1, "half_up") for x in (-3, -1, 1, 3)]
    [-1, 0, 1, 2]
    >>> [rsh(x, 1, "half_even") for x in (-3, -1, 1, 3)]
    [-2, 0, 0, 2]
    """
    if shift == 0:
        return x
    half = 1 << (shift - 1)
    if rounding == "half_away":
        return (x + half) >> shift if x >= 0 else -((-x + half) >> shift)
    if rounding == "trunc":
        return x >> shift if x >= 0 else -(-x >> shift)
    if rounding == "floor":
        return x >> shift
    if rounding == "half_up":
        return (x + half) >> shift
    if rounding == "half_even":
        q = x >> shift
        r = x - (q << shift)
        return q + (r > half or (r == half and q % 2 == 1))
    raise ValueError(f"unknown rounding {rounding!r}")


def rdiv(x: int, d: int) -> int:
    """Return ``x / d`` as an integer, half away from zero.

    >>> [rdiv(x, 2) for x in (-3, -1, 1, 3)], rdiv(7, -2), rdiv(-7, -3)
    ([-2, -1, 1, 2], -4, 2)
    """
    size = (abs(x) + abs(d) // 2) // abs(d)
    return size if (x < 0) == (d < 0) else -size


def wrap(x: int, bits: int) -> int:
    """A word of Loihi that wraps around: ``x`` plus the multiple of ``2**bits`` that puts it right.

    Its values are above ``-2**(bits-1)`` and up to ``2**(bits-1)``: Lava's LIF (lava-nc 0.10.0,
    fixed point) keeps ``+2**23`` and maps ``-2**23`` to it.

    >>> [wrap(x, 4) for x in (-9, -8, -7, 7, 8, 9, 25)]
    [7, 8, -7, 7, 8, -7, -7]
    """
    half = 1 << (bits - 1)
    return half - ((half - x) % (1 << bits))
