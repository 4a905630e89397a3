"""Matrix products and layers whose sums are exact, so that no order of additions shows.

A BLAS adds in an order of its own, which changes with the processor, its version and the number of
threads, and with it the last bits.  Here factors are first rounded to so few bits that every sum
of products is a whole number below ``2**53`` of some power of two: float64 adds those exactly in
any order.  What remains (element-wise IEEE operations, square roots) is the same everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.backends.float_layers import layer
from snnc.params import Param
from snnc.passes.weight_rows import Spread, Weighted

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

#: Whole numbers below ``2**MANTISSA`` are added exactly.
MANTISSA = 52
#: Bits of a layer's inputs that are no small whole numbers.
ANALOG_BITS = 22
#: Whole numbers of so many bits enter a layer as they are.
WHOLE_BITS = 12


def product(a: Floats, b: Floats) -> Floats:
    """``a @ b`` with an error of about ``2**-40`` of the largest entries, the same everywhere.

    Both are split into two parts; three products of parts are exact.

    Args:
        a: (m, k); the rows may have very different magnitudes.
        b: (k, n); so may the columns.
    """
    bits = (MANTISSA - max(1, a.shape[1]).bit_length()) // 2
    high_a, low_a, exponent_a = _split(a, bits, 1)
    high_b, low_b, exponent_b = _split(b, bits, 0)
    y = high_a @ high_b + np.ldexp(high_a @ low_b + low_a @ high_b, -bits)
    out: Floats = np.ldexp(y, exponent_a + exponent_b - 2 * bits)
    return out


def _split(x: Floats, bits: int, axis: int) -> tuple[Floats, Floats, npt.NDArray[np.int32]]:
    """Whole numbers ``high + low * 2**-bits`` of at most ``bits`` bits each, and their exponent."""
    exponent = np.frexp(np.abs(x).max(axis, initial=0.0, keepdims=True))[1]
    scaled = np.ldexp(x, bits - exponent)
    high = np.rint(scaled)
    return high, np.rint(np.ldexp(scaled - high, bits)), exponent


class ExactLayers:
    """Applies real layers; inputs and weights are rounded so far that sums are exact."""

    def __init__(self) -> None:
        self._rounded: dict[tuple[int, int], tuple[Param, Weighted]] = {}

    def __call__(self, op: ops.Op, x: list[Array]) -> Array:
        """Like ``snnc.backends.float_layers.layer``, in float64."""
        if not isinstance(op, Weighted) or isinstance(op, ops.DelayLinear):
            return layer(op, x)
        grid, bits = on_grid(x[0])
        return layer(self._weights(op, bits), [grid])

    def _weights(self, op: Weighted, bits: int) -> Weighted:
        terms = op.weight.data.size // (op.weight.shape[1 if isinstance(op, Spread) else 0] or 1)
        room = MANTISSA - bits - max(1, terms).bit_length()
        key = (id(op.weight), room)
        if key not in self._rounded:
            weight = op.weight.data.astype(np.float64)
            rounded = Param(rounded_to(weight, room))
            self._rounded[key] = op.weight, replace(op, weight=rounded)
        return replace(self._rounded[key][1], bias=op.bias)


def on_grid(x: Array) -> tuple[Array, int]:
    """The array on a grid of a power of two, and the bits of its largest multiple."""
    peak = float(np.abs(x).max(initial=0.0))
    if peak < 1 << WHOLE_BITS and bool((np.rint(x) == x).all()):
        return x, int(peak).bit_length()
    return rounded_to(x, ANALOG_BITS), ANALOG_BITS + 1


def rounded_to(x: Array, bits: int) -> Array:
    """Multiples of a power of two, the largest of about ``2**bits``."""
    peak = float(np.abs(x).max(initial=0.0))
    shift = bits - int(np.frexp(peak)[1])
    return np.asarray(np.ldexp(np.rint(np.ldexp(x, shift)), -shift))
