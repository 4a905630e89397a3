"""Codes in integers: the probability of a spike as a limit for the hash."""

from __future__ import annotations

from fractions import Fraction

from snnc import intops, ops
from snnc.exact import ONE, ceiling, floats, leaf
from snnc.graph import Node, Value
from snnc.passes.quantize_rule import Rule
from snnc.passes.quantized_value import Lowered, QValue

#: Bits of the factor between a value and its limit; values of 16 bits leave one to spare.
FACTOR_BITS = 46


def _rate(low: Lowered, node: Node, x: list[QValue]) -> None:
    """The factor is rounded up, so that what is certain stays certain.

    With values of b bits the limit, up to 2**32, is too large by less than ``2**(b - 14)``.
    """
    op, v = node.op, low.uniform(node, low.settled(x[0]))
    assert isinstance(op, ops.RateCode), "called for rate codes only"
    factor = v.unit * leaf(float(1 << 32)) / leaf(op.peak)
    size = float(floats(factor).reshape(()))
    shift = min(max(0, FACTOR_BITS - Fraction(size).__ceil__().bit_length()), 30)
    multiplier = int(ceiling(factor * leaf(float(1 << shift))).reshape(()))
    while shift and not multiplier & 1:
        multiplier, shift = multiplier >> 1, shift - 1
    low.add(node, intops.IntRateCode(op.seed, multiplier, shift), v)
    low.values[node.name, 0] = QValue(Value(node.name), ONE)


#: The rules.
CODE_RULES: dict[type[ops.Op], Rule] = {ops.RateCode: _rate}
