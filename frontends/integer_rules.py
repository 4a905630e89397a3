"""Integers inside real networks: casts, shifts, and positions in small tables.

Integers are the real numbers that they are.  A cast from floating point rounds toward zero, a
shift by ``k`` bits multiplies by a power of two, and what is looked up in a table by a computed
position becomes a staircase, ``t[0]`` up to position 1, ``t[1]`` up to position 2, …: one
comparison and one choice per entry, element by element, so that it can be a part of a neuron.
"""

from __future__ import annotations

import itertools

import torch

from snnc.frontends.dag import Form
from snnc.frontends.parameter_calls import Operand
from snnc.frontends.pointwise_rules import apply
from snnc.frontends.scalarize import Rule, Scalarizer
from snnc.frontends.traced import Call, Refusal, Traced

#: Largest table that becomes a staircase.
LARGEST_TABLE = 64


def _shift(s: Scalarizer, call: Call) -> Traced:
    x, bits = call.args[:2]
    if not isinstance(bits, int):
        value = s.dag.value(s.operand(bits).terms[0])
        if value is None:
            raise Refusal("E210", "a shift by a computed number of bits is not supported")
        bits = int(value)
    if "left" in call.name or call.name == "__lshift__":
        return apply(s, "mul", x, float(2**bits), dtype=call.dtype)
    return apply(s, "floor", apply(s, "mul", x, 2.0**-bits), dtype=call.dtype)


def _floor_divide(s: Scalarizer, call: Call) -> Traced:
    return apply(s, "floor", apply(s, "div", *call.args[:2]), dtype=call.dtype)


def _remainder(s: Scalarizer, call: Call) -> Traced:
    """``x - floor(x / y) * y``."""
    x, y = call.args[:2]
    whole = apply(s, "floor", apply(s, "div", x, y))
    return apply(s, "sub", x, apply(s, "mul", whole, y), dtype=call.dtype)


def entries(s: Scalarizer, table: Traced) -> list[Traced]:
    """The elements of a vector of parameters, as scalars.

    Raises:
        Refusal: E210 if it is not one, or too long.
    """
    value = s.solid(table)
    shape = s.extents.shape(value.axes)
    if not s.constant(value) or len(shape) != 1:
        raise Refusal("E210", "only a vector of parameters can be looked up by a computed position")
    if shape[0] > LARGEST_TABLE:
        text = f"a table of {shape[0]} values is looked up by a computed position"
        raise Refusal("E210", text, f"use one of at most {LARGEST_TABLE}")

    def scalar(i: int) -> Traced:
        form = Form("aten", ("aten.select.int", (Operand(0), 0, i), ()))
        return Traced((), (s.dag.make(form, value.terms, ()),), value.dtype)

    return [scalar(i) for i in range(shape[0])]


def _bucketize(s: Scalarizer, call: Call) -> Traced:
    """The number of boundaries below ``x``; ``right=True`` counts those that it equals, too."""
    x, boundaries = call.args[:2]
    fn = "ge" if call.kwargs.get("right", call.arg(3, "right", False)) else "gt"
    steps = [apply(s, fn, x, b) for b in entries(s, boundaries)]
    return _total(s, steps, call.dtype)


def _total(s: Scalarizer, parts: list[Traced], dtype: torch.dtype) -> Traced:
    *_, last = itertools.accumulate(parts, lambda a, b: apply(s, "add", a, b))
    return Traced(last.axes, last.terms, dtype)


def staircase(s: Scalarizer, table: Traced, position: Traced) -> Traced:
    """``table[position]`` for a vector of parameters, as a staircase over the positions."""
    first, *rest = entries(s, table)
    value = first
    for i, entry in enumerate(rest, 1):
        value = apply(s, "where", apply(s, "ge", position, float(i)), entry, value)
    return Traced(value.axes, value.terms, table.dtype)


INTEGER_RULES: dict[str, Rule] = {
    **dict.fromkeys(("bitwise_right_shift", "bitwise_left_shift"), _shift),
    **dict.fromkeys(("__rshift__", "__lshift__"), _shift),
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "bucketize": _bucketize,
}

__all__ = ["INTEGER_RULES", "staircase"]
