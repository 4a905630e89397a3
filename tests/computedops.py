"""Random operators that combine computed values with each other, for random integer graphs."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from snnc.intops import IntLayerNorm, IntMatmul, IntRMSNorm, IntSoftmax, IntTranspose
from snnc.params import Param

if TYPE_CHECKING:
    from tests.randomkernels import Builder


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


def matmul(b: Builder, value: str) -> str:
    """A matrix, or a stack of them, times its own transpose; from either side."""
    shape = b.shape(value)
    if len(shape) < 2:
        return softmax(b, value)
    last = len(shape) - 1
    perm = (*range(last - 1), last, last - 1)
    turned = b.graph.add(b.name("turned"), IntTranspose(perm), value).name
    sides = [(value, turned), (turned, value)][b.rng.integers(2)]
    op = IntMatmul(int(b.rng.integers(0, 12)), b.rounding())
    return b.graph.add(b.name("matmul"), op, *sides).name


def softmax(b: Builder, value: str) -> str:
    """A softmax with tables of any size, with a constant mask, or with a computed one."""
    shape, rng = b.shape(value), b.rng
    axis = int(rng.integers(len(shape)))
    entries = 1 << int(rng.integers(0, 9))
    top = float(1 << int(rng.integers(1, 16)))
    table = Param(np.floor(top * 2.0 ** (-np.arange(entries) / entries)).astype(np.int64))
    shift = int(rng.integers(0, 40))
    factor = int(rng.integers(1, 1 << int(rng.integers(1, 25))))
    mask = None
    if rng.integers(2):
        own = tuple(n if rng.integers(2) else 1 for n in shape)
        mask = b.param(own, 0, 1)
    both = [value, value] if rng.integers(3) == 0 else [value]
    op = IntSoftmax(axis, table, factor, shift, int(rng.integers(4, 16)), mask)
    return b.graph.add(b.name("softmax"), op, *both).name
