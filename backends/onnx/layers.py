"""Layers with weights over features, and embeddings."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from snnc.backends.onnx.block import INT32, INT64, UINT8, Array, Block, Bounds, V
from snnc.backends.onnx.emitter import Site, Writer
from snnc.op import Op

#: Pairs of products of values up to this by int8 weights fit 16 bits, in which some processors add.
_SAFE = 127


def bytes_of(x: Bounds, weight: Array, bound: int) -> tuple[int, int, int] | None:
    """How MatMulInteger and ConvInteger multiply: zero of x, type and zero of the weights.

    None if they cannot: bytes do not hold the values, or int32 the sums.  Values beyond 7 bits are
    multiplied by unsigned weights, for which every processor's sums are exact.
    """
    lo, hi = (int(weight.min(initial=0)), int(weight.max(initial=0)))
    if (
        bound >= 1 << 31
        or lo < -128
        or hi > 127
        or x[0] < -128
        or x[1] > (255 if x[0] >= 0 else 127)
    ):
        return None
    if x[0] >= 0 and x[1] <= _SAFE:
        return 0, TensorProto.INT8, 0
    return (0 if x[0] >= 0 else 128), UINT8, 128


def as_bytes(b: Block, x: V, zero: int) -> V:
    """The value as unsigned bytes, moved up by ``zero``."""
    if zero:
        x = b.add(b.cast(x, INT32), zero)
    return b.cast(x, UINT8)


def magnitude(bounds: Bounds) -> int:
    """The largest absolute value in a range."""
    return max(abs(bounds[0]), abs(bounds[1]))


def bound_of(op: Op, x: Bounds) -> int:
    """No partial sum of a layer is larger."""
    weight = op.params["weight"].data.astype(np.int64)
    rows = np.abs(weight).reshape(len(weight), -1).sum(1)
    return max(1, int(rows.max(initial=0))) * magnitude(x)


def product(b: Block, x: V, weight: Array, bound: int) -> V:
    """``x @ weight`` of (..., k) and (k, out), in int32 or int64."""
    how = bytes_of(x.bounds, weight, bound)
    if how is None:
        return b.op("MatMul", b.cast(x, INT64), b.constant(weight))
    zero, kind, shift = how
    operands = [as_bytes(b, x, zero), b.constant(weight + shift, kind)]
    if zero or shift:
        operands += [b.constant(zero, UINT8), b.constant(shift, kind)]
    return b.op("MatMulInteger", *operands, type=INT32)


def finished(site: Site, sums: V, bound: int, behind: int = 0) -> V:
    """``(sums << shift) + bias``; ``behind`` axes follow that of the rows."""
    b, op = site.b, site.op
    bias = None if op.bias is None else op.bias.data.astype(np.int64)
    largest = (bound << op.shift) + (0 if bias is None else int(np.abs(bias).max(initial=0)))
    y = b.cast(sums, INT32 if largest < 1 << 31 else INT64)
    if op.shift:
        y = b.mul(y, 1 << op.shift)
    return y if bias is None else b.add(y, bias.reshape(-1, *[1] * behind))


def linear(site: Site) -> V:
    """``((weight @ x) << shift) + bias`` over the last axis; also of delayed columns."""
    bound = bound_of(site.op, site.x.bounds)
    weight = site.op.weight.data.astype(np.int64).T
    return finished(site, product(site.b, site.x, weight, bound), bound)


def embedding(site: Site) -> V:
    """Row ``x`` of the table."""
    table = site.b.constant(site.op.weight.data)
    return site.b.op("Gather", table, site.whole(), axis=0)


#: The layers, by name.
LAYERS: dict[str, Writer] = {
    "IntLinear": linear,
    "IntDelayLinear": linear,
    "IntEmbedding": embedding,
}
