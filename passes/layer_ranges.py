"""Exact intervals of layers with weights, and of pools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.numpy.windows import convolution, transposed, windows
from snnc.graph import Node
from snnc.interval import Interval, guard
from snnc.intops import (
    IntConv,
    IntConvTranspose,
    IntDelayLinear,
    IntLinear,
    IntMaxPool,
    IntSumPool,
)
from snnc.params import Param
from snnc.passes.range_rule import RangeRule

Array = npt.NDArray[Any]

#: Weights of a linear layer that are looked at together: they fit a cache.
_BLOCK = 1 << 17
#: Sums that floats add exactly, and with them sums of three times the size.
_EXACT: tuple[tuple[float, type[np.generic]], ...] = ((2.0**22, np.float32), (2.0**51, np.float64))


def linear(node: Node, x: list[Interval], steps: int) -> Interval:
    """Interval of every accumulator of a linear layer."""
    op = node.op
    assert isinstance(op, IntLinear), "dispatched by type"
    rows, each = op.weight.data, max(1, _BLOCK // max(1, op.weight.shape[1]))
    parts = [
        _weighted(rows[start : start + each], x[0], lambda x, w: x @ w.T)
        for start in range(0, len(rows), each)
    ]
    lo, hi = (np.concatenate(p, -1) for p in ([p.lo for p in parts], [p.hi for p in parts]))
    return _affine(Interval(lo, hi), op.shift, op.bias)


def delays(node: Node, x: list[Interval], steps: int) -> Interval:
    """Interval of every accumulator of a layer with delays: zeros arrive first."""
    op = node.op
    assert isinstance(op, IntDelayLinear), "dispatched by type"
    index, late = op.index.data, op.delay.data > 0
    lo, hi = (a.reshape(-1)[index] for a in (x[0].lo, x[0].hi))
    columns = Interval(np.where(late, np.minimum(lo, 0), lo), np.where(late, np.maximum(hi, 0), hi))
    return _affine(_weighted(op.weight.data, columns, lambda x, w: x @ w.T), op.shift, op.bias)


def conv(node: Node, x: list[Interval], steps: int) -> Interval:
    """Interval of every accumulator of a convolution; at the border fewer weights count."""
    op = node.op
    assert isinstance(op, IntConv), "dispatched by type"
    geometry = (op.stride, op.padding, op.dilation, op.groups)
    acc = _weighted(op.weight.data, x[0], lambda x, w: convolution(x[None], w, *geometry)[0])
    return _affine(acc, op.shift, _per_channel(op))


def conv_transpose(node: Node, x: list[Interval], steps: int) -> Interval:
    """Interval of every accumulator of a transposed convolution."""
    op = node.op
    assert isinstance(op, IntConvTranspose), "dispatched by type"
    geometry = (op.stride, op.padding, op.extra, op.dilation, op.groups)
    acc = _weighted(op.weight.data, x[0], lambda x, w: transposed(x[None], w, *geometry)[0])
    return _affine(acc, op.shift, _per_channel(op))


def pool(node: Node, x: list[Interval], steps: int) -> Interval:
    """Interval of every window."""
    op = node.op
    assert isinstance(op, IntSumPool | IntMaxPool), "dispatched by type"
    summing = isinstance(op, IntSumPool)
    fill = 0 if summing else int(np.iinfo(np.int64).min)
    geometry = (op.kernel, op.stride, op.padding)
    lo, hi = (windows(v[None], *geometry, fill)[0] for v in (x[0].lo, x[0].hi))
    axes = tuple(range(x[0].lo.ndim, lo.ndim))
    if not summing:
        return Interval(lo.max(axes), hi.max(axes))
    guard(hi.astype(float).sum(axes), lo.astype(float).sum(axes))
    return Interval(lo.sum(axes), hi.sum(axes))


def _per_channel(op: IntConv | IntConvTranspose) -> Param | None:
    return op.bias and Param(op.bias.data.reshape(-1, *[1] * len(op.stride)))


def _affine(acc: Interval, shift: int, bias: Param | None) -> Interval:
    y = acc.shl(shift)
    return y if bias is None else y + Interval.exactly(bias)


def _weighted(
    weight: Array,
    x: Interval,
    product: Callable[[Array, Array], Array],
) -> Interval:
    """Interval of sums ``product(x, weight)``, linear in both, in floats where these are exact.

    With ``w = plus + minus``, weights above and below 0, the lower end ``lo plus + hi minus`` is
    ``hi w - (hi - lo) plus``, the upper one ``lo w + (hi - lo) plus``.
    """
    size = max(abs(float(weight.max(initial=0))), abs(float(weight.min(initial=0))))
    largest = max(float(np.abs(v.astype(np.float64)).max(initial=0)) for v in (x.lo, x.hi))
    bound = size * largest * (weight.size // max(1, len(weight)))
    if bound >= _EXACT[-1][0]:  # it need not be so large
        sums = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(1)
        bound = float(sums.max(initial=0)) * largest
        guard(bound)  # in floats, as int64 has no -min
    number: type[np.generic] = next((n for most, n in _EXACT if bound < most), np.int64)
    w: Array = weight.astype(number)
    lo: Array = x.lo.astype(number)
    hi: Array = x.hi.astype(number)
    if number is np.int64:  # whose differences might not fit
        plus, minus = np.maximum(w, 0), np.minimum(w, 0)
        low = product(lo, plus) + product(hi, minus)
        return Interval(low, product(hi, plus) + product(lo, minus))
    more = product(hi - lo, np.maximum(w, 0))
    low, high = product(hi, w) - more, product(lo, w) + more
    return Interval(low.astype(np.int64), high.astype(np.int64))


#: The layers' rules.
LAYER_RANGES: dict[type, RangeRule] = {
    IntLinear: linear,
    IntDelayLinear: delays,
    IntConv: conv,
    IntConvTranspose: conv_transpose,
    IntSumPool: pool,
    IntMaxPool: pool,
}
