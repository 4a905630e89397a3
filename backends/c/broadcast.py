"""Element numbers of operands that broadcast to a larger shape, as C expressions."""

from __future__ import annotations

from math import prod

Shape = tuple[int, ...]


def element(shape: Shape, target: Shape) -> str:
    """Number of the operand's element that meets element ``i`` of the target."""
    if prod(shape) == 1:
        return "0u"
    if prod(shape) == prod(target):
        return "i"
    shape = (1,) * (len(target) - len(shape)) + shape
    terms = []
    inner, stride = 1, 1
    for have, want in zip(reversed(shape), reversed(target), strict=True):
        if have > 1:
            digit = "i" if inner == 1 else f"(i / {inner}u)"
            digit = digit if inner * want == prod(target) else f"({digit} % {want}u)"
            terms.append(digit if stride == 1 else f"{digit} * {stride}u")
        inner, stride = inner * want, stride * have
    return " + ".join(reversed(terms))
