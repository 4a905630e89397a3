"""What linear operators do, as matrices over the elements of one sample at one step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from snnc import intops
from snnc.backends.lava.stock.matrix import Ints, Matrix
from snnc.op import Op

Shape = tuple[int, ...]
#: (operator, shapes of its operands, shape of its result, which operand) -> matrix.
Map = Callable[[Any, tuple[Shape, ...], Shape, int], Matrix]


def positions(shape: Shape) -> Ints:
    """The number of every element."""
    return np.arange(math.prod(shape), dtype=np.int64).reshape(shape)


def _moved(rearrange: Callable[[Any, Ints, Shape], Ints]) -> Map:
    """An operator that only moves elements: applied to their numbers."""

    def matrix(op: Any, shapes: tuple[Shape, ...], out: Shape, port: int) -> Matrix:
        source = positions(shapes[port])
        return Matrix.gather(source.size, rearrange(op, source, out))

    return matrix


def _identity(op: Op, shapes: tuple[Shape, ...], out: Shape, port: int) -> Matrix:
    return Matrix.identity(math.prod(shapes[port]))


def _slice(op: intops.IntSlice, x: Ints, out: Shape) -> Ints:
    index = [slice(None)] * x.ndim
    index[op.axis] = slice(op.start, op.stop, op.step)
    return x[tuple(index)]


def _upsample(op: intops.IntUpsample, x: Ints, out: Shape) -> Ints:
    for i, factor in enumerate(op.factor):
        x = np.repeat(x, factor, x.ndim - len(op.factor) + i)
    return x


def _pad(op: intops.IntPad, x: Ints, out: Shape) -> Ints:
    return np.pad(x, tuple(zip(op.before, op.after, strict=True)), constant_values=-1)


def _concat(op: intops.IntConcat, shapes: tuple[Shape, ...], out: Shape, port: int) -> Matrix:
    start = sum(shape[op.axis] for shape in shapes[:port])
    source = np.full(out, -1, np.int64)
    index = [slice(None)] * len(out)
    index[op.axis] = slice(start, start + shapes[port][op.axis])
    source[tuple(index)] = positions(shapes[port])
    return Matrix.gather(math.prod(shapes[port]), source)


def _linear(op: intops.IntLinear, shapes: tuple[Shape, ...], out: Shape, port: int) -> Matrix:
    weight = Matrix.from_dense(op.weight.data.astype(np.int64) << op.shift)
    rows, cols = weight.shape
    copies = math.prod(shapes[port][:-1])
    many = np.repeat(np.arange(copies), len(weight.values))
    return Matrix.of(
        (rows * copies, cols * copies),
        np.tile(weight.rows, copies) + many * rows,
        np.tile(weight.cols, copies) + many * cols,
        np.tile(weight.values, copies),
    )


def windows(shape: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape) -> Ints:
    """Elements that every window of (C, …) reads, -1 for padding: (C, windows…, kernel…)."""
    sides = ((0, 0), *((p, p) for p in padding))
    padded = np.pad(positions(shape), sides, constant_values=-1)
    spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    axes = tuple(range(1, len(shape)))
    view = np.lib.stride_tricks.sliding_window_view(padded, spans, axes)
    steps = (slice(None), *(slice(None, None, s) for s in stride))
    inner = tuple(slice(None, None, d) for d in dilation)
    return np.asarray(view[(*steps, *inner)])


def _conv(op: intops.IntConv, shapes: tuple[Shape, ...], out: Shape, port: int) -> Matrix:
    weight = op.weight.data.astype(np.int64) << op.shift
    channels, per_group, *kernel = weight.shape
    shape = shapes[port]
    seen = windows(shape, tuple(kernel), op.stride, op.padding, op.dilation)
    places = math.prod(out[1:])
    seen = seen.reshape(shape[0], places, math.prod(kernel))
    taps = weight.reshape(channels, per_group, -1)
    rows, cols, values = [], [], []
    for o in range(channels):
        first = o // (channels // op.groups) * per_group
        block = seen[first : first + per_group]  # (in, places, taps)
        full = np.broadcast_to(taps[o][:, None], block.shape)
        keep = (block >= 0) & (full != 0)
        row = np.broadcast_to(np.arange(places)[None, :, None] + o * places, block.shape)
        rows.append(row[keep])
        cols.append(block[keep])
        values.append(full[keep])
    size = (math.prod(out), math.prod(shape))
    return Matrix.of(size, np.concatenate(rows), np.concatenate(cols), np.concatenate(values))


def pooled(op: Any, shapes: tuple[Shape, ...], out: Shape, port: int) -> Matrix:
    """Ones over the windows of a pool."""
    seen = windows(shapes[port], op.kernel, op.stride, op.padding, (1,) * len(op.kernel))
    seen = seen.reshape(math.prod(out), -1)
    rows = np.broadcast_to(np.arange(len(seen))[:, None], seen.shape)
    keep = seen >= 0
    ones = np.ones(int(keep.sum()), np.int64)
    return Matrix.of((len(seen), math.prod(shapes[port])), rows[keep], seen[keep], ones)


def _sum_over(op: intops.IntReduce, shapes: tuple[Shape, ...], out: Shape, port: int) -> Matrix:
    source = positions(shapes[port])
    axes = tuple(a % source.ndim for a in op.axes)
    kept = [a for a in range(source.ndim) if a not in axes]
    moved = source.transpose(*kept, *axes).reshape(math.prod(out), -1)
    rows = np.broadcast_to(np.arange(len(moved))[:, None], moved.shape).reshape(-1)
    return Matrix.of((len(moved), source.size), rows, moved.reshape(-1), np.ones_like(rows))


def _rescale(op: intops.IntRescale, shapes: tuple[Shape, ...], out: Shape, port: int) -> Matrix:
    factor = np.broadcast_to(op.multiplier.data.astype(np.int64), out).reshape(-1)
    return Matrix.identity(math.prod(out)).scaled(factor)


#: Every linear operator by its type.
MAPS: dict[type[Op], Map] = {
    intops.IntReshape: _identity,
    intops.IntRepeat: _identity,
    intops.IntSum: _identity,
    intops.IntTranspose: _moved(lambda op, x, out: x.transpose(op.perm)),
    intops.IntSlice: _moved(_slice),
    intops.IntExpand: _moved(lambda op, x, out: np.broadcast_to(x, out)),
    intops.IntTake: _moved(lambda op, x, out: np.take(x, op.index.data.astype(int), op.axis)),
    intops.IntUpsample: _moved(_upsample),
    intops.IntPad: _moved(_pad),
    intops.IntConcat: _concat,
    intops.IntLinear: _linear,
    intops.IntConv: _conv,
    intops.IntSumPool: pooled,
    intops.IntReduce: _sum_over,
    intops.IntRescale: _rescale,
}


def is_linear(op: Op) -> bool:
    """Whether an operator is a matrix, and perhaps a constant."""
    if isinstance(op, intops.IntReduce):
        return op.fn == "sum"
    if isinstance(op, intops.IntRescale):
        return op.shift == 0
    return type(op) in MAPS


def constant(op: Op, out: Shape) -> Ints:
    """What a linear operator adds."""
    bias = getattr(op, "bias", None)
    if bias is None:
        return np.zeros(math.prod(out), np.int64)
    data = bias.data.astype(np.int64)
    if isinstance(op, intops.IntConv):
        data = data.reshape(-1, *[1] * (len(out) - 1))
    return np.broadcast_to(data, out).reshape(-1)
