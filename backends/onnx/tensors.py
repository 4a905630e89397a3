"""Operators that rescale, add, rearrange, select or reduce the elements of one sample."""

from __future__ import annotations

import numpy as np
from onnx import helper

from snnc.backends.onnx.arithmetic import rsh
from snnc.backends.onnx.block import INT32, INT64, V, storage
from snnc.backends.onnx.emitter import Site, Writer
from snnc.backends.onnx.windows import padded


def rescale(site: Site) -> V:
    """``rsh(x * multiplier, shift, rounding) + bias``."""
    op = site.op
    return scaled(site, op.multiplier.data, None if op.bias is None else op.bias.data)


def scaled(site: Site, multiplier: np.ndarray, bias: np.ndarray | None) -> V:
    """The operand times a multiplier, divided by ``2**shift``, plus a bias."""
    b, op = site.b, site.op
    y = rsh(b, b.mul(site.whole(), multiplier), op.shift, op.rounding)
    return y if bias is None else b.add(y, bias)


def add(site: Site) -> V:
    """Sum of the operands."""
    b = site.b
    total = site.whole()
    for port in range(1, len(site.operands)):
        total = b.add(total, site.whole(port))
    return total


def same(site: Site) -> V:
    """The operand: what only changes the clock, or is an output."""
    return site.x


def reshape(site: Site) -> V:
    """The elements in another shape, row-major."""
    return site.b.reshape(site.x, site.shape)


def transpose(site: Site) -> V:
    """Axis i of the result is axis ``perm[i]`` of the operand."""
    return site.b.op("Transpose", site.x, perm=[0, *(p + 1 for p in site.op.perm)])


def part(site: Site) -> V:
    """Elements ``start``, ``start + step``, … before ``stop`` of one axis."""
    op = site.op
    index = range(*slice(op.start, op.stop, op.step).indices(site.shapes[0][op.axis]))
    return site.b.gather(site.x, list(index), op.axis + 1)


def take(site: Site) -> V:
    """Elements ``index`` of one axis."""
    return site.b.gather(site.x, site.op.index.data, site.op.axis + 1)


def concat(site: Site) -> V:
    """The operands one after the other along one axis."""
    b, kind = site.b, storage_of(site)
    return b.op("Concat", *(b.cast(x, kind) for x in site.operands), axis=site.op.axis + 1)


def storage_of(site: Site) -> int:
    """INT32 or INT64, whichever holds all operands."""
    wide = any(storage(x.bounds) == INT64 for x in site.operands)
    return INT64 if wide else INT32


def expand(site: Site) -> V:
    """Repeat along new axes in front, and along axes of extent 1."""
    b, shape = site.b, site.shape
    x = b.reshape(site.x, [*[1] * (len(shape) - len(site.shapes[0])), *site.shapes[0]])
    return b.op("Expand", x, b.constant([1, *shape]))


def upsample(site: Site) -> V:
    """Each element ``factor`` times along each of the last axes."""
    y, factors = site.x, site.op.factor
    first = len(site.shapes[0]) - len(factors)
    for axis, factor in enumerate(factors, first):
        index = np.repeat(np.arange(site.shapes[0][axis]), factor)
        y = site.b.gather(y, index, axis + 1)
    return y


def pad(site: Site) -> V:
    """Zeros around the elements."""
    return padded(site.b, site.x, site.op.before, site.op.after)


def reduce(site: Site) -> V:
    """Sum, maximum, minimum or product over the axes."""
    op, b = site.op, site.b
    if not op.axes:
        return site.x
    x, axes = site.whole(), [axis + 1 for axis in op.axes]
    if op.fn == "prod":  # one factor after the other: every product of a prefix is exact
        for axis in sorted(axes, reverse=True):
            factors = [b.gather(x, [i], axis) for i in range(site.shapes[0][axis - 1])]
            x = factors[0]
            for factor in factors[1:]:
                x = b.op("Mul", x, factor)
        return x if op.keepdims else b.reshape(x, site.shape)
    return b.reduce(f"Reduce{op.fn.capitalize()}", x, axes, op.keepdims)


def argmax(site: Site) -> V:
    """The first position of the maximum along the axis."""
    # of the largest position from behind: operators may leave open which of several is found
    b, axis = site.b, site.op.axis + 1
    x, extent = site.whole(), site.shapes[0][site.op.axis]
    largest = b.binary("Equal", x, b.reduce("ReduceMax", x, [axis], True))
    shape = [1] * (len(site.shapes[0]) + 1)
    shape[axis] = extent
    places = b.constant(np.arange(extent).reshape(shape))
    found = b.where(largest, places, b.constant(extent))
    return b.reduce("ReduceMin", found, [axis], False)


def top_k(site: Site) -> V:
    """The ``k`` largest elements along one axis, or their positions; of equal ones, the first."""
    b, op = site.b, site.op
    names = [b.fresh("largest"), b.fresh("places")]  # ONNX breaks ties by the lower position
    inputs = [site.whole().name, b.constant([op.k]).name]
    b.nodes.append(helper.make_node("TopK", inputs, names, names[0], axis=op.axis + 1))
    return V(names[op.positions], INT64)


#: The operators, by name.
TENSORS: dict[str, Writer] = {
    "IntRescale": rescale,
    "IntSum": add,
    "IntReshape": reshape,
    "IntTranspose": transpose,
    "IntSlice": part,
    "IntTake": take,
    "IntConcat": concat,
    "IntExpand": expand,
    "IntPad": pad,
    "IntUpsample": upsample,
    "IntReduce": reduce,
    "IntArgMax": argmax,
    "IntTopK": top_k,
    "IntRepeat": same,
    "IntHold": same,
    "IntOutput": same,
}
