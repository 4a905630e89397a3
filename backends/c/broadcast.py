"""Element numbers of operands that broadcast to a larger shape, as C expressions.

A loop nest over shape (C, …) has the variables ``c`` (first axis), ``k`` (the rest) and ``i``
(element number ``c * inner + k``), so that a constant per channel is loaded once per channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import prod

from snnc.backends.c.writer import CWriter

Shape = tuple[int, ...]


def is_per_channel(shape: Shape, target: Shape) -> bool:
    """Whether ``shape`` is (C, 1, …, 1) in a target (C, …) with more than one axis."""
    if len(shape) != len(target) or len(target) < 2:
        return False
    return shape[0] == target[0] > 1 == prod(shape[1:]) < prod(target[1:])


@contextmanager
def elements(w: CWriter, target: Shape, shapes: Iterable[Shape]) -> Iterator[bool]:
    """Loop over all elements; gives whether ``c`` exists, besides ``i``."""
    if any(is_per_channel(s, target) for s in shapes):
        inner = prod(target[1:])
        with w.loop("c", target[0]), w.loop("k", inner):
            w(f"const size_t i = c * {inner}u + k;")
            yield True
    else:
        with w.loop("i", prod(target)):
            yield False


def element(shape: Shape, target: Shape, nested: bool) -> str:
    """Number of the operand's element that meets element ``i`` of the target."""
    if prod(shape) == 1:
        return "0u"
    if prod(shape) == prod(target):
        return "i"
    if nested and is_per_channel(shape, target):
        return "c"
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
