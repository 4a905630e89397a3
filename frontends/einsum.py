"""Einstein sums over features as permutations and one product of matrices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from snnc.frontends.feature_terms import feature_axis, permuted
from snnc.frontends.layer_rules import product
from snnc.frontends.layout import Axes, Axis, merge
from snnc.frontends.pointwise_rules import apply
from snnc.frontends.scalarize import Scalarizer
from snnc.frontends.shape_rules import reshaped
from snnc.frontends.time_rules import reduced
from snnc.frontends.traced import Call, Refusal, Traced


def einsum(s: Scalarizer, call: Call) -> Traced:
    """``einsum("bnhc,bmhc->bhnm", q, k)``; several operands are taken from left to right.

    Raises:
        Refusal: E210 for an index that appears twice in one operand.
    """
    operands = [s.operand(x) for x in call.args[1]]
    names, result = _names(str(call.args[0]).replace(" ", ""), operands)
    for name in names:
        if len(set(name)) < len(name):
            raise Refusal("E210", "a diagonal in einsum is not supported")
    while len(operands) > 1:
        kept = [n for n in names[0] + names[1] if n in result or n in "".join(names[2:])]
        target = "".join(dict.fromkeys(kept))
        operands[:2] = [_pair(s, operands[0], operands[1], (names[0], names[1]), target, call)]
        names[:2] = [target]
    x = _without(s, operands[0], names[0], result)
    left = [n for n in names[0] if n in result]
    y = permuted(s, x, [left.index(n) for n in result])
    return Traced(y.axes, y.terms, call.dtype)


def _names(equation: str, operands: list[Traced]) -> tuple[list[str], str]:
    """One letter for every axis; the axes of an ellipsis get letters of their own."""
    sides, arrow, result = equation.partition("->")
    names = sides.split(",")
    spare = [c for c in map(chr, range(0x3B1, 0x3CA)) if c not in equation]
    counts = [len(x.axes) - len(n) + 3 for x, n in zip(operands, names, strict=True) if "." in n]
    dots = "".join(spare[: max(counts, default=0)])
    for i, (x, n) in enumerate(zip(operands, names, strict=True)):
        if "..." in n:
            own = len(x.axes) - len(n) + 3
            names[i] = n.replace("...", dots[len(dots) - own :])
    if not arrow:
        letters = "".join(names)
        once = sorted(c for c in set(letters) - set(dots) if letters.count(c) == 1)
        return names, dots + "".join(once)
    return names, result.replace("...", dots)


def _without(s: Scalarizer, x: Traced, name: str, kept: str) -> Traced:
    """Sum over the axes whose letters are not kept."""
    gone = [d for d, n in enumerate(name) if n not in kept]
    for d in gone:
        feature_axis(x, d, "einsum")
    return reduced(s, x, "sum", gone, keep=False) if gone else x


def _pair(
    s: Scalarizer, a: Traced, b: Traced, names: tuple[str, str], result: str, call: Call
) -> Traced:
    a = _without(s, a, names[0], result + names[1])
    b = _without(s, b, names[1], result + names[0])
    own = [n for n in names[0] if n in result + names[1]]
    other = [n for n in names[1] if n in result + names[0]]
    both = [n for n in own if n in other and n in result]
    summed = [n for n in own if n in other and n not in result]
    left = [n for n in own if n not in other]
    right = [n for n in other if n not in own]
    a = permuted(s, a, [own.index(n) for n in both + left + summed])
    b = permuted(s, b, [other.index(n) for n in both + summed + right])
    count, rows, columns = len(both), len(left), len(right)
    lead, outer = a.axes[:count], b.axes[count + len(summed) :]
    inside: Axes = a.axes[count : count + rows]
    if not summed:  # every element of one times every element of the other
        wide = reshaped(s, a, (*a.axes, *((1,),) * columns))
        tall = reshaped(s, b, (*lead, *((1,),) * rows, *outer))
        y = apply(s, "mul", wide, tall)
    else:
        joined = (_joint(inside),) if both or not s.constant(b) else inside  # else: a layer
        a = reshaped(s, a, (*lead, *joined, _joint(a.axes[count + rows :])))
        b = reshaped(s, b, (*b.axes[:count], _joint(b.axes[count:][: len(summed)]), _joint(outer)))
        y = reshaped(s, product(s, a, b, replace(call)), (*lead, *inside, *outer))
    order = both + left + right
    return permuted(s, y, [order.index(n) for n in result])


def _joint(axes: Axes) -> Axis:
    factors: list[Any] = [f for axis in axes for f in axis]
    return merge(factors)
