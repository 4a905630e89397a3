"""Shifts, divisions and roots in integer operators of ONNX.

ONNX shifts unsigned integers alone: signed ones are moved up first, by a multiple of what they are
divided by, and moved down again.
"""

from __future__ import annotations

from snnc.backends.onnx.block import INT32, INT64, UINT64, Block, V

#: Values from ``-OFFSET`` on can be shifted.
OFFSET = 1 << 62


def rsh(b: Block, x: V, shift: int, rounding: str) -> V:
    """``snnc.rounding``'s ``x / 2**shift``, of int64 or int32, which becomes int64 meanwhile."""
    if shift == 0:
        return x
    if x.type == INT32:
        return b.cast(rsh(b, b.cast(x, INT64), shift, rounding), INT32)
    half, offset = 1 << (shift - 1), OFFSET if x.bounds[0] < 0 else 0
    if rounding == "half_even":
        odd = b.binary("BitwiseAnd", _floor(b, x, shift, offset), 1)
        return _floor(b, b.add(x, odd), shift, offset, half - 1)
    if rounding == "half_up":
        return _floor(b, x, shift, offset, half)
    if rounding == "floor" or (rounding == "trunc" and x.bounds[0] >= 0):
        return _floor(b, x, shift, offset)
    if rounding == "trunc":
        below = b.binary("Less", x, 0)
        up = b.where(below, b.constant((1 << shift) - 1), b.constant(0))
        return _floor(b, b.add(x, up), shift, offset)
    if rounding != "half_away":
        raise ValueError(f"unknown rounding {rounding!r}")
    if x.bounds[0] < 0:
        x = b.sub(x, b.cast(b.binary("Less", x, 0), INT64))
    return _floor(b, x, shift, offset, half)


def _floor(b: Block, x: V, shift: int, offset: int, more: int = 0) -> V:
    """``(x + more) >> shift``, if ``x + more + offset`` is not negative."""
    if offset + more:
        x = b.add(x, offset + more)
    high = b.cast(x, UINT64)
    y = b.cast(b.op("BitShift", high, b.constant(shift, UINT64), direction="RIGHT"), INT64)
    return b.sub(y, offset >> shift) if offset else y


def rdiv(b: Block, x: V, d: V) -> V:
    """``x / d`` of int64 rounded half away from zero."""
    size = b.op("Abs", d)
    half = b.binary("Div", size, 2)
    quotient = b.binary("Div", b.add(b.op("Abs", x), half), size)
    same = b.op("Equal", b.binary("Less", x, 0), b.binary("Less", d, 0))
    return b.where(same, quotient, b.op("Neg", quotient))


def isqrt(b: Block, x: V, top: int) -> V:
    """``floor(sqrt(x))`` of int64 from 0 to ``top``: one bit of the root after the other."""
    root: V | None = None
    for bit in reversed(range(max(1, (top.bit_length() + 1) // 2))):
        more = b.constant(1 << bit) if root is None else b.add(root, 1 << bit)
        fits = b.binary("LessOrEqual", b.mul(more, more), x)
        root = b.where(fits, more, b.constant(0) if root is None else root)
    assert root is not None, "a root has at least one bit"
    return root


def power(b: Block, exponent: V) -> V:
    """``2**exponent`` of int64 from 0 to 62."""
    return b.op("Gather", b.constant([1 << n for n in range(63)]), exponent, axis=0, type=INT64)


def wrap(b: Block, x: V, bits: int) -> V:
    """Words of ``bits`` bits that end at ``+2**(bits-1)``, of int64."""
    top = b.constant(1 << (bits - 1))
    return b.sub(top, b.binary("BitwiseAnd", b.sub(top, x), (1 << bits) - 1))
