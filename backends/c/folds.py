"""Weights of 4 and 2 bits at their own width: several words of pairs in one word.

Bytes of small weights (``packing``) leave half or three quarters of their bits unused.  Words of
one column, ``1 / fold`` of the column apart, share a word: bits 0-3 of both bytes belong to the
first, bits 4-7 to the second.  A shift and a mask take them apart again, and many of them can be
added before their bytes overflow.  That costs little where columns come from the innermost cache,
and saves more than it costs where they do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from snnc.backends.c.packing import PairRows

#: Words of the smallest vector.
_LANES = 8


def fold_of(spread: int, words: int) -> int:
    """How many of so many words share one, for bytes from 0 to ``spread``: 1, 2 or 4."""
    for fold, most in ((4, 3), (2, 15)):
        if spread <= most and words % (fold * _LANES) == 0:
            return fold
    return 1


def folded(columns: npt.NDArray[np.uint16], fold: int) -> npt.NDArray[np.uint16]:
    """Columns (..., words) as (..., words / fold)."""
    parts = columns.reshape(*columns.shape[:-1], fold, -1)
    shifts = (np.arange(fold, dtype=np.uint16) * (8 // fold))[:, None]
    found: npt.NDArray[np.uint16] = np.bitwise_or.reduce(parts << shifts.astype(np.uint16), -2)
    return found


def added(pairs: PairRows, size: int, words: list[str], is_start: bool) -> list[str]:
    """Statements that add stored words to element ``j`` of ``lo`` and ``hi``, or start with them.

    Args:
        pairs: The layout.
        size: Stored words of a column.
        words: C expressions of words from 0 to 65535.
        is_start: Whether nothing has been added yet.
    """
    if pairs.fold > 1:
        parts = [
            _sums(f"x{k}", f"j + {k * size}u" if k else "j", is_start) for k in range(pairs.fold)
        ]
        totals = [f"const uint16_t x{k} = (uint16_t)({_part(pairs, words, k)});"
                  for k in range(pairs.fold)]  # fmt: skip
        return [*totals, *(line for part in parts for line in part)]
    each = min(pairs.together, len(words))
    if each == 1:
        return _sums(" + ".join(words), "j", is_start, " + ".join(f"({x} >> 8)" for x in words))
    groups = [" + ".join(words[k : k + each]) for k in range(0, len(words), each)]
    lines = [f"const uint16_t x{k} = (uint16_t)({group});" for k, group in enumerate(groups)]
    words = [f"x{k}" for k in range(len(groups))]
    high = " + ".join(f"({x} >> 8)" for x in words)
    return [*lines, *_sums(" + ".join(words), "j", is_start, high)]


def _part(pairs: PairRows, words: list[str], k: int) -> str:
    """The sum of one of the words that share each of these; no byte overflows.

    The last is taken without a mask: what is above it are the high bytes of the others, which are
    known by then, times 2 to the width of a byte's part and so on.
    """
    mask, shift = (0x0F0F, 4) if pairs.fold == 2 else (0x0303, 2)
    if k < pairs.fold - 1:
        return " + ".join(f"(({w} >> {shift * k}) & {mask}u)" if k else f"({w} & {mask}u)"
                          for w in words)  # fmt: skip
    above = (f"((x{n} >> 8) << {shift * (n + 1)})" for n in range(k))
    return " + ".join(f"({w} >> {shift * k})" for w in words) + f" - {' - '.join(above)}"


def _sums(low: str, at: str, is_start: bool, high: str = "") -> list[str]:
    high = high or f"({low} >> 8)"
    old = ("", "") if is_start else (f"lo[{at}] + ", f"hi[{at}] + ")
    return [f"lo[{at}] = (uint16_t)({old[0]}{low});", f"hi[{at}] = (uint16_t)({old[1]}{high});"]
