"""Transcendental functions of a value that changes: tables, interpolated in integers.

With ``h = 2**-5`` and ``F`` fractional bits, the argument ``x`` in ``[low, high]`` gives

* the segment ``i = floor((x - low) / h)`` and what is left, ``r = x - low - i*h``;
* ``f(x) = T[i] + rsh(D[i] * r, F - 5)`` with ``T[i] = round(f(low + i*h) * 2**F)`` and
  ``D[i] = T[i+1] - T[i]``.

The largest error of linear interpolation is ``h**2/8 * max|f''|``: 1.2e-5 for the sigmoid, 9.4e-5
for tanh, 1.2e-4 for erf, 1.3e-4 of its value for exp.  The entries are rounded with proof
(``snnc.exact``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.exact import apply, leaf, nearest
from snnc.params import Param, compact
from snnc.passes.kernel_writer import KernelWriter

#: Fractional bits of the distance between two entries.
STEP_BITS = 5


@dataclass(frozen=True, slots=True)
class Curve:
    """A function on ``[low, high]``, outside of which its value at the end is taken.

    That is exact to within a rounding step, but for a ``high`` that is ``steep``: there the
    function goes on growing, and the integers saturate.
    """

    low: int
    high: int
    steep: bool = False


#: ``exp(10)`` is 22,026: with 16 fractional bits it still fits 31 bits.
CURVES = {
    "sigmoid": Curve(-12, 12),
    "tanh": Curve(-7, 7),
    "exp": Curve(-16, 10, steep=True),
    "expm1": Curve(-16, 10, steep=True),
    "erf": Curve(-4, 4),  # 1.5e-8 from its limits there
    "softplus": Curve(-16, 0),  # of -|x|: softplus(x) = max(x, 0) + softplus(-|x|)
}


def tables(w: KernelWriter, fn: str, bits: int) -> tuple[str, str]:
    """Names of ``T`` and ``D`` with ``bits`` fractional bits; beyond the last entry it is flat."""
    curve = CURVES[fn]
    count = (curve.high - curve.low) << STEP_BITS
    grid = curve.low + np.arange(count + 1) / (1 << STEP_BITS)
    values = nearest(apply(fn, leaf(grid)) * leaf(float(1 << bits)))
    slopes = np.append(np.diff(values), 0)
    return w.table(fn, Param(compact(values))), w.table(f"{fn}_step", Param(compact(slopes)))


def on_segment(w: KernelWriter, offset: str, value: str, slope: str, shift: int) -> tuple[str, str]:
    """Two summands: ``T[i]`` and ``D[i] * r >> shift``, for ``offset = i * 2**shift + r``."""
    index = w.emit(w.fresh("_i0"), "rsh", offset, shift=shift, rounding="floor")
    start = w.emit(w.fresh("_l0"), "shl", index, shift=shift)
    rest = w.emit(w.fresh("_r0"), "sub", offset, start)
    base = w.emit(w.fresh("_t0"), "lookup", index, value)
    step = w.emit(w.fresh("_t0"), "lookup", index, slope)
    product = w.emit(w.fresh("_m0"), "mul", step, rest)
    return base, w.emit(w.fresh("_d0"), "rsh", product, shift=shift)


def interpolated(w: KernelWriter, name: str, fn: str, x: str, bits: int) -> None:
    """Write ``name = fn(x)``; argument and value have ``bits`` fractional bits."""
    curve, shift = CURVES[fn], bits - STEP_BITS
    value, slope = tables(w, fn, bits)

    def constant(k: int) -> str:
        return w.const("k", np.array(k))

    top = f"{name}_top" if curve.steep else "_c0"  # a clamp that may act is a named point
    above = w.emit(w.fresh("_c0"), "maximum", x, constant(curve.low << bits))
    inside = w.emit(w.fresh(top), "minimum", above, constant(curve.high << bits))
    offset = w.emit(w.fresh("_o0"), "sub", inside, constant(curve.low << bits))
    w.emit(name, "add", *on_segment(w, offset, value, slope, shift))
