"""Normalizations of one sample at one step."""

from __future__ import annotations

from math import prod

import numpy as np

from snnc.backends.onnx.arithmetic import isqrt, power, rdiv
from snnc.backends.onnx.block import BOOL, INT64, Block, V
from snnc.backends.onnx.emitter import Site, Writer
from snnc.int_norm_ops import IntLayerNorm


def bit_length(b: Block, x: V) -> V:
    """Number of bits of int64 (..., 1) that are not negative, with the same axes."""
    reached = b.binary("GreaterOrEqual", x, np.array([1 << n for n in range(63)]))
    return b.reduce("ReduceSum", b.cast(reached, INT64), [-1], True)


def norm(site: Site) -> V:
    """``y_i = (e_i * 2**guard * gain_i) / R + offset_i``: see ``snnc.int_norm_ops``."""
    b, op, shape = site.b, site.op, site.shapes[0]
    head = shape[: len(shape) - op.axes]
    n = prod(shape[len(head) :])
    x = b.reshape(site.whole(), [*head, n])
    d = x
    if isinstance(op, IntLayerNorm):
        d = b.sub(b.mul(x, n), b.reduce("ReduceSum", x, [-1], True))
    largest = b.reduce("ReduceMax", b.op("Abs", d), [-1], True)
    t = b.add(bit_length(b, largest), op.lift - op.bits)
    t = b.binary("Max", t, 0)
    e = _scaled(b, d, b.sub(t, op.lift))
    squares = b.reduce("ReduceSum", b.mul(e, e), [-1], True)
    q = b.binary("Div", b.add(squares, n // 2), n)
    halvings = b.binary("Min", b.mul(t, 2), 62)
    eps = b.op("Div", b.constant(op.eps), power(b, halvings))
    # |e| has at most ``bits`` bits, or one more after rounding
    top = (1 << (2 * (op.bits + op.guard) + 2)) + op.eps
    square = b.add(b.mul(q, 1 << (2 * op.guard)), eps)
    root = b.binary("Max", isqrt(b, square, min(top, 1 << 62)), 1)
    y = rdiv(b, b.mul(b.mul(e, 1 << op.guard), op.gain.data.reshape(-1)), root)
    if op.offset is not None:
        y = b.add(y, op.offset.data.reshape(-1))
    return b.reshape(y, shape)


def _scaled(b: Block, x: V, shift: V) -> V:
    """``x / 2**shift`` rounded half away from zero; negative shifts multiply."""
    right = power(b, b.binary("Max", shift, 0))
    left = power(b, b.binary("Max", b.op("Neg", shift), 0))
    half = b.binary("Div", right, 2)
    size = b.op("Div", b.add(b.op("Abs", x), half), right)
    below = b.binary("Less", x, 0)
    assert below.type == BOOL, "comparisons give truth values"
    return b.mul(b.where(below, b.op("Neg", size), size), left)


#: The operators, by name.
NORMS: dict[str, Writer] = {"IntLayerNorm": norm, "IntRMSNorm": norm}
