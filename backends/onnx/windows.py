"""Convolutions and pools over any number of axes, on values (N, C, ...)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod

import numpy as np

from snnc.backends.onnx.block import INT32, INT64, UINT8, Array, Block, V, storage
from snnc.backends.onnx.emitter import Shape, Site, Writer
from snnc.backends.onnx.layers import as_bytes, bound_of, bytes_of, finished


def padded(b: Block, x: V, before: Sequence[int], after: Sequence[int], fill: float = 0) -> V:
    """``fill`` around all axes behind the batch."""
    if not any((*before, *after)):
        return x
    if x.type == UINT8:
        x = b.cast(x, INT32)
    sides = b.constant([0, *before, 0, *after])
    return b.op("Pad", x, sides, b.constant(fill, x.type))


def taps(b: Block, x: V, shape: Shape, size: Shape, stride: Shape, dilation: Shape) -> list[V]:
    """For every place in a window, the elements there of all windows: (N, C, *places) each."""
    sides = list(zip(shape[1:], size, stride, dilation, strict=True))
    places = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in sides]
    found = []
    for tap in itertools.product(*(range(k) for k in size)):
        cuts = [
            (axis, t * d, t * d + (p - 1) * s + 1, s)
            for axis, (t, p, (_, _, s, d)) in enumerate(zip(tap, places, sides, strict=True), 2)
        ]
        found.append(b.slices(x, cuts))
    return found


def _wider(shape: Shape, before: Shape, after: Shape) -> Shape:
    sides = zip(shape[1:], before, after, strict=True)
    return (shape[0], *(n + p + q for n, p, q in sides))


def convolve(site: Site, x: V, shape: Shape, weight: Array, stride: Shape) -> V:
    """Products of all windows of padded ``x`` (N, *shape) by a weight (out, C/groups, ...)."""
    b, op, rank = site.b, site.op, weight.ndim - 2
    bound = bound_of(op, site.x.bounds)
    if (how := bytes_of(site.x.bounds, weight, bound)) is not None:
        zero, kind, shift = how
        operands = [as_bytes(b, x, zero), b.constant(weight + shift, kind)]
        if zero or shift:
            operands += [b.constant(zero, UINT8), b.constant(shift, kind)]
        geometry = {"strides": stride, "dilations": op.dilation, "group": op.groups}
        y = b.op("ConvInteger", *operands, type=INT32, **geometry)
        return finished(site, y, bound, rank)
    out, per_group, *size = weight.shape
    found = taps(b, b.cast(x, INT64), shape, tuple(size), stride, op.dilation)
    count, places = prod(size), prod(site.shape[1:])
    columns = [b.reshape(t, [op.groups, per_group, 1, places]) for t in found]
    joined = b.op("Concat", *columns, axis=3) if count > 1 else columns[0]
    joined = b.reshape(joined, [op.groups, per_group * count, places])
    matrix = b.constant(weight.reshape(op.groups, out // op.groups, per_group * count))
    y = b.reshape(b.op("MatMul", matrix, joined), site.shape)
    return finished(site, y, bound, rank)


def conv(site: Site) -> V:
    """``(conv(x, weight) << shift) + bias``, cross-correlation as in torch."""
    op, shape = site.op, site.shapes[0]
    x = padded(site.b, site.x, (0, *op.padding), (0, *op.padding))
    wide = _wider(shape, op.padding, op.padding)
    return convolve(site, x, wide, op.weight.data.astype(np.int64), op.stride)


def conv_transpose(site: Site) -> V:
    """``(transposed_conv(x, weight) << shift) + bias``.

    The same as windows of mirrored weights over x with ``stride - 1`` zeros between its elements.
    """
    b, op, shape = site.b, site.op, site.shapes[0]
    x = b.cast(site.x, INT32 if storage(site.x.bounds) != INT64 else INT64)
    sizes = list(shape)
    for axis, stride in enumerate(op.stride, 1):
        if stride > 1:
            apart = b.reshape(x, [*sizes[: axis + 1], 1, *sizes[axis + 1 :]])
            behind = [stride - 1 if i == axis + 1 else 0 for i in range(len(sizes) + 1)]
            apart = padded(b, apart, [0] * len(behind), behind)
            sizes[axis] *= stride
            x = b.reshape(apart, sizes)
            sizes[axis] -= stride - 1
            x = b.slice(x, axis + 1, 0, sizes[axis])
    reach = [d * (k - 1) for d, k in zip(op.dilation, op.weight.shape[2:], strict=True)]
    before = [r - p for r, p in zip(reach, op.padding, strict=True)]
    after = [s + e for s, e in zip(before, op.extra, strict=True)]
    cuts = [
        (axis, max(0, -p), n + min(0, q), 1)
        for axis, (n, p, q) in enumerate(zip(sizes[1:], before, after, strict=True), 2)
    ]
    if min((*before, *after)) < 0:
        x = b.slices(x, cuts)
    before_, after_ = ([0, *(max(0, p) for p in side)] for side in (before, after))
    x = padded(b, x, before_, after_)
    wide = _wider(tuple(sizes), tuple(before), tuple(after))
    weight = op.weight.data.astype(np.int64)
    mirrored = np.flip(weight, tuple(range(2, weight.ndim)))
    return convolve(site, x, wide, mirrored, (1,) * len(op.stride))


def _pool(site: Site, kind: str, fill: int) -> V:
    b, op, shape = site.b, site.op, site.shapes[0]
    x = b.cast(site.x, INT64 if kind == "Add" or storage(site.x.bounds) == INT64 else INT32)
    x = padded(b, x, (0, *op.padding), (0, *op.padding), fill)
    wide = _wider(shape, op.padding, op.padding)
    found = taps(b, x, wide, op.kernel, op.stride, (1,) * len(op.kernel))
    if len(found) == 1:
        return found[0]
    if kind == "Max":
        return b.op("Max", *found)
    total = found[0]
    for y in found[1:]:
        total = b.add(total, y)
    return total


def sum_pool(site: Site) -> V:
    """Sum over windows; padding adds nothing."""
    return _pool(site, "Add", 0)


def max_pool(site: Site) -> V:
    """Maximum over windows; padding is the smallest value, and no window holds nothing else."""
    return _pool(site, "Max", max(site.x.bounds[0], -(1 << 63)))


#: Layers that slide over one or more axes, by name.
WINDOWS: dict[str, Writer] = {
    "IntConv": conv,
    "IntConvTranspose": conv_transpose,
    "IntSumPool": sum_pool,
    "IntMaxPool": max_pool,
}
