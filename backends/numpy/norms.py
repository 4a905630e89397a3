"""Normalizations of one sample at one step, on int64 arrays with the batch first."""

from __future__ import annotations

import numpy as np

from snnc.backends.numpy.arithmetic import isqrt, rdiv
from snnc.backends.numpy.program import Array, Operator, Program, Record


def bit_length(x: Array) -> Array:
    """Number of bits of integers that are not negative."""
    return np.asarray(((x[..., None] >> np.arange(63)) > 0).sum(-1))


def scaled(x: Array, shift: Array) -> Array:
    """``x / 2**shift`` rounded half away from zero; negative shifts multiply."""
    right, left = np.maximum(shift, 0), np.maximum(-shift, 0)
    size = (np.abs(x) + ((1 << right) >> 1)) >> right
    return np.asarray(np.where(x < 0, -size, size) << left)


def normalize(program: Program, node: Record, operands: list[Array]) -> Array:
    """``y_i = (e_i * 2**guard * gain_i) / R + offset_i``.

    ``e`` is ``d``, multiplied by ``2**lift`` and brought to ``bits`` bits: divided by ``2**t``;
    ``R = max(1, isqrt(q * 4**guard + (eps >> 2t)))`` with ``q`` the rounded mean of ``e²``.
    ``d = n x - sum of x`` for IntLayerNorm, ``d = x`` for IntRMSNorm.
    """
    a, shape = node["attributes"], operands[0].shape
    x = operands[0].reshape(*shape[: len(shape) - a["axes"]], -1)
    n = x.shape[-1]
    d = n * x - x.sum(-1, keepdims=True) if node["op"] == "IntLayerNorm" else x
    t = bit_length(np.abs(d).max(-1, keepdims=True)) + (a["lift"] - a["bits"])
    t = np.maximum(t, 0)
    e = scaled(d, t - a["lift"])
    q = ((e * e).sum(-1, keepdims=True) + n // 2) // n
    root = np.maximum(1, isqrt((q << 2 * a["guard"]) + (a["eps"] >> np.minimum(2 * t, 62))))
    gain = program.param(a["gain"]).reshape(-1)
    y = rdiv((e << a["guard"]) * gain, root)
    if a["offset"] is not None:
        y = y + program.param(a["offset"]).reshape(-1)
    return np.asarray(y.reshape(shape))


#: The operators, by name.
NORMS: dict[str, Operator] = {"IntLayerNorm": normalize, "IntRMSNorm": normalize}
