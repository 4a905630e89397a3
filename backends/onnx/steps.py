"""Operators that know the number of the step."""

from __future__ import annotations

from math import prod

import numpy as np

from snnc.backends.onnx.arithmetic import rsh
from snnc.backends.onnx.block import INT64, Array, Block, V
from snnc.backends.onnx.emitter import Site, Writer

_WORD = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9


def _row(site: Site, values: Array) -> V:
    """A row of a constant (T, ...): that of the step."""
    assert site.now is not None, "there are steps in loops alone"
    rows = site.b.constant(values)
    return site.b.op("Gather", rows, site.now, axis=0)


def table(site: Site) -> V:
    """``y[t] = values[t]``."""
    return site.b.op("Unsqueeze", _row(site, site.op.values.data), site.b.constant([0]))


def step_rescale(site: Site) -> V:
    """``y[t] = rsh(x[t] * multiplier[t], shift, rounding) + bias[t]``."""
    b, op = site.b, site.op
    product = b.mul(site.whole(), _row(site, op.multiplier.data.astype(np.int64)))
    y = rsh(b, product, op.shift, op.rounding)
    return y if op.bias is None else b.add(y, _row(site, op.bias.data.astype(np.int64)))


def rate_code(site: Site) -> V:
    """``s[t] = [h(seed, t, i) < floor(x * multiplier / 2**shift)]``: see ``snnc.code_ops``."""
    b, op = site.b, site.op
    assert site.now is not None, "there are steps in loops alone"
    key = b.mul(b.add(site.now, 1), _GOLDEN)
    key = _mixed(b, b.binary("BitwiseAnd", b.add(key, op.seed), _WORD))
    places = np.arange(prod(site.shape), dtype=object) * _GOLDEN % (1 << 32)
    dice = _mixed(
        b, b.binary("BitwiseXor", b.constant(places.astype(np.int64).reshape(1, *site.shape)), key)
    )
    limit = rsh(b, b.mul(site.whole(), op.multiplier), op.shift, "floor")
    return b.cast(b.binary("Less", dice, limit), INT64)


def _mixed(b: Block, n: V) -> V:
    """``snnc.backends.numpy.coding.mix`` of 32-bit numbers, in products of 63 bits at most."""
    n = _folded(b, n, 16)
    n = _times(b, n, 0x7FEB352D)
    n = _folded(b, n, 15)
    n = _times(b, n, 0x846CA68B)
    return _folded(b, n, 16)


def _folded(b: Block, n: V, shift: int) -> V:
    return b.op("BitwiseXor", n, b.binary("Div", n, 1 << shift))


def _times(b: Block, n: V, factor: int) -> V:
    """``n * factor`` modulo ``2**32``: the highest bit of the factor by itself."""
    y = b.mul(n, factor & 0x7FFFFFFF)
    if factor >> 31:
        high = b.mul(b.binary("BitwiseAnd", n, 1), 1 << 31)
        y = b.add(b.binary("BitwiseAnd", y, _WORD), high)
    return b.binary("BitwiseAnd", y, _WORD)


#: The operators, by name.
STEPS: dict[str, Writer] = {
    "IntStepTable": table,
    "IntStepRescale": step_rescale,
    "IntRateCode": rate_code,
}
