"""Two 8-bit weights in a 16-bit word, added by modular arithmetic.

Word ``j`` of a column is ``(w[j] + b) + 256 * (w[j + P] + b)``, P words for up to 2 P outputs; the
offset b makes every byte non-negative.  For n spikes, an event-driven layer keeps two sums of 16
bits per word, both modulo 2**16:

    lo = sum of words          hi = sum of words >> 8

so that ``w[j + P]`` sums to ``hi - b n`` and ``w[j]`` to ``lo - 256 hi - b n``.  Sums wrap, but the
results are exact wherever the true sums lie in [-32768, 32767]: in every case if the sums of a
row's positive and of its negative weights do, else for as many spikes as the largest weight
allows (``PairRows.most``).  Two weights cost one addition and a half instead of two, and a vector
unit works on 16-bit lanes instead of 32-bit ones.  Bytes of small weights are added to each other
before they are taken apart (``PairRows.together``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.c.folds import fold_of
from snnc.backends.c.sums import raw_bounds
from snnc.backends.c.words import Bounds, computed, fits
from snnc.intops import IntConv, IntLinear

#: Rows that are added in one pass over the sums.
PASSES = (12, 6, 3)
#: Counts of spikes up to here are sent as so many spikes.
MOST_REPEATS = 7
_LANES = 8
#: Bytes of weights that a cache of the second level does not hold.
LARGE = 1 << 21
#: Bytes of a tile that it does hold, beside what else is used.
HELD = 1 << 17
#: Least and most words of a tile.  Memory gives long pieces of columns faster than short ones.
_TILE = (128, 512)


@dataclass(frozen=True, slots=True)
class PairRows:
    """The layout of a layer's columns.

    Attributes:
        words: P, a whole number of vectors.
        offset: b.
        together: How many words can be added without a carry between their bytes: 1, 2, 4 or 8.
        most: Spikes after which the sums must be read; 0 if they hold any number.
        ctype: Element type of the layer's value.
        repeats: Largest input; an input of 2 is sent like two spikes.
        tile: Words of every column that are added at once, if not all; else 0.
        spread: Largest byte.
    """

    words: int
    offset: int
    together: int
    most: int
    ctype: str
    repeats: int = 1
    tile: int = 0
    spread: int = 255

    @property
    def fold(self) -> int:
        """How many words share one that is stored."""
        return fold_of(self.spread, self.words)

    @property
    def bits(self) -> int:
        """Width of an input."""
        return self.repeats.bit_length()

    def pack(self, weight: npt.NDArray[Any], spare: int = 0) -> npt.NDArray[np.uint16]:
        """Columns (in + spare, P) of a weight (out, in); absent outputs and spares weigh 0."""
        out, fan_in = weight.shape
        padded = np.full((2 * self.words, fan_in + spare), self.offset, np.uint8)
        padded[:out, :fan_in] += weight.astype(np.uint8)  # modulo 256
        columns = np.empty((fan_in + spare, self.words, 2), np.uint8)
        columns[:, :, 0], columns[:, :, 1] = padded[: self.words].T, padded[self.words :].T
        return columns.view("<u2")[:, :, 0].astype(np.uint16, copy=False)


def tile_words(pairs: PairRows, out: int, fan_in: int) -> int:
    """Words of a tile of a layer whose columns do not stay in the cache; 0: no tiles.

    A tile is a part of every column, and in a block of many spikes a part of the columns
    (``rows_of``).  That takes sums that are read in parts.  Every tile has as many words as every
    other, and no word has only one output.
    """
    words = pairs.words
    if not pairs.most or pairs.fold > 1 or out != 2 * words or 2 * words * fan_in <= LARGE:
        return 0
    sizes = range(_TILE[0], min(_TILE[1], words - 1) + 1, _LANES)
    return max((n for n in sizes if words % n == 0), default=0)


def rows_of(pairs: PairRows) -> int:
    """Columns of a tile that the cache holds."""
    return max(1, HELD // (2 * pairs.tile))


def pair_rows(op: IntLinear | IntConv, x: Bounds, bounds: Bounds) -> PairRows | None:
    """The layout for a layer, or None if its columns cannot be added in pairs.

    Args:
        op: The layer.
        x: Proven interval of its input, in bytes.
        bounds: Proven interval of its output.
    """
    w = op.weight.data
    low, high = min(0, int(w.min())), max(0, int(w.max()))
    if x[0] < 0 or x[1] > MOST_REPEATS or high - low > 255:
        return None
    raw = raw_bounds(op, (0, x[1]))
    shifted = raw[0] << op.shift, raw[1] << op.shift
    if computed(raw, shifted, bounds) != "int32_t":
        return None
    # a small layer gets half a vector: its columns would double otherwise
    lanes = _LANES if len(w) > _LANES else _LANES // 2
    words = -(-len(w) // (2 * lanes)) * lanes
    together = next(n for n in (8, 4, 2, 1) if n * (high - low) <= 255)
    if fits(raw, "int16_t"):
        ctype = "int16_t" if fits(bounds, "int16_t") else "int32_t"
        return PairRows(words, -low, together, 0, ctype, max(1, x[1]), 0, high - low)
    # the sums of so many weights do not leave 16 bits
    most = 32767 // max(-low, high) // 8 * 8
    return PairRows(words, -low, together, most, "int32_t", max(1, x[1]), 0, high - low)
