"""Roots, logarithms and angles of a value that changes, as lines of an integer kernel.

With ``F`` fractional bits and ``x = n * 2**-F``:

* ``sqrt(x)`` is ``round(sqrt(n * 2**F))``, from the integer root of four times the number;
* ``log(x) = e * log 2 + log(m)`` with ``n = m * 2**e`` and ``m`` in [1, 2): shifts by constant
  amounts bring ``n`` there, each if a comparison says so, and ``log(m)`` is an interpolated table;
* ``sin(x)`` counts turns of ``2 pi`` in ``2**-24``, keeps what is left of the whole ones (``wrap``)
  and interpolates one turn.

Both tables have an entry per ``h``; the error is ``h**2/8 * max|f''|``: 7.6e-6 of the logarithm,
1.9e-5 of sine and cosine.  Where the argument of a root or logarithm is not in its domain, the
nearest that is takes its place; ``drop-clamps`` warns unless that is proven not to happen.
"""

from __future__ import annotations

import math

import numpy as np

from snnc.exact import Expr, apply, leaf, nearest
from snnc.params import Param, compact
from snnc.passes.fixed_values import Fixed, FixedWriter, Operand, power
from snnc.passes.function_tables import on_segment
from snnc.passes.kernel_writer import KernelWriter

#: Suffix of a clamp that keeps an argument in its domain.
LEAST = "_least"
#: A mantissa in [1, 2) is a number from ``2**30`` to ``2**31``.
_MANTISSA_BITS = 30
#: Table entries per octave and per turn, as powers of two.
_LOG_BITS, _TURN_BITS = 7, 9
#: Fractional bits of an angle in turns.
_ANGLE_BITS = 24


def square_root(low: FixedWriter, name: str, a: Operand) -> Fixed:
    """``sqrt(a)``, rounded to the nearest step."""
    x, w = low.fixed(a, low.full), low.w
    positive = w.emit(w.fresh(f"{name}{LEAST}"), "maximum", x.name, _constant(w, 0))
    wide = w.emit(w.fresh("_l0"), "shl", positive, shift=low.full + 2)
    root = w.emit(w.fresh("_q0"), "isqrt", wide)
    return Fixed(w.emit(name, "rsh", root, shift=1, rounding="half_up"), low.full)


def logarithm(low: FixedWriter, name: str, a: Operand) -> Fixed:
    """``log(a)``."""
    x, w = low.fixed(a, low.full), low.w
    m = w.emit(w.fresh(f"{name}{LEAST}"), "maximum", x.name, _constant(w, 1))
    exponent = _constant(w, 0)
    for fn, sign in (("rsh", 1), ("shl", -1)):  # into [2**30, 2**31): down, then up
        for shift in (16, 8, 4, 2, 1):
            edge = _MANTISSA_BITS + shift if sign > 0 else _MANTISSA_BITS + 1 - shift
            asks = "ge" if sign > 0 else "lt"
            there = w.emit(w.fresh("_p0"), asks, m, _constant(w, 1 << edge))
            rounding = "floor" if fn == "rsh" else ""
            moved = w.emit(w.fresh("_l0"), fn, m, shift=shift, rounding=rounding)
            m = w.emit(w.fresh("_b0"), "select", there, moved, m)
            count = w.emit(w.fresh("_e0"), "add", exponent, _constant(w, sign * shift))
            exponent = w.emit(w.fresh("_b0"), "select", there, count, exponent)
    rest = w.emit(w.fresh("_o0"), "sub", m, _constant(w, 1 << _MANTISSA_BITS))
    grid = 1 + np.arange((1 << _LOG_BITS) + 1) / (1 << _LOG_BITS)
    part = _interpolated(low, "log", apply("log", leaf(grid)), rest, _MANTISSA_BITS - _LOG_BITS)
    octaves = w.emit(w.fresh("_a0"), "add", exponent, _constant(w, _MANTISSA_BITS - low.full))
    two = nearest(apply("log", leaf(2.0)) * power(low.full + 8))
    product = w.emit(w.fresh("_m0"), "mul", octaves, w.const("ln2", two))
    whole = w.emit(w.fresh("_d0"), "rsh", product, shift=8)
    return Fixed(w.emit(name, "add", whole, part), low.full)


def sine(low: FixedWriter, name: str, a: Operand, fn: str) -> Fixed:
    """``sin(a)`` or ``cos(a)``; ``fn`` says which."""
    x, w = low.fixed(a, low.full), low.w
    shift = low.full + 8
    turns = nearest(power(shift + _ANGLE_BITS - low.full) / leaf(2 * math.pi))
    product = w.emit(w.fresh("_m0"), "mul", x.name, w.const("turn", turns))
    angle = w.emit(w.fresh("_d0"), "rsh", product, shift=shift)
    inside = w.emit(w.fresh("_w0"), "wrap", angle, shift=_ANGLE_BITS)
    offset = w.emit(w.fresh("_o0"), "add", inside, _constant(w, 1 << (_ANGLE_BITS - 1)))
    grid = (np.arange((1 << _TURN_BITS) + 1) / (1 << _TURN_BITS) - 0.5) * (2 * math.pi)
    curve = apply(fn, leaf(grid))
    part = _interpolated(low, fn, curve, offset, _ANGLE_BITS - _TURN_BITS)
    return Fixed(w.emit(name, "copy", part), low.full)


def wrapped(low: FixedWriter, name: str, a: Operand, limit: Operand) -> Fixed:
    """``a`` plus the multiple of ``2 * limit`` that puts it into ``(-limit, limit]``."""
    if not isinstance(limit, Expr):
        raise low.failure("only a wrap at a constant has a fixed-point form")
    x, w = low.fixed(a, low.full), low.w
    half = nearest(limit * power(low.full))
    if (half <= 0).any():
        raise low.failure("a wrap at a limit that is not positive")
    first = int(half.reshape(-1)[0])
    if (half == first).all() and first & (first - 1) == 0:
        return Fixed(w.emit(name, "wrap", x.name, shift=first.bit_length()), low.full)
    period = w.const("period", 2 * half)
    times = w.emit(w.fresh("_q0"), "div", x.name, period)
    product = w.emit(w.fresh("_m0"), "mul", times, period)
    rest = w.emit(w.fresh("_a0"), "sub", x.name, product)  # within ±limit, ties away from zero
    top, bottom = w.const("k", half), w.const("k", -half)
    low_end = w.emit(w.fresh("_p0"), "le", rest, bottom)
    value = w.emit(w.fresh("_b0"), "select", low_end, top, rest)
    above = w.emit(w.fresh("_c0"), "maximum", value, bottom)  # for the proof of the range
    return Fixed(w.emit(name, "minimum", above, top), low.full)


def _constant(w: KernelWriter, k: int) -> str:
    return w.const("k", np.array(k))


def _interpolated(low: FixedWriter, fn: str, values: Expr, offset: str, shift: int) -> str:
    """``T[i] + D[i] * r`` for ``offset = i * 2**shift + r``; one entry more than segments."""
    w = low.w
    entries = nearest(values * power(low.full))
    slopes = np.append(np.diff(entries), 0)
    value, slope = (
        w.table(fn, Param(compact(entries))),
        w.table(f"{fn}_step", Param(compact(slopes))),
    )
    base, part = on_segment(w, offset, value, slope, shift)
    return w.emit(w.fresh("_a0"), "add", base, part)
