"""Normalizations of one sample at one step in integers.

A normalization does not depend on the unit ``U`` of its operand, but for ``eps``: against the
squares of ``n U``-multiples it is ``eps n² / U²`` (``eps / U²`` without the mean).
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from snnc import intops, ops
from snnc.diagnostics import error
from snnc.exact import ONE, floats, leaf, nearest
from snnc.graph import Node, Value
from snnc.params import Param, compact
from snnc.passes.quantize_rule import Rule
from snnc.passes.quantized_value import Lowered, QValue

#: Significant bits of the elements that are squared, and more bits of their mean's root.
ELEMENT_BITS, ROOT_GUARD = 24, 6
#: Fractional bits of a value whose largest gain is at least 1 and below 2.
VALUE_BITS = 14
#: Bits of the ``eps`` that is compared with squares.
EPS_BITS = 60


def _norm(low: Lowered, node: Node, x: list[QValue]) -> None:
    op = node.op
    assert isinstance(op, ops.LayerNorm | ops.RMSNorm), "called for normalizations only"
    if x[0].per_step:
        text = f"{node.name} normalizes a mean over time"
        hint = "divide by a number of steps that the model fixes, or normalize the sum"
        low.problems.append(error("E224", text, node.loc, help=hint))
        return
    v = low.uniform(node, low.settled(x[0]))
    n = prod(node.type.shape[-op.axes :])
    bits = min(ELEMENT_BITS, (61 - n.bit_length()) // 2)
    centered = isinstance(op, ops.LayerNorm)
    eps = leaf(op.eps) * leaf(float(n * n if centered else 1)) / (v.unit * v.unit)
    lift = bits - 1
    if op.eps:
        size = int(np.frexp(float(floats(eps)))[1])  # eps < 2**size
        lift = min(lift, (EPS_BITS - size) // 2 - ROOT_GUARD)
    scaled = eps * leaf(2.0 ** (2 * (ROOT_GUARD + lift)))
    gain = np.ones(()) if op.weight is None else op.weight.data.astype(np.float64)
    exponent = int(np.frexp(np.abs(gain).max(initial=0.0))[1]) if gain.any() else 1
    fraction = min(max(VALUE_BITS + 1 - exponent, 0), 40)
    fine = leaf(2.0**fraction)
    gains = Param(compact(nearest(leaf(gain) * fine)))
    bias = op.bias if isinstance(op, ops.LayerNorm) else None
    offset = None
    if bias is not None and bias.data.any():
        offset = Param(compact(nearest(leaf(bias.data) * fine)))
    make = intops.IntLayerNorm if centered else intops.IntRMSNorm
    low.add(node, make(op.axes, gains, offset, int(nearest(scaled)), lift, bits, ROOT_GUARD), v)
    low.values[node.name, 0] = QValue(Value(node.name), ONE / fine)
    if op.weight is not None:
        rounded = Param(gains.data.astype(np.float64) / 2.0**fraction)
        low.fake.replace(replace(node, op=replace(op, weight=rounded)))
    low.ctx.note(node.name, fraction_bits=fraction, element_bits=bits)


#: The rules.
NORM_RULES: dict[type[ops.Op], Rule] = {ops.LayerNorm: _norm, ops.RMSNorm: _norm}
