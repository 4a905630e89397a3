"""Products of computed matrices, and softmax, in integers.

A product's unit is the product of the units, which may differ between rows of the first matrix
and between columns of the second, not along what is summed.  Spikes and counts are multiplied
exactly; operands that are so wide that their products would not fit are rounded to fewer bits.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from snnc import intops, ops
from snnc.diagnostics import error
from snnc.exact import ONE, Ints, apply, floats, leaf, nearest, signs
from snnc.graph import Node, Value
from snnc.params import Param, compact
from snnc.passes.early_ranges import largest
from snnc.passes.quantize_network import is_constant
from snnc.passes.quantize_rule import Rule
from snnc.passes.quantized_value import Lowered, QValue

#: Bits of a sum of products, before and after it is rounded: a consumer multiplies it again.
SUM_BITS, PRODUCT_BITS = 58, 44
#: Fractional bits of an exponent to base 2, of a power of 2, and of a weight of a softmax.
FRACTION_BITS, TABLE_BITS, WEIGHT_BITS = 8, 15, 15
#: Significant bits of the factor from logits to exponents, and the most that it is shifted by.
FACTOR_BITS, MOST_SHIFT = 24, 48


def _matmul(low: Lowered, node: Node, x: list[QValue]) -> None:
    if _is_mean(low, node, x):
        return
    ranks = [len(low.out.type_of(v.value).shape) for v in x]
    a = low.uniform(node, low.settled(x[0]), (ranks[0] - 1,))
    b = low.uniform(node, low.settled(x[1]), (ranks[1] - 2,))
    terms = low.out.type_of(a.value).shape[-1].bit_length()
    a, b = _narrowed(low, node, a, b, SUM_BITS - terms)
    sizes = [largest(low, v) for v in (a, b)]
    known = [s.bit_length() for s in sizes if s is not None]
    shift = max(0, sum(known) + terms - PRODUCT_BITS) if len(known) == 2 else 0
    low.add(node, intops.IntMatmul(shift, low.profile.rounding), a, b)
    unit = a.unit * b.unit * leaf(float(1 << shift))
    low.values[node.name, 0] = QValue(Value(node.name), unit)
    if shift:
        low.ctx.note(node.name, dropped_bits=shift)


def _narrowed(low: Lowered, node: Node, a: QValue, b: QValue, room: int) -> tuple[QValue, QValue]:
    """The operands with ``room`` bits together, taken from the wider one first."""
    sizes = [largest(low, v) for v in (a, b)]
    bits = [0 if s is None else s.bit_length() for s in sizes]
    excess = sum(bits) - room
    if excess <= 0:
        return a, b
    first = min(excess, max(0, bits[0] - max(bits[1], room // 2)))
    second = min(excess, max(0, bits[1] - max(bits[0], room // 2)))
    each, odd = divmod(excess - first - second, 2)
    cut = (first + each + odd, second + each)
    low.ctx.note(node.name, dropped_operand_bits=f"{cut[0]}, {cut[1]}")
    return low.coarser(node, a, cut[0]), low.coarser(node, b, cut[1])


def _softmax(low: Lowered, node: Node, x: list[QValue]) -> None:
    op = node.op
    assert isinstance(op, ops.Softmax), "called for softmax only"
    if _is_mean(low, node, x):
        return
    v = low.uniform(node, low.settled(x[0]))
    factor, shift, excess = _factor(v)
    if excess:
        v = low.coarser(node, v, excess)
        factor, shift, _ = _factor(v)
    mask, counts = _mask(low, node, x[1:])
    made = intops.IntSoftmax(op.axis, _table(), factor, shift, WEIGHT_BITS, mask)
    low.add(node, made, v, *counts)
    low.values[node.name, 0] = QValue(Value(node.name), ONE / leaf(float(1 << WEIGHT_BITS)))


def _mask(low: Lowered, node: Node, computed: list[QValue]) -> tuple[Param | None, list[QValue]]:
    """The constant mask, or the computed one in the shape and at the time of the logits."""
    edges = low.real.in_edges(node.name)
    if len(edges) == 1:
        return None, []
    shape = node.type.shape
    if is_constant(low.real, edges[1].src):
        keep = signs(low.constant(edges[1].src)) != 0
        wide = keep.reshape((1,) * (len(shape) - keep.ndim) + keep.shape)
        return Param(wide.astype(np.int8)), []
    v = low.settled(computed[0])
    if low.out.type_of(v.value).shape != shape:
        name = low.out.fresh(f"{node.name}.copies")
        low.out.add(name, intops.IntExpand(shape), v.value, loc=node.loc)
        v = replace(v, value=Value(name))
    if low.out.type_of(v.value).clock is not node.type.clock:
        text = f"{node.name} and its mask are computed at different times"
        hint = "make the mask where the logits are made"
        low.problems.append(error("E210", text, node.loc, help=hint))
    return None, [v]


def _factor(v: QValue) -> tuple[int, int, int]:
    """Multiplier and shift from logits to exponents, and by how many bits the unit is too fine."""
    exact = v.unit * leaf(float(1 << FRACTION_BITS)) / apply("log", leaf(2.0))
    exponent = int(np.frexp(float(floats(exact)))[1])
    shift = FACTOR_BITS - exponent
    if shift > MOST_SHIFT:
        return 1, 0, shift - MOST_SHIFT
    if exponent > 2 * FACTOR_BITS:  # one step of the logits leaves nothing of the other elements
        return 1 << 2 * FACTOR_BITS, 0, 0
    shift = max(0, shift)
    return int(nearest(exact * leaf(float(1 << shift)))), shift, 0


@cache
def _table() -> Param:
    """``2**-(j / 2**F)`` with ``TABLE_BITS`` fractional bits."""
    steps = np.arange(1 << FRACTION_BITS) / (1 << FRACTION_BITS)
    values: Ints = nearest(apply("pow", leaf(2.0), leaf(-steps)) * leaf(float(1 << TABLE_BITS)))
    return Param(compact(values))


def _is_mean(low: Lowered, node: Node, x: list[QValue]) -> bool:
    """Report an operand that is still to be divided by the number of steps."""
    if not any(v.per_step for v in x):
        return False
    text = f"{node.name} computes with a mean over time"
    hint = "divide by a number of steps that the model fixes, or take the sum"
    low.problems.append(error("E224", text, node.loc, help=hint))
    return True


#: The rules.
ATTENTION_RULES: dict[type[ops.Op], Rule] = {ops.Matmul: _matmul, ops.Softmax: _softmax}
