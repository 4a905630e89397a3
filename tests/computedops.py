"""Random operators that combine computed values with each other, for random integer graphs."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from snnc.intops import IntLayerNorm, IntRMSNorm

if TYPE_CHECKING:
    from tests.intgraphs import Builder


def norm(b: Builder, value: str) -> str:
    """A normalization, sometimes with few bits, and an ``eps`` of any size."""
    shape, rng = b.shape(value), b.rng
    axes = int(rng.integers(1, len(shape) + 1))
    wanted = shape[-axes:] if rng.integers(2) else ()
    bits = int(rng.integers(4, min(24, (61 - prod(shape[-axes:]).bit_length()) // 2) + 1))
    eps = int(rng.integers(1 << int(rng.integers(1, 61))))
    make = [IntLayerNorm, IntRMSNorm][rng.integers(2)]
    offset = b.param(wanted, -300, 300) if rng.integers(2) else None
    lift = int(rng.integers(-9, bits))
    guard = int(rng.integers(7))
    op = make(axes, b.param(wanted, -300, 300), offset, eps, lift, bits, guard)
    return b.graph.add(b.name("norm"), op, value).name
