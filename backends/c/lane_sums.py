"""Sums of two shifted inputs of a neuron in words of 16 bits.

Inputs of one word that are shifted and then added to a membrane, ``d + (x << p) + (y << q)``, cost
a carry each.  With ``z = (x << (p - q)) + y``, ``d + (z << q)`` costs one if z fits a word; and if
only its half does, the high word is that of the half, ``(x << (p - q - 1)) + (y >> 1)``, because
``floor(z / 2) = (x << (p - q - 1)) + floor(y / 2)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from snnc.backends.c.lane import Lane
from snnc.backends.c.words import Bounds, fits

if TYPE_CHECKING:
    from snnc.backends.c.lanes import Lanes


@dataclass(frozen=True, slots=True)
class Raised:
    """A value of one word, and how many bits it is shifted to the left."""

    x: Lane
    shift: int


def joined(lanes: Lanes, a: Raised, b: Raised, note: str) -> Lane | None:
    """``(a.x << a.shift) + (b.x << b.shift)``, or None if that takes more than separate sums."""
    x, y = sorted((a, b), key=lambda r: -r.shift)
    more, shift = x.shift - y.shift, y.shift
    bounds = _scaled_sum(x.x.bounds, x.shift, y.x.bounds, shift)
    if not fits(bounds, "int32_t") or fits(bounds, "int16_t") or not 0 < shift < 15:
        return None
    whole = _scaled_sum(x.x.bounds, more, y.x.bounds, 0)
    if fits(whole, "int16_t"):
        z = lanes.word(f"{_raised(lanes, x.x.low, more, note)} + {y.x.low}", f"{note}_z")
        return lanes.raised(Lane(z, "", whole), shift, bounds, note)
    low_half = y.x.bounds[0] // 2, y.x.bounds[1] // 2
    if more == 0 or not fits(_scaled_sum(x.x.bounds, more - 1, low_half, 0), "int16_t"):
        return None
    floor = lanes.word(f"SNN_FLOOR({y.x.low}, 1)", f"{note}_f")
    half = lanes.word(f"{_raised(lanes, x.x.low, more - 1, note)} + {floor}", f"{note}_half")
    lows = [_raised(lanes, r.x.low, r.shift, note) for r in (x, y)]
    low = lanes.word(" + ".join(lows), f"{note}_z")
    return Lane(low, lanes.word(f"SNN_FLOOR({half}, {15 - shift})", f"{note}_zh"), bounds)


def _raised(lanes: Lanes, low: str, shift: int, note: str) -> str:
    return lanes.word(f"(uint32_t){low} << {shift}", f"{note}_x") if shift else low


def _scaled_sum(x: Bounds, up: int, y: Bounds, also: int) -> Bounds:
    return (x[0] << up) + (y[0] << also), (x[1] << up) + (y[1] << also)
