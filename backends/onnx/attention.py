"""Products of computed matrices, and softmax."""

from __future__ import annotations

import numpy as np

from snnc.backends.onnx.arithmetic import power, rsh
from snnc.backends.onnx.block import BOOL, INT64, V
from snnc.backends.onnx.emitter import Site, Writer


def matmul(site: Site) -> V:
    """``rsh(a @ b, shift, rounding)``."""
    op, most = site.op, max(len(shape) for shape in site.shapes)
    left, right = (site.aligned(port, most) for port in (0, 1))
    return rsh(site.b, site.b.op("MatMul", left, right), op.shift, op.rounding)


def softmax(site: Site) -> V:
    """``p_i = (e_i << out_bits) // Z``: see ``snnc.int_attention_ops``."""
    b, op, x = site.b, site.op, site.whole()
    axis, table = op.axis + 1, op.table.data.astype(np.int64)
    counts = _counts(site)
    masked = x
    if counts is not None:
        least = b.reduce("ReduceMin", x, [axis], True)
        masked = b.where(counts, x, least)
    top = b.reduce("ReduceMax", masked, [axis], True)
    reach = b.constant(op.reach)
    d = b.binary("Min", b.sub(top, x), reach)
    if counts is not None:
        d = b.where(counts, d, reach)
    u = b.add(b.mul(d, op.multiplier), (1 << op.shift) >> 1)
    u = b.binary("Div", u, 1 << op.shift)
    halvings = b.binary("Min", b.binary("Div", u, len(table)), 31)
    place = b.binary("Mod", u, len(table))
    e = b.op("Gather", b.constant(table), place, axis=0, type=INT64)
    e = b.op("Div", e, power(b, halvings))
    if counts is not None:
        e = b.where(counts, e, b.constant(0))
    total = b.binary("Max", b.reduce("ReduceSum", e, [axis], True), 1)
    return b.op("Div", b.mul(e, 1 << op.out_bits), total)


def _counts(site: Site) -> V | None:
    """Which elements count; None: all."""
    b, op = site.b, site.op
    found = []
    if op.mask is not None:
        found.append(b.constant(op.mask.data[None] != 0, BOOL))
    if len(site.operands) == 2:
        found.append(b.op("Not", b.binary("Equal", site.whole(1), 0)))
    if not found:
        return None
    return found[0] if len(found) == 1 else b.op("And", *found)


#: The operators, by name.
ATTENTION: dict[str, Writer] = {"IntMatmul": matmul, "IntSoftmax": softmax}
